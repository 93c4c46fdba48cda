"""Writes the sample data beside itself, always the same: users, urls, events and products."""

from __future__ import annotations

import csv
import json
import random
import string
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

_SEED = 20240108
USERS, URLS, INACTIVE, UPDATED, DELETED = 400, 2000, 360, 1206, 216
_FIRST_DAY, _LAST_DAY = datetime(2024, 1, 8, 6), datetime(2025, 9, 30, 22)
_words = str.split
_LETTERS = string.ascii_letters + string.digits

_FIRST = _words(
    "ada alan anna boris carla dana emil erik fatima georg hana ines ivan jonas kira lena marco"
    " nadia omar paula rosa sven tara viktor"
)
_LAST = _words(
    "abel berg costa diaz egger fuchs grimm hansen ito jansen keller lang moreau novak okafor"
    " petrov quint rossi silva tanaka"
)
_HOSTS = [
    f"{name}example.{end}"
    for end in ("com", "org", "net")
    for name in ("", "www.", "docs.", "shop.", "blog.", "news.")
]
_TOPICS = _words(
    "release roadmap pricing handbook tutorial report survey webinar newsletter changelog gallery"
    " recipe catalogue invoice timetable"
)
_ADJECTIVES = _words(
    "annual autumn complete early first hidden latest monthly open quick revised second short"
    " spring weekly"
)
_REASONS = ("user_requested", "campaign_ended", "duplicate", "policy_cleanup")
_PRODUCTS = (
    ("Sticker Sheet", "merchandise", "4.50", 320),
    ("Enamel Pin", "merchandise", "7.90", 145),
    ("Canvas Tote", "merchandise", "18.00", 64),
    ("Logo Mug", "merchandise", "12.50", 88),
    ("Hooded Sweater", "clothing", "49.00", 37),
    ("Plain T-Shirt", "clothing", "21.00", 120),
    ("Wool Cap", "clothing", "16.75", 52),
    ("Socks, Pair", "clothing", "9.25", 210),
    ("Starter Plan", "subscription", "5.00", 10000),
    ("Team Plan", "subscription", "29.00", 10000),
    ("Company Plan", "subscription", "199.00", 10000),
    ("Custom Domain", "add-on", "12.00", 5000),
    ("Printed QR Codes", "add-on", "15.40", 400),
    ("Link Report", "add-on", "8.00", 2500),
    ("Onboarding Call", "service", "75.00", 20),
)

dice = random.Random()


@dataclass
class User:
    id: int
    username: str
    email: str
    created_at: datetime


@dataclass
class Event:
    timestamp: datetime
    event_type: str
    details: dict[str, object]


@dataclass
class Link:
    """A link as it is now, and the history that made it so."""

    user: User
    short_code: str
    original_url: str
    title: str
    created_at: datetime
    is_active: bool = True
    events: list[Event] = field(default_factory=list)

    def happens(self, event_type: str, **details: object) -> None:
        moment = self.events[-1].timestamp if self.events else self.created_at
        self.events.append(
            Event(
                moment + timedelta(minutes=dice.randrange(5, 2000)) if self.events else moment,
                event_type,
                details,
            )
        )


def _moment(earliest: datetime = _FIRST_DAY) -> datetime:
    return earliest + timedelta(seconds=dice.randrange(int((_LAST_DAY - earliest).total_seconds())))


def _users() -> list[User]:
    names = [f"{first}.{last}" for first in _FIRST for last in _LAST]
    dice.shuffle(names)
    moments = sorted(_moment() for _ in range(USERS))
    return [
        User(n, name, f"{name}@example.{dice.choice(('com', 'org', 'net'))}", moment)
        for n, (name, moment) in enumerate(zip(names, moments, strict=False), 1)
    ]


def _codes() -> Iterator[str]:
    """Six characters, one of them a digit: so none is ever the name of a route."""
    given: set[str] = set()
    while True:
        code = "".join(dice.choice(_LETTERS) for _ in range(6))
        if code not in given and not code.isalpha():
            given.add(code)
            yield code


def _address() -> str:
    host, page = dice.choice(_HOSTS), f"{dice.choice(_ADJECTIVES)}-{dice.choice(_TOPICS)}"
    return f"https://{host}/{page}/{dice.randrange(1000, 9999)}"


def _title() -> str:
    words = f"{dice.choice(_ADJECTIVES)} {dice.choice(_TOPICS)} {dice.randrange(2019, 2027)}"
    return words.capitalize()


def _links(users: Sequence[User]) -> list[Link]:
    owners = [dice.choice(users) for _ in range(URLS)]
    born = [(owner, _moment(owner.created_at)) for owner in owners]
    born.sort(key=lambda pair: pair[1])
    links = [
        Link(owner, code, _address(), _title(), moment)
        for (owner, moment), code in zip(born, _codes(), strict=False)
    ]
    for link in links:
        link.happens("created", short_code=link.short_code, original_url=link.original_url)
    return links


def _live(links: Sequence[Link]) -> None:
    """Titles and addresses change; then some links are deactivated, and some others deleted."""
    ending = dice.sample(links, INACTIVE)
    for _ in range(UPDATED - (INACTIVE - DELETED)):
        link = dice.choice(links)
        if dice.random() < 0.7:
            link.title = _title()
            link.happens("updated", field="title", new_value=link.title)
        else:
            link.original_url = _address()
            link.happens("updated", field="original_url", new_value=link.original_url)
    for number, link in enumerate(ending):
        link.is_active = False
        if number < DELETED:
            link.happens("deleted", reason=dice.choice(_REASONS))
        else:
            link.happens("updated", field="is_active", new_value=False)


def _write(path: Path, header: str, rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)


def _event_rows(links: Sequence[Link]) -> Iterator[Sequence[object]]:
    happened = [
        (event.timestamp, number, link.user.id, event)
        for number, link in enumerate(links, 1)
        for event in link.events
    ]
    happened.sort(key=lambda row: row[:2])
    for identity, (moment, number, user_id, event) in enumerate(happened, 1):
        yield identity, number, user_id, event.event_type, moment, json.dumps(event.details)


def generate(folder: Path) -> None:
    dice.seed(_SEED)
    users = _users()
    links = _links(users)
    _live(links)
    _write(
        folder / "users.csv",
        "id,username,email,created_at",
        ((u.id, u.username, u.email, u.created_at) for u in users),
    )
    _write(
        folder / "urls.csv",
        "id,user_id,short_code,original_url,title,is_active,created_at,updated_at",
        (
            (
                n,
                link.user.id,
                link.short_code,
                link.original_url,
                link.title,
                link.is_active,
                link.created_at,
                link.events[-1].timestamp,
            )
            for n, link in enumerate(links, 1)
        ),
    )
    _write(
        folder / "events.csv", "id,url_id,user_id,event_type,timestamp,details", _event_rows(links)
    )
    _write(
        folder / "products.csv",
        "id,name,category,price,stock",
        ((n, *product) for n, product in enumerate(_PRODUCTS, 1)),
    )


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
