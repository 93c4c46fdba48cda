"""Moves the journal of clicks into the roll-ups: counts by hour, later by day, and by value.

Each row of the journal is moved once, by one process at a time.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from app import bulk, database
from app.database import db
from app.redirects.counting import DIMENSIONS, NO_LINK, lines_of
from app.redirects.visitors import OTHER, Kind
from app.repeating import UntilDone

ALL_LINKS = 0
"""In place of a link's id; deleted links are among them."""
HOURS_KEPT_DAYS = 14
MOST_VALUES = 1000
"""Of one dimension of one link; further ones are counted as "other"."""
_ENTRIES, _STORED = 20, 100

Line = tuple[int, int, Kind, int]
Counts = dict[tuple[Any, ...], list[int]]
"""How many people and robots each key has more."""


def fold() -> int:
    """Moves the whole journal into the tables; how many rows. Raises DatabaseUnavailable."""
    total = 0
    while db.execute_sql("SELECT 1 FROM click_journal LIMIT 1").fetchone():
        with db.atomic():
            database.lock_briefly("rollups")
            total += _fold_some()
    return total


def _fold_and_compact() -> None:
    fold()
    compact()


folding = UntilDone(_fold_and_compact, "folding the journal of clicks")
_stored = itertools.count(1)


def fold_sometimes() -> None:
    """Called for each click that is stored alone: so that the journal stays short everywhere."""
    if next(_stored) % _STORED == 0:
        folding.start()


_TAKE = """
DELETE FROM click_journal WHERE id IN (SELECT id FROM click_journal ORDER BY id LIMIT {})
RETURNING entry
"""
_EXISTING = "SELECT id FROM urls WHERE id IN ({})"


def _fold_some() -> int:
    entries = [entry for (entry,) in db.execute_sql(_TAKE.format(_ENTRIES)).fetchall()]
    lines = _of_existing([line for entry in entries for line in lines_of(entry)])
    hours, values = _sums(lines)
    _add(hours, _bounded(values))
    return len(entries)


def _of_existing(lines: list[Line]) -> list[Line]:
    """The lines of each link, which may have gone with its user since, and those of all links."""
    ids = {line[0] for line in lines}
    found = db.execute_sql(_EXISTING.format(", ".join(map(str, ids)) or 0)).fetchall()
    gone = ids - {url_id for (url_id,) in found} - {NO_LINK}
    of_all: Counter[tuple[int, Kind]] = Counter()
    for url_id, hour, kind, number in lines:
        if url_id != NO_LINK:
            of_all[hour, kind] += number
    kept = [line for line in lines if line[0] not in gone] if gone else lines
    return kept + [(ALL_LINKS, hour, kind, number) for (hour, kind), number in of_all.items()]


def _sums(lines: Iterable[Line]) -> tuple[Counts, Counts]:
    """What hours and values have more."""
    hours: Counts = defaultdict(lambda: [0, 0])
    values: Counts = defaultdict(lambda: [0, 0])
    for url_id, hour, (robot, *texts), number in lines:
        hours[url_id, hour][robot] += number
        for dimension, text in zip(DIMENSIONS, texts, strict=True):
            if text:
                values[url_id, dimension, text][robot] += number
    return hours, values


_SIZES = """
SELECT url_id, dimension, count(*) FROM click_values WHERE url_id IN ({ids})
GROUP BY url_id, dimension HAVING count(*) > {most}
"""
_KNOWN = "SELECT value FROM click_values WHERE url_id = ? AND dimension = ?"


def _bounded(values: Counts) -> Counts:
    """The values, of which those that have no room are "other"."""
    more = Counter((url_id, dimension) for url_id, dimension, _ in values)
    ids = ", ".join(map(str, {url_id for url_id, _ in more})) or 0
    least = MOST_VALUES - max(more.values(), default=0)
    sizes = db.execute_sql(_SIZES.format(ids=ids, most=least)).fetchall()
    counted = {(url_id, dimension): size for url_id, dimension, size in sizes}
    full = {pair for pair, new in more.items() if counted.get(pair, 0) + new > MOST_VALUES}
    room = {pair: _Room(*pair) for pair in full}
    bounded: Counts = defaultdict(lambda: [0, 0])
    for url_id, dimension, value in sorted(values):
        pair = url_id, dimension
        kept = value if pair not in full or room[pair].has(value) else OTHER
        sums = bounded[url_id, dimension, kept]
        for robot, number in enumerate(values[url_id, dimension, value]):
            sums[robot] += number
    return bounded


class _Room:
    """Which values of a link's dimension are stored, and how many more may be."""

    def __init__(self, url_id: int, dimension: str) -> None:
        found = db.execute_sql(_KNOWN.replace("?", db.param), [url_id, dimension]).fetchall()
        self._known = {value for (value,) in found}

    def has(self, value: str) -> bool:
        if value not in self._known and len(self._known) < MOST_VALUES:
            self._known.add(value)
        return value in self._known


# Many rows at once: a statement with all of them in it takes four times as long.
_MORE = """
CREATE TEMPORARY TABLE folded (url_id BIGINT, hour INTEGER, dimension VARCHAR(10) {text},
    value VARCHAR(100) {text}, people BIGINT, robots BIGINT)
"""
_ADD = """
INSERT INTO {table} ({keys}, people, robots) {rows} ON CONFLICT ({keys}) DO UPDATE SET
    people = {table}.people + excluded.people, robots = {table}.robots + excluded.robots
"""
_BY_DAY = """
SELECT url_id, hour / 24, sum(people), sum(robots) FROM {} WHERE {} GROUP BY url_id, hour / 24
"""
_BY_VALUE = "SELECT url_id, dimension, value, people, robots FROM folded WHERE dimension <> ''"
_BY_HOUR = """
SELECT url_id, hour, people, robots FROM folded WHERE dimension = '' AND hour >= {}
"""


def _add(hours: Counts, values: Counts) -> None:
    db.execute_sql(_MORE.format(text=database.dialect().text))
    rows = [(url_id, hour, "", "", *more) for (url_id, hour), more in hours.items()]
    rows += [(url_id, 0, *value, *more) for (url_id, *value), more in values.items()]
    bulk.insert("folded", ("url_id", "hour", "dimension", "value", "people", "robots"), rows)
    kept = first_hour()
    _add_rows("click_hours", "url_id, hour", _BY_HOUR.format(kept))
    if any(hour < kept for _, hour in hours):
        old = f"dimension = '' AND hour < {kept}"
        _add_rows("click_days", "url_id, day", _BY_DAY.format("folded", old))
    _add_rows("click_values", "url_id, dimension, value", _BY_VALUE)
    db.execute_sql("DROP TABLE folded")


def _add_rows(table: str, keys: str, rows: str) -> None:
    db.execute_sql(_ADD.format(table=table, keys=keys, rows=rows))


def first_hour() -> int:
    """Hours are kept from midnight on, 14 days ago, in UTC."""
    return (int(time.time()) // 86_400 - HOURS_KEPT_DAYS) * 24


_OLDEST = "SELECT min(hour) FROM click_hours"
_FORGET = "DELETE FROM click_hours WHERE hour <= {}"


def compact() -> None:
    """Makes days of the hours that are no longer kept, one hour after the other."""
    while (oldest := db.execute_sql(_OLDEST).fetchone()[0]) is not None and oldest < first_hour():
        with database.without_timeouts(), db.atomic():
            database.lock("rollups")
            days = _BY_DAY.format("click_hours", f"hour <= {oldest}")
            _add_rows("click_days", "url_id, day", days)
            db.execute_sql(_FORGET.format(oldest))


_LEAVE = "DELETE FROM {} WHERE url_id IN (SELECT id FROM urls WHERE user_id = ?)"


def forget_user(user_id: int) -> None:
    """Deletes what is counted of a user's links, in the running transaction before they go."""
    database.lock("rollups")
    for table in ("click_days", "click_hours", "click_values"):
        db.execute_later(_LEAVE.format(table).replace("?", db.param), [user_id])
