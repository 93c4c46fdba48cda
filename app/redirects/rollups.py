"""Moves the journal of clicks into the roll-ups: counts by day, by hour and by value.

Each row of the journal is moved once, by one process at a time.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from app import database
from app.database import db
from app.redirects.counting import DIMENSIONS, NO_LINK
from app.redirects.visitors import OTHER
from app.repeating import UntilDone

ALL_LINKS = 0
"""In place of a link's id; deleted links are among them."""
HOURS_KEPT_DAYS = 14
MOST_VALUES = 1000
"""Of one dimension of one link; further ones are counted as "other"."""
_ENTRIES, _CHUNK, _STORED = 20, 500, 100

Counts = dict[tuple[Any, ...], list[int]]
"""How many people and robots each key of a table has more."""


def fold() -> int:
    """Moves the whole journal into the tables; how many rows. Raises DatabaseUnavailable."""
    total = 0
    while db.execute_sql("SELECT 1 FROM click_journal LIMIT 1").fetchone():
        with db.atomic():
            database.take_turn("rollups")
            total += _fold_some()
    return total


def _fold_and_forget() -> None:
    fold()
    forget_hours()


_folding = UntilDone(_fold_and_forget, "folding the journal of clicks")
_stored = itertools.count(1)


def fold_sometimes() -> None:
    """Called for each click that is stored alone: so that the journal stays short everywhere."""
    if next(_stored) % _STORED == 0:
        _folding.start()


_TAKE = """
DELETE FROM click_journal WHERE id IN (SELECT id FROM click_journal ORDER BY id LIMIT {})
RETURNING entry
"""
_EXISTING = "SELECT id FROM urls WHERE id IN ({})"


def _fold_some() -> int:
    entries = [json.loads(entry) for (entry,) in db.execute_sql(_TAKE.format(_ENTRIES)).fetchall()]
    days, hours, values = _sums(_of_existing([line for entry in entries for line in entry]))
    _add("click_days", ("url_id", "day"), days)
    kept = {key: more for key, more in hours.items() if key[1] >= first_hour()}
    _add("click_hours", ("url_id", "hour"), kept)
    _add("click_values", _VALUE, _bounded(values))
    return len(entries)


def _of_existing(lines: Iterable[Sequence[Any]]) -> Iterator[tuple[int, Sequence[Any]]]:
    """Each line for its link and for all links; a link may have gone with its user since."""
    lines = list(lines)
    ids = ", ".join({str(line[0]) for line in lines})
    existing = {url_id for (url_id,) in db.execute_sql(_EXISTING.format(ids or 0)).fetchall()}
    for line in lines:
        if line[0] != NO_LINK:
            yield ALL_LINKS, line
        if line[0] in existing or line[0] == NO_LINK:
            yield line[0], line


def _sums(lines: Iterable[tuple[int, Sequence[Any]]]) -> tuple[Counts, Counts, Counts]:
    """What days, hours and values have more."""
    days: Counts = defaultdict(lambda: [0, 0])
    hours: Counts = defaultdict(lambda: [0, 0])
    values: Counts = defaultdict(lambda: [0, 0])
    for url_id, (_, hour, robot, *texts, number) in lines:
        days[url_id, hour // 24][robot] += number
        hours[url_id, hour][robot] += number
        for dimension, text in zip(DIMENSIONS, texts, strict=True):
            if text:
                values[url_id, dimension, text][robot] += number
    return days, hours, values


_VALUE = ("url_id", "dimension", "value")
_CHANGE = """
WITH more (url_id, dimension, value, people, robots) AS (VALUES {rows}) UPDATE click_values SET
    people = click_values.people + more.people, robots = click_values.robots + more.robots
FROM more WHERE click_values.url_id = more.url_id
    AND click_values.dimension = more.dimension {text} AND click_values.value = more.value {text}
RETURNING click_values.url_id, click_values.dimension, click_values.value
"""
_SIZES = """
SELECT url_id, dimension, count(*) FROM click_values WHERE url_id IN ({}) GROUP BY url_id, dimension
"""


def _bounded(values: Counts) -> Counts:
    """Adds to the values that are known; the others, "other" in place of those without room."""
    known = {tuple(key) for key in _run(_CHANGE, values)}
    new = sorted(values.keys() - known)
    sizes = _sizes({key[0] for key in new})
    added: Counts = defaultdict(lambda: [0, 0])
    for url_id, dimension, value in new:
        sizes[url_id, dimension] += 1
        full = sizes[url_id, dimension] > MOST_VALUES
        sums = added[url_id, dimension, OTHER if full else value]
        for robot, number in enumerate(values[url_id, dimension, value]):
            sums[robot] += number
    return added


def _sizes(url_ids: Collection[int]) -> Counter[tuple[int, str]]:
    """How many values each dimension of these links has."""
    if not url_ids:
        return Counter()
    rows = db.execute_sql(_SIZES.format(", ".join(map(str, url_ids)))).fetchall()
    return Counter({(url_id, dimension): size for url_id, dimension, size in rows})


_ADD = """
INSERT INTO {table} ({keys}, people, robots) VALUES {rows} ON CONFLICT ({keys}) DO UPDATE SET
    people = {table}.people + excluded.people, robots = {table}.robots + excluded.robots
RETURNING 1
"""


def _add(table: str, keys: Sequence[str], counts: Counts) -> None:
    for _ in _run(_ADD, counts, table=table, keys=", ".join(keys)):
        pass


def _run(sql: str, counts: Counts, **names: str) -> Iterator[Sequence[Any]]:
    """The rows that `sql` returns for the counts, a chunk of them at a time."""
    rows = [(*key, *more) for key, more in sorted(counts.items())]
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        marks = ", ".join([f"({', '.join([db.param] * len(chunk[0]))})"] * len(chunk))
        values = [value for row in chunk for value in row]
        sql_text = sql.format(rows=marks, text=database.dialect().text, **names)
        yield from db.execute_sql(sql_text, values).fetchall()


def first_hour() -> int:
    """Hours are kept from midnight on, 14 days ago, in UTC."""
    return (int(time.time()) // 86_400 - HOURS_KEPT_DAYS) * 24


_FORGET = "DELETE FROM click_hours WHERE hour < {}"


def forget_hours() -> None:
    """Deletes the hours that are no longer kept."""
    db.execute_sql(_FORGET.format(first_hour()))


_LEAVE = "DELETE FROM {} WHERE url_id IN (SELECT id FROM urls WHERE user_id = ?)"


def forget_user(user_id: int) -> None:
    """Deletes what is counted of a user's links, in the running transaction before they go."""
    database.lock("rollups")
    for table in ("click_days", "click_hours", "click_values"):
        db.execute_later(_LEAVE.format(table).replace("?", db.param), [user_id])
