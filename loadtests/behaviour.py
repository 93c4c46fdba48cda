"""One user: mostly follows links, also reads, makes and changes them, and checks every answer."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from locust import task

from loadtests.asking import PLAN, Client, names, record

FIRST_LINKS = 100


class Link(NamedTuple):
    id: int
    code: str
    leads_to: str


links: list[Link] = []
"""Those that everybody follows; the older, the more often."""

people: list[int] = []


def popular() -> Link:
    return links[int(len(links) * random.random() ** 3)]


def tail_link() -> Link:
    """One of the old links that testkit/service.py puts into the database."""
    number = random.randrange(PLAN.tail)
    return Link(0, f"T{number:05}", f"https://example.com/tail/{number:05}")


def is_list(answer: Any) -> bool:
    return isinstance(answer, list) and len(answer) <= 100


class Visitor(Client):
    """Pauses after each thing it does, between half and one and a half times the average."""

    network_timeout = 30.0

    def wait_time(self) -> float:
        return PLAN.pause_seconds * random.uniform(0.5, 1.5)

    def follow(self, link: Link) -> None:
        """One click, which must lead where the link leads."""
        with self.asking("GET", f"/{link.code}", "GET /<code>", 302) as answer:
            if answer.status_code == 302:
                record.clicks[link.code] += 1
                cached = answer.headers.get("X-Cache")
                answer.request_meta["name"] += f" {cached}"
                if answer.headers.get("Location") != (
                    PLAN.constant or link.leads_to
                ) or cached not in ("HIT", "MISS"):
                    answer.failure(
                        f"wrong: X-Cache {cached}, Location {answer.headers.get('Location')}"
                    )
            elif not answer.status_code:
                record.unknown[link.code] += 1

    def make_link(self) -> Link | None:
        address = names.address()
        content = {"original_url": address, "title": "under load", "user_id": random.choice(people)}
        made = self.ask(
            "POST",
            "/urls",
            "/urls",
            lambda url: PLAN.constant or url["original_url"] == address,
            json=content,
        )
        return made and Link(made["id"], made["short_code"], address)

    def change(self, link: Link, **changes: Any) -> None:
        self.ask(
            "PUT", f"/urls/{link.id}", "/urls/<id>", lambda url: url["id"] == link.id, json=changes
        )

    @task(60)
    def follow_popular(self) -> None:
        self.follow(popular())

    @task(10)
    def follow_forgotten(self) -> None:
        self.follow(tail_link() if PLAN.tail else popular())

    @task(2)
    def follow_nothing(self) -> None:
        with self.asking("GET", f"/unknown-{random.randrange(10**6)}", "GET /<unknown code>", 404):
            pass

    @task(6)
    def look_at_products(self) -> None:
        size = random.choice((20, 20, 20, 5, 10))
        with self.asking("GET", f"/products?per_page={size}", "GET /products", 200) as answer:
            if answer.status_code == 200:
                answer.request_meta["name"] += f" {answer.headers.get('X-Cache')}"

    @task(4)
    def check_health(self) -> None:
        self.ask("GET", "/health", "/health", lambda health: health["status"] == "ok")

    @task(4)
    def shorten(self) -> None:
        link = self.make_link()
        if link and not PLAN.constant:
            links.append(link)

    @task(2)
    def join(self) -> None:
        person = names.person()
        made = self.ask(
            "POST",
            "/users",
            "/users",
            lambda user: PLAN.constant or user["username"] == person["username"],
            json=person,
        )
        if made:
            people.append(made["id"])

    @task(1)
    def rename(self) -> None:
        """A user of its own, since two at once would not know what to expect."""
        made = self.ask(
            "POST", "/users", "/users", lambda user: user["id"] > 0, json=names.person()
        )
        if made:
            changed = {"username": names.new("renamed")}
            self.ask(
                "PUT",
                f"/users/{made['id']}",
                "/users/<id>",
                lambda user: PLAN.constant or user["username"] == changed["username"],
                json=changed,
            )

    @task(3)
    def read_link(self) -> None:
        link = popular()
        self.ask(
            "GET", f"/urls/{link.id}", "/urls/<id>", lambda url: url["short_code"] == link.code
        )

    @task(2)
    def read_user(self) -> None:
        number = random.choice(people)
        self.ask("GET", f"/users/{number}", "/users/<id>", lambda user: user["id"] == number)

    @task(1)
    def read_stats(self) -> None:
        link = popular()
        seen = record.clicks[link.code]
        self.ask(
            "GET",
            f"/urls/{link.id}/stats",
            "/urls/<id>/stats",
            lambda stats: PLAN.constant or stats["redirect_count"] >= seen,
        )

    @task(2)
    def page_through_links(self) -> None:
        self.ask("GET", f"/urls?page={random.randint(1, 50)}&per_page=20", "/urls?page=", is_list)
        self.ask(
            "GET", f"/urls?after={random.choice(links).id}&per_page=20", "/urls?after=", is_list
        )

    @task(1)
    def look_at_own_links(self) -> None:
        self.ask(
            "GET", f"/users/{random.choice(people)}/urls?per_page=10", "/users/<id>/urls", is_list
        )

    @task(1)
    def page_through_users(self) -> None:
        self.ask("GET", f"/users?page={random.randint(1, 20)}&per_page=10", "/users?page=", is_list)

    @task(1)
    def look_at_events(self) -> None:
        self.ask("GET", "/events?per_page=10", "/events", is_list)
        self.ask("GET", f"/urls/{popular().id}/events?per_page=10", "/urls/<id>/events", is_list)

    @task(1)
    def note_event(self) -> None:
        link = popular()
        content = {"event_type": "shared", "url_id": link.id, "details": {"by": names.run}}
        self.ask(
            "POST", "/events", "/events", lambda event: event["url_id"] == link.id, json=content
        )

    @task(2)
    def retitle(self) -> None:
        self.change(popular(), title=names.new("title"))

    @task(1)
    def change_its_mind(self) -> None:
        """Each change of a link of its own must be true for the very next request, whichever
        replica answers.
        """
        link = self.make_link()
        if link:
            self.follow(link)
            link = link._replace(leads_to=names.address())
            self.change(link, original_url=link.leads_to)
            self.follow(link)
            self.change(link, is_active=False)
            with self.asking(
                "GET", f"/urls/{link.code}/redirect", "GET /urls/<code>/redirect (deactivated)", 410
            ):
                pass
            self.change(link, is_active=True)
            self.follow(link)
