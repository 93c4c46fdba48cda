"""Counts clicks in the transaction that stores or deletes them: on their links, and in a journal.

The journal has one row for each transaction, so that none waits for a row that all clicks change.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from app.database import db
from app.redirects.clicks import Click
from app.redirects.visitors import NOBODY, Kind, kind_of, kind_of_details
from app.redirects.visits import stored
from app.repeating import UntilDone

DIMENSIONS = ("browser", "system", "device", "referrer", "campaign")
"""What is counted by value: the texts of a Kind, in its order."""
NO_LINK = -1
"""In place of a link's id: visits that led to none."""

Lines = Counter[tuple[int, int, Kind]]
"""How many clicks each link, hour and kind has more, or less; hours count from 1970, in UTC."""


def line_of(click: Click) -> tuple[int, int, Kind]:
    """What is counted of a click on a link."""
    link: Any = click.link
    return link.url_id, click.ms // 3_600_000, kind_of(stored(click.visitor), link.original_url)


def line_of_event(url_id: int, timestamp: datetime | str, details: str) -> tuple[int, int, Kind]:
    """The same for an event, from its moment in UTC and its details as they are stored."""
    if isinstance(timestamp, str):  # as SQLite returns it
        timestamp = datetime.fromisoformat(timestamp)
    hour = int(timestamp.replace(tzinfo=UTC).timestamp()) // 3600
    return url_id, hour, kind_of_details(details)


_COUNT = """
WITH more (id, people, robots) AS (VALUES {}) UPDATE urls SET
    click_count = click_count + more.people + more.robots,
    people_count = people_count + more.people, robot_count = robot_count + more.robots
FROM more WHERE urls.id = more.id RETURNING urls.id, urls.user_id
"""
_ADD = "INSERT INTO click_journal (entry) VALUES (?)"


def count(lines: Lines, included: Lines | None = None) -> dict[int, int | None]:
    """Counts clicks within the running transaction; the owner of each link that still exists.

    `included`: those of them that the links' own numbers have counted already.
    """
    if not lines:
        return {}
    more: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for (url_id, _, kind), number in lines.items():
        more[url_id][kind[0]] += number
    for (url_id, _, kind), number in (included or {}).items():
        more[url_id][kind[0]] -= number
    # In the order of their ids, as all who lock many links.
    rows = ", ".join(f"({url_id}, {ps}, {rs})" for url_id, (ps, rs) in sorted(more.items()))
    owners: dict[int, int | None] = dict(db.execute_sql(_COUNT.format(rows)).fetchall())
    _add(lines, owners)
    return owners


def uncount(event: Any) -> None:
    """Counts a click less that is being deleted, a row of `events`."""
    if event.id > _last_uncounted():
        count(Lines({line_of_event(event.url_id, event.timestamp, event.details): -1}))
    else:
        db.execute_sql(_COUNT_ONE_LESS.replace("?", db.param), [event.url_id])


_COUNT_ONE_LESS = "UPDATE urls SET click_count = click_count - 1 WHERE id = ?"


def _last_uncounted() -> int:
    """The last event from before there were statistics; migration 0003 noted it."""
    found = db.execute_sql("SELECT value FROM facts WHERE name = 'uncounted'").fetchone()
    return int(found[0]) if found else 0


def note(lines: Lines) -> None:
    """Adds lines of links to the journal, in the running transaction that counts them there."""
    _add(lines, {url_id for url_id, _, _ in lines})


def note_orphans(visits: Mapping[int, int]) -> None:
    """Notes how many visits of each hour led to no link."""
    _add(Lines({(NO_LINK, hour, NOBODY): n for hour, n in visits.items()}), (NO_LINK,))


def _add(lines: Lines, url_ids: Container[int]) -> None:
    """One row of the journal, sent with the next statement of the running transaction.

    It is a JSON array: the kinds, and the lines, in which a kind is its place among the kinds.
    """
    kinds: dict[Kind, int] = {}
    placed = [
        (url_id, hour, kinds.setdefault(kind, len(kinds)), number)
        for (url_id, hour, kind), number in lines.items()
        if url_id in url_ids
    ]
    if placed:
        entry = json.dumps([list(kinds), placed])
        db.execute_later(_ADD.replace("?", db.param), [entry])


def lines_of(entry: str) -> Iterator[tuple[int, int, Kind, int]]:
    """The lines of a row of the journal: link, hour, kind, number."""
    kinds, placed = json.loads(entry)
    kinds = [Kind(*kind) for kind in kinds]
    return ((url_id, hour, kinds[place], number) for url_id, hour, place, number in placed)


class Orphans:
    """Visits that led to no link, counted here until they are noted, all in one row."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._visits: Counter[int] = Counter()  # by hour
        self._noting = UntilDone(self.flush, "counting visits that led to no link")

    def add(self) -> None:
        with self._lock:
            self._visits[int(time.time()) // 3600] += 1
        self._noting.start()

    def flush(self) -> None:
        """Notes what was counted up to now; raises DatabaseUnavailable, and keeps it then."""
        with self._lock:
            visits, self._visits = self._visits, Counter()
        try:
            if visits:
                with db.atomic():
                    note_orphans(visits)
        except BaseException:
            with self._lock:
                self._visits += visits
            raise


orphans = Orphans()
