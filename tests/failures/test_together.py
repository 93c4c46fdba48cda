"""Fifty clients change and follow the same links at once, over two server processes."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from testkit.load import Client, click_events, slow_postgres
from testkit.rollups import miscounted
from tests.failures.conftest import Installation

pytestmark = pytest.mark.services

THREADS, STEPS = 50, 40


@dataclass(frozen=True)
class Seen:
    """A change that was confirmed, or a redirect: when it was asked, when it was answered, and the
    state it made or saw.
    """

    asked: float
    answered: float
    target: str  # "" for a deactivated link


@dataclass
class History:
    """All that happened to one link."""

    url: dict[str, Any]
    changes: list[Seen] = field(default_factory=list)
    follows: list[Seen] = field(default_factory=list)

    def wrong(self) -> list[Seen]:
        return [
            seen
            for seen in self.follows
            if not any(self._explains(change, seen) for change in self.changes)
        ]

    def _explains(self, change: Seen, seen: Seen) -> bool:
        """It saw this change, which was not replaced by another one that was confirmed before it
        asked.
        """
        if change.target != seen.target or change.asked > seen.answered:
            return False
        return not any(
            change.answered < later.asked and later.answered < seen.asked for later in self.changes
        )

    def clicks(self) -> int:
        return sum(bool(seen.target) for seen in self.follows)


class Someone(threading.Thread):
    """One client, who does one thing after another to links that all others use too."""

    def __init__(self, number: int, port: int, links: list[History]) -> None:
        super().__init__()
        self.number, self.links = number, links
        self.client = Client(port, patient=True)
        self.random = random.Random(number)
        self.trouble: list[Any] = []

    def run(self) -> None:
        for step in range(STEPS):
            link = self.random.choice(self.links)
            act = self.random.choices(
                (self.follow, self.retarget, self.deactivate, self.create), (70, 15, 12, 3)
            )[0]
            try:
                act(link, f"https://example.com/{self.number}/{step}")
            except AssertionError as error:
                self.trouble.append(error)
        self.client.close()

    def follow(self, link: History, _target: str) -> None:
        asked = time.monotonic()
        status, target, _ = self.client.request("GET", f"/{link.url['short_code']}")
        link.follows.append(Seen(asked, time.monotonic(), target))
        assert status == (302 if target else 410)

    def retarget(self, link: History, target: str) -> None:
        self._change(link, target, {"is_active": True, "original_url": target})

    def deactivate(self, link: History, _target: str) -> None:
        self._change(link, "", {"is_active": False})

    def _change(self, link: History, target: str, body: dict[str, Any]) -> None:
        asked = time.monotonic()
        self.client.json("PUT", f"/urls/{link.url['id']}", body)
        link.changes.append(Seen(asked, time.monotonic(), target))

    def create(self, _link: History, target: str) -> None:
        asked = time.monotonic()
        url = self.client.json("POST", "/urls", {"original_url": target})
        self.links.append(History(url, [Seen(asked, time.monotonic(), target)]))


def run_together(installation: Installation, clients: Sequence[Someone | Owner]) -> None:
    """Until all are done; none is refused, unless the machine is too slow for everybody."""
    with slow_postgres(installation.app.environ["DATABASE_URL"]) as slow:
        for each in clients:
            each.start()
        for each in clients:
            each.join()
    assert sum(each.client.refused for each in clients) <= len(clients) * slow.times


def test_no_wrong_redirect_no_lost_and_no_double_click(installation: Installation) -> None:
    asked = time.monotonic()
    first = installation.urls(1)[0]
    links = [History(first, [Seen(asked, time.monotonic(), first["original_url"])])]
    people = [Someone(number, installation.app.port, links) for number in range(1, THREADS + 1)]
    run_together(installation, people)
    assert [trouble for someone in people for trouble in someone.trouble] == []
    assert [wrong for link in links for wrong in link.wrong()] == []
    events = Counter(event["url_id"] for event in click_events(installation.client))
    for link in links:
        counted = installation.client.json("GET", f"/urls/{link.url['id']}/stats")["redirect_count"]
        assert counted == events[link.url["id"]] == link.clicks()
    address = installation.app.environ["DATABASE_URL"].replace("+pool", "")
    with closing(psycopg2.connect(address)) as connection, connection.cursor() as cursor:

        def rows(sql: str) -> list[Any]:
            cursor.execute(sql)
            return cursor.fetchall()

        assert miscounted(rows) == []


class Owner(threading.Thread):
    """Makes users and links, and does all that there is to everybody's."""

    def __init__(self, number: int, port: int, known: list[dict[str, Any]]) -> None:
        super().__init__()
        self.number, self.known = number, known
        self.client = Client(port, patient=True)
        self.random = random.Random(number)
        self.statuses: Counter[int] = Counter()

    def run(self) -> None:
        for step in range(8):
            name = f"u{self.number}-{step}"
            user = self.client.json(
                "POST", "/users", {"username": name, "email": f"{name}@example.com"}
            )
            link = {"original_url": "https://example.com/", "user_id": user["id"]}
            self.known += [self.client.json("POST", "/urls", link) for _ in range(2)]
            for again in range(6):
                self.statuses[
                    self.client.request(
                        *self.something(self.random.choice(self.known), f"{name}-{again}")
                    )[0]
                ] += 1
        self.client.close()

    def something(self, url: dict[str, Any], name: str) -> tuple[Any, ...]:
        link, owner = f"/urls/{url['id']}", f"/users/{url['user_id']}"
        return self.random.choice(
            [
                ("GET", f"/{url['short_code']}"),
                ("GET", "/events?per_page=1"),
                ("PUT", link, {"title": name}),
                ("PUT", owner, {"username": name}),
                (
                    "POST",
                    "/urls",
                    {"original_url": "https://example.com/", "user_id": url["user_id"]},
                ),
                (
                    "POST",
                    "/events",
                    {"event_type": "click", "url_id": url["id"], "user_id": url["user_id"]},
                ),
                ("DELETE", link),
                ("DELETE", owner),
            ]
        )


def test_changes_and_deletions_never_wait_for_each_other_in_a_circle(
    installation: Installation,
) -> None:
    known: list[dict[str, Any]] = []
    owners = [Owner(number, installation.app.port, known) for number in range(20)]
    log = Path(installation.postgres.folder, "log")
    before = log.read_text().count("deadlock detected")
    run_together(installation, owners)
    assert log.read_text().count("deadlock detected") == before
    statuses = sum((owner.statuses for owner in owners), Counter())
    assert not statuses.keys() - {200, 201, 204, 302, 404, 409, 410}, statuses
    for url in known:
        gone = installation.client.request("GET", f"/urls/{url['id']}")[0] == 404
        assert (installation.client.request("GET", f"/{url['short_code']}")[0] == 404) == gone
