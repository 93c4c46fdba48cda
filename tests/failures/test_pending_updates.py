"""No answer is older than a confirmed change, while links change through three replicas."""

from __future__ import annotations

import os
import random
import threading
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any, NamedTuple

import psycopg2
import pytest
import redis as redis_client

from testkit.load import Client, Line, slow_postgres
from testkit.servers import LONG_LOCKS, App, ClickWorker, Postgres, Redis, wait_for

ROUNDS = int(os.environ.get("UPDATE_ROUNDS", "1"))
LINKS, FOLLOWERS, WRITERS = 1000, 50, 5
INACTIVE, GONE, REFUSED = "410", "404", "503"
"""What a link shows instead of an address; refused: nothing, its click is unknown."""


class Seen(NamedTuple):
    """A confirmed change, or a follow: when it was asked and answered, and its result."""

    asked: float
    answered: float
    target: str


@dataclass
class Link:
    """One link, and all that happened to it; only one change is under way at a time."""

    id: int
    code: str
    changes: list[Seen]
    follows: list[Seen] = field(default_factory=list)

    def impossible(self) -> list[Seen]:
        """The follows that no order of events explains, least demanding explanations first.

        Each must show a change that had begun before it was answered, and none that is older than
        what had been confirmed, or shown by a follow that had ended, before it was asked.
        """
        confirmed_at = [change.answered for change in self.changes]
        ended: list[tuple[float, int]] = []
        oldest, found = 0, []
        for follow in sorted(follow for follow in self.follows if follow.target != REFUSED):
            while ended and ended[0][0] < follow.asked:
                oldest = max(oldest, heappop(ended)[1])
            oldest = max(oldest, bisect_left(confirmed_at, follow.asked) - 1)
            shown = next(
                (
                    index
                    for index in range(oldest, len(self.changes))
                    if self._explains(self.changes[index], follow)
                ),
                None,
            )
            if shown is None:
                found.append(follow)
            else:
                heappush(ended, (follow.answered, shown))
        return found

    def _explains(self, change: Seen, follow: Seen) -> bool:
        return change.target == follow.target and change.asked < follow.answered

    def clicks(self) -> range:
        """How many there may be."""
        shown = [follow.target for follow in self.follows]
        redirects, refused = (
            sum(target.startswith("http") for target in shown),
            shown.count(REFUSED),
        )
        return range(redirects, redirects + refused + 1)


def link(*follows: Seen) -> Link:
    """One that was "a", became "b" between 10 and 20, and "c" between 30 and 40."""
    return Link(1, "code", [Seen(0, 0, "a"), Seen(10, 20, "b"), Seen(30, 40, "c")], list(follows))


@pytest.mark.parametrize(
    "follow",
    [Seen(21, 22, "a"), Seen(41, 42, "b"), Seen(1, 9, "b"), Seen(21, 29, "c"), Seen(21, 22, "d")],
)
def test_an_answer_that_is_too_old_or_too_new_is_noticed(follow: Seen) -> None:
    assert link(follow).impossible() == [follow]


@pytest.mark.parametrize(
    "follow",
    [
        Seen(1, 2, "a"),
        Seen(11, 12, "a"),
        Seen(11, 12, "b"),
        Seen(19, 50, "a"),
        Seen(19, 50, "c"),
        Seen(41, 42, "c"),
    ],
)
def test_during_a_change_both_answers_are_right(follow: Seen) -> None:
    assert link(follow).impossible() == []


def test_an_answer_is_never_older_than_one_before_it() -> None:
    new, old, together = Seen(11, 12, "b"), Seen(13, 14, "a"), Seen(11.5, 14, "a")
    assert link(new, old).impossible() == [old]
    assert link(new, together).impossible() == []


@dataclass
class Replicas:
    """Three, on one PostgreSQL and one Redis, with the links that they serve."""

    postgres_url: str
    ports: list[int]
    held: redis_client.Redis
    links: list[Link] = field(default_factory=list)
    changing: dict[int, Link] = field(default_factory=dict)

    def rows(self, sql: str) -> list[Any]:
        with (
            closing(psycopg2.connect(self.postgres_url.replace("+pool", ""))) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(sql)
            return list(cursor.fetchall())

    def miscounted(self) -> list[tuple[Link, int, int]]:
        """Links whose counter or number of events is not that of their redirects."""
        wait_for(lambda: self.held.xlen("clicks") == 0, 60, "the end of the stream")
        events = dict(
            self.rows(
                "SELECT url_id, count(*) FROM events WHERE event_type = 'clicked' GROUP BY url_id"
            )
        )
        counted = self.rows("SELECT id, click_count FROM urls ORDER BY id")
        counts = [
            (link, count, events.get(link.id, 0))
            for link, (_, count) in zip(self.links, counted, strict=True)
        ]
        return [
            (link, count, stored)
            for link, count, stored in counts
            if count != stored or stored not in link.clicks()
        ]


_INSERT = f"""
INSERT INTO urls (short_code, original_url, is_active, created_at, updated_at)
SELECT 'c' || n, 'https://example.com/' || n, true, now(), now()
FROM generate_series(1, {LINKS}) AS n RETURNING id, short_code, original_url
"""


@pytest.fixture
def replicas(postgres_server: Postgres) -> Iterator[Replicas]:
    with ExitStack() as stack:
        redis, database_url = Redis(), postgres_server.another_database()
        environ = {
            "DATABASE_URL": database_url + LONG_LOCKS,
            "REDIS_URL": redis.url,
            "FRONT": "true",
        }
        worker, apps = ClickWorker(**environ), [App(**environ) for _ in range(3)]
        for server in (redis, worker, *apps):
            stack.callback(server.destroy)
            server.start()
        held = stack.enter_context(redis_client.Redis.from_url(redis.url))
        three = Replicas(database_url, [app.port for app in apps], held)
        three.links += [
            Link(url_id, code, [Seen(0, 0, target)])
            for url_id, code, target in sorted(three.rows(_INSERT))
        ]
        yield three


class Someone(threading.Thread):
    """A client of all replicas, one request at a time; `trouble` is what must never happen."""

    def __init__(self, number: int, replicas: Replicas) -> None:
        super().__init__()
        self.replicas, self.random = replicas, random.Random(number)
        self.trouble: list[Exception] = []

    def run(self) -> None:
        try:
            self.act()
        except Exception as error:  # noqa: BLE001 - the test says what it was
            self.trouble.append(error)


class Follower(Someone):
    """Follows links until `over`, mostly those that are being changed at this moment."""

    def __init__(self, number: int, replicas: Replicas, over: threading.Event) -> None:
        super().__init__(number, replicas)
        self.over = over

    def act(self) -> None:
        with ExitStack() as stack:
            lines = [stack.enter_context(closing(Line(port))) for port in self.replicas.ports]
            while not self.over.wait(
                self.random.uniform(0, 0.1)
            ):  # all at full speed would leave the writers nothing of two cores
                changing = list(self.replicas.changing.values())
                link = self.random.choice(
                    changing if changing and self.random.random() < 0.7 else self.replicas.links
                )
                asked = time.monotonic()
                status, location = self.random.choice(lines).follow(link.code)
                link.follows.append(Seen(asked, time.monotonic(), location or str(status)))


class Writer(Someone):
    """Changes each of its own links a few times in turn, through any replica."""

    def __init__(self, number: int, replicas: Replicas) -> None:
        super().__init__(number, replicas)
        self.number, self.links = number, replicas.links[number::WRITERS]
        self.clients = [Client(port, patient=True) for port in replicas.ports]

    def act(self) -> None:
        self.random.shuffle(self.links)
        for number, link in enumerate(self.links * ROUNDS):
            self.replicas.changing[self.number] = link
            if self.random.random() < 0.5:
                self.replicas.held.delete(
                    f"link:{link.code}"
                )  # its time to live is over: readers find the row that is about to change
            for again in range(self.random.randint(1, 3)):
                self._change(link, f"https://example.com/{link.code}/{number}/{again}")
        for client in self.clients:
            client.close()

    def _change(self, link: Link, address: str) -> None:
        client, active = self.random.choice(self.clients), link.changes[-1].target != INACTIVE
        if link.changes[-1].target == GONE:
            return  # for good
        doings = [
            ("DELETE", None, GONE),
            *[("PUT", {"is_active": False}, INACTIVE)] * 3 * active,
            *[("PUT", {"is_active": True, "original_url": address}, address)] * 3,
            *[("PUT", {"original_url": address}, address if active else INACTIVE)] * 2,
        ]
        method, body, target = self.random.choice(doings)
        asked = time.monotonic()
        status, _, answer = client.request(method, f"/urls/{link.id}", body)
        assert status in (200, 204), (status, answer)
        link.changes.append(Seen(asked, time.monotonic(), target))


@pytest.mark.services
def test_no_answer_is_older_than_a_confirmed_change(replicas: Replicas) -> None:
    over = threading.Event()
    writers = [Writer(number, replicas) for number in range(WRITERS)]
    followers = [Follower(WRITERS + number, replicas, over) for number in range(FOLLOWERS)]
    with slow_postgres(replicas.postgres_url) as slow:
        for someone in (*followers, *writers):
            someone.start()
        for writer in writers:
            writer.join()
        over.set()
        for follower in followers:
            follower.join()
    refused = sum(client.refused for writer in writers for client in writer.clients)
    assert refused <= WRITERS * slow.times
    assert [trouble for someone in (*writers, *followers) for trouble in someone.trouble] == []
    assert [
        (link.code, follow, link.changes) for link in replicas.links for follow in link.impossible()
    ] == []
    assert [link.code for link in replicas.links if len(link.changes) == 1] == []
    assert {INACTIVE, GONE} < {follow.target for link in replicas.links for follow in link.follows}
    assert replicas.miscounted() == []
