"""Moves staged rows into their tables, set by set: a row that is there already is left alone.

Ids are kept when they are free. Rows of users come before links, and links before events.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from peewee import IntegrityError

from app import database
from app.database import db
from app.imports.columns import EVENTS, PRODUCTS, Kind
from app.imports.staging import NEW, NEW_IN_CHAIN, PLACES, REPEAT, STORED
from app.models import CLICK_TYPES

_NEW_ID = 0  # the target of a row that is to get an id that nobody has
_LARGEST_KEPT_ID = 2**62  # a larger one is replaced, so that there are always ids left to give out
_CLICKS = ", ".join(f"'{name}'" for name in CLICK_TYPES)


def merge(kind: Kind) -> dict[int, int]:
    """Makes the rows that `kind`'s staging table asks for; by file, how many it has not made."""
    for column, owner in kind.references():
        _resolve(kind, column, owner)
    has_identities = bool(kind.keys) or not _any(kind, "id IS NULL")
    at_once = has_identities and _store_at_once(kind)
    if not at_once:
        _OTHERWISE.get(kind, _merge_by_keys)(kind)
    if kind is EVENTS:
        _count_clicks(kind)
    return {} if at_once else _skipped(kind)


def _run(kind: Kind, sql: str) -> Any:
    """Runs SQL in which {table}, {staged} and {columns} (all but the id) are those of `kind`."""
    columns = ", ".join(name for name in kind.names() if name != "id")
    return db.execute_sql(sql.format(table=kind.table, staged=kind.staged, columns=columns))


def _any(kind: Kind, which: str) -> bool:
    return bool(_run(kind, f"SELECT 1 FROM {{staged}} WHERE {which} LIMIT 1").fetchone())


def _resolve(kind: Kind, column: str, owner: str) -> None:
    """Turns a file's reference into a stored id: that of the file's own row, else the same id."""
    first = f"SELECT min(n) FROM staged_{owner} WHERE id IS NOT NULL GROUP BY id"
    _run(
        kind,
        f"UPDATE {{staged}} SET {column} = became.target FROM staged_{owner} AS became "
        f"WHERE became.id = {{staged}}.{column} AND became.target <> became.id "
        f"AND became.n IN ({first})",
    )
    orphan = (
        f"{column} IS NOT NULL "
        f"AND NOT EXISTS (SELECT 1 FROM {owner} WHERE {owner}.id = {{staged}}.{column})"
    )
    note = f"'{column} refers to nothing, loaded without'"
    sql = f"INSERT INTO import_notes SELECT n, 1, {note} FROM {{staged}} WHERE {orphan}"
    if _run(kind, sql).rowcount:
        _run(kind, f"UPDATE {{staged}} SET {column} = NULL WHERE {orphan}")


# ---- new rows and their ids ----


def _store_at_once(kind: Kind) -> bool:
    """Whether all rows were new and kept their ids: the usual case, and the cheapest to try."""
    largest = _run(kind, "SELECT max(id) FROM {staged}").fetchone()[0] or 0
    if largest <= _LARGEST_KEPT_ID:
        with suppress(IntegrityError), db.atomic():
            _pass_ids(kind, largest)
            own_id = database.dialect().own_id.format(table=kind.table)
            rows = f"SELECT {own_id}, {{columns}} FROM {{staged}}"
            _run(kind, f"INSERT INTO {{table}} (id, {{columns}}) {rows}")
            return True
    _run(kind, database.dialect().analyze)
    return False


def _pass_ids(kind: Kind, largest: int) -> None:
    """Makes ids that are given out from now on larger than `largest`."""
    db.execute_sql(database.dialect().past_ids.format(table=kind.table, largest=largest))


def _find_new_ids(kind: Kind, fate: int) -> None:
    """Marks rows that cannot keep their id: it is none, too large, stored, or an earlier row's."""
    mark = f"UPDATE {{staged}} SET target = {_NEW_ID}"
    _run(kind, f"{mark} WHERE fate = {fate} AND (id IS NULL OR id > {_LARGEST_KEPT_ID})")
    _run(kind, f"{mark} FROM {{table}} WHERE {{table}}.id = {{staged}}.id AND fate = {fate}")
    _later_of_same(kind, "id", f"fate = {fate} AND target IS NULL", f"target = {_NEW_ID}")


def _store(kind: Kind, fate: int) -> None:
    """Inserts the rows of this fate; marked ones get new ids, behind those that are kept."""
    kept = f"SELECT max(id) FROM {{staged}} WHERE fate = {fate} AND target IS NULL"
    largest = _run(kind, kept).fetchone()[0] or 0
    if largest:
        _pass_ids(kind, largest)
    which = f"fate = {fate} AND target = {_NEW_ID}"
    new_ids = database.dialect().new_ids
    db.execute_sql(
        new_ids.format(table=kind.table, staged=kind.staged, which=which, largest=largest)
    )
    rows = f"SELECT coalesce(target, id), {{columns}} FROM {{staged}} WHERE fate = {fate}"
    _run(kind, f"INSERT INTO {{table}} (id, {{columns}}) {rows}")


def _later_of_same(kind: Kind, key: str, which: str, become: str) -> None:
    """Of the rows that share a key, changes all but the first."""
    shared = (
        f"SELECT {key} AS shared_key, min(n) AS first FROM {{staged}} WHERE {which} "
        f"GROUP BY {key} HAVING count(*) > 1"
    )
    _run(
        kind,
        f"UPDATE {{staged}} SET {become} FROM ({shared}) AS shared "
        f"WHERE {_of('{staged}', key)} = shared_key AND n > first AND {which}",
    )


def _of(table: str, key: str) -> str:
    return key.replace("(", f"({table}.") if "(" in key else f"{table}.{key}"


# ---- users and links: a row is the same as another when a unique key says so ----


def _merge_by_keys(kind: Kind) -> None:
    """As if row after row were stored, unless one of its keys is: the first of a key is new."""
    _match(kind, NEW, STORED)
    for key in kind.keys:
        _later_of_same(kind, key, "target IS NULL", f"fate = {REPEAT}")
    _find_new_ids(kind, NEW)
    _store(kind, NEW)
    _match(kind, REPEAT, REPEAT)
    if _choose_in_chains(kind):
        _find_new_ids(kind, NEW_IN_CHAIN)
        _store(kind, NEW_IN_CHAIN)
        _match(kind, REPEAT, REPEAT)


def _match(kind: Kind, fate: int, becomes: int) -> None:
    """Rows whose key is stored stand for the row that has it."""
    for key in kind.keys:
        _run(
            kind,
            f"UPDATE {{staged}} SET target = {{table}}.id, fate = {becomes} FROM {{table}} "
            f"WHERE fate = {fate} AND target IS NULL "
            f"AND {_of('{table}', key)} = {_of('{staged}', key)}",
        )


def _choose_in_chains(kind: Kind) -> bool:
    """Finds rows that shared a key only with rows that were not stored; whether there are any.

    Those are new after all: row after row, each of them unless it conflicts with one before.
    """
    text = database.dialect().text
    unique = ", ".join(f"key{number} TEXT {text} UNIQUE" for number in range(len(kind.keys)))
    _run(kind, f"CREATE TEMPORARY TABLE chosen (n BIGINT, {unique})")
    chosen = _run(
        kind,
        f"INSERT INTO chosen SELECT n, {', '.join(kind.keys)} FROM {{staged}} "
        f"WHERE fate = {REPEAT} AND target IS NULL ORDER BY n ON CONFLICT DO NOTHING",
    )
    if chosen.rowcount:
        new = f"fate = {NEW_IN_CHAIN} WHERE n IN (SELECT n FROM chosen)"
        _run(kind, f"UPDATE {{staged}} SET {new}")
    _run(kind, "DROP TABLE chosen")
    return bool(chosen.rowcount)


# ---- events: a row is the same as another when all that it says is the same ----

_CONTENT = ("coalesce({0}.url_id, 0)", "{0}.event_type", "{0}.timestamp", "{0}.details")


def _content(table: str) -> str:
    return ", ".join(_CONTENT).format(table)


def _keyed(table: str) -> str:
    return ", ".join(f"{part.format(table)} AS k{at}" for at, part in enumerate(_CONTENT))


def _merge_events(kind: Kind) -> None:
    _run(
        kind,
        f"UPDATE staged_events SET fate = {STORED} FROM events AS other "
        f"WHERE other.id = staged_events.id AND {_SAME_CONTENT}",
    )
    _find_new_ids(kind, NEW)
    if _any(kind, _WITHOUT_ID):
        _find_repeats(kind)
        _find_stored(kind)
    _store(kind, NEW)


_SAME_CONTENT = f"({_content('staged_events')}) = ({_content('other')})"
_WITHOUT_ID = f"staged_events.fate = {NEW} AND staged_events.target = {_NEW_ID}"


def _find_repeats(kind: Kind) -> None:
    """Of the rows that need a new id, those that say what an earlier row with their id says."""
    _run(
        kind,
        f"UPDATE staged_events SET fate = {REPEAT}, target = other.id FROM staged_events AS other "
        f"WHERE {_WITHOUT_ID} AND other.fate = {NEW} AND other.target IS NULL "
        f"AND other.id = staged_events.id AND {_SAME_CONTENT}",
    )


def _find_stored(kind: Kind) -> None:
    """Of the rows that need a new id, as many as earlier imports stored under other ids."""
    staged, stored = _content("staged_events"), _content("events")
    sought = f"SELECT {staged} FROM staged_events WHERE {_WITHOUT_ID}"
    times = (
        f"SELECT {_keyed('events')}, count(*) AS times FROM events "
        f"WHERE ({stored}) IN ({sought}) GROUP BY {stored}"
    )
    ranked = (
        f"SELECT n, row_number() OVER (PARTITION BY {staged} ORDER BY n) AS rank, "
        f"{_keyed('staged_events')} FROM staged_events WHERE {_WITHOUT_ID}"
    )
    same = " AND ".join(f"stored.k{at} = again.k{at}" for at in range(len(_CONTENT)))
    _run(
        kind,
        f"UPDATE staged_events SET fate = {STORED} "
        f"FROM ({ranked}) AS again JOIN ({times}) AS stored ON {same} "
        "WHERE again.n = staged_events.n AND again.rank <= stored.times",
    )


def _count_clicks(kind: Kind) -> None:
    clicks = (
        f"SELECT url_id, count(*) AS clicks FROM staged_events WHERE fate = {NEW} "
        f"AND event_type IN ({_CLICKS}) AND url_id IS NOT NULL GROUP BY url_id"
    )
    database.lock("drain")  # which counts many links at once too, in another order
    _run(
        kind,
        "UPDATE urls SET click_count = click_count + more.clicks "
        f"FROM ({clicks}) AS more WHERE more.url_id = urls.id",
    )


# ---- products: a row is the same as another by its id, or else by its name and category ----


def _merge_products(kind: Kind) -> None:
    stored = f"UPDATE {{staged}} SET fate = {STORED}, target = {{table}}.id FROM {{table}} WHERE"
    _run(kind, f"{stored} {{table}}.id = {{staged}}.id")
    same = " AND ".join(f"{{table}}.{name} = {{staged}}.{name}" for name in ("name", "category"))
    _run(kind, f"{stored} {{staged}}.id IS NULL AND {same}")
    _find_new_ids(kind, NEW)
    _store(kind, NEW)


_OTHERWISE: dict[Kind, Callable[[Kind], None]] = {
    EVENTS: _merge_events,
    PRODUCTS: _merge_products,
}


# ---- what became of the rows ----


def _skipped(kind: Kind) -> dict[int, int]:
    """By file, how many rows were there already; notes those that repeat another row."""
    note = "'is the same as an earlier row, merged into id ' || target"
    repeats = f"SELECT n, 2, {note} FROM {{staged}} WHERE fate = {REPEAT}"
    _run(kind, f"INSERT INTO import_notes {repeats}")
    counts = (
        f"SELECT n / {PLACES}, count(*) FROM {{staged}} "
        f"WHERE fate IN ({STORED}, {REPEAT}) GROUP BY 1"
    )
    return {int(file): int(rows) for file, rows in _run(kind, counts).fetchall()}
