"""Moves staged rows into their tables, set by set: a row that is there already is left alone.

Ids are kept when they are free. Rows of users come before links, and links before events.
"""

from __future__ import annotations

from collections.abc import Callable

from app import database
from app.imports import clicks, links
from app.imports.columns import EVENTS, PRODUCTS, URLS, Kind
from app.imports.inserting import (
    NEW_ID,
    change_later_of_same,
    find_new_ids,
    has_any,
    qualified,
    run,
    store,
    store_at_once,
)
from app.imports.staging import NEW, NEW_IN_CHAIN, PLACES, REPEAT, STORED


def merge(kind: Kind, dry_run: bool) -> dict[int, int]:
    """Makes the rows that `kind`'s staging table asks for; by file, how many it has not made.

    The caller undoes a `dry_run`, which gives no ids out.
    """
    for column, owner in kind.references():
        _resolve(kind, column, owner)
        database.trust_references()  # they are looked up above: 0.8 of COPY, not 0.7
    has_identities = bool(kind.keys) or not has_any(kind, "id IS NULL")
    at_once = has_identities and store_at_once(kind, dry_run)
    if not at_once:
        _OTHERWISE.get(kind, _merge_by_keys)(kind, dry_run)
    if kind in _AFTERWARDS:
        _AFTERWARDS[kind](kind)
    return {} if at_once else _skipped(kind)


def _resolve(kind: Kind, column: str, owner: str) -> None:
    """Turns a file's reference into a stored id: that of the file's own row, else the same id.

    What is referred to cannot be deleted before the transaction ends.
    """
    first = f"SELECT min(n) FROM staged_{owner} WHERE id IS NOT NULL GROUP BY id"
    run(
        kind,
        f"UPDATE {{staged}} SET {column} = became.target FROM staged_{owner} AS became "
        f"WHERE became.id = {{staged}}.{column} AND became.target <> became.id "
        f"AND became.n IN ({first})",
    )
    if database.dialect().locks_rows:
        given = f"SELECT {column} FROM {{staged}}"
        run(kind, f"SELECT 1 FROM {owner} WHERE id IN ({given}) FOR KEY SHARE").close()
    orphan = (
        f"{column} IS NOT NULL "
        f"AND NOT EXISTS (SELECT 1 FROM {owner} WHERE {owner}.id = {{staged}}.{column})"
    )
    note = f"'{column} refers to nothing, loaded without'"
    sql = f"INSERT INTO import_notes SELECT n, 1, {note} FROM {{staged}} WHERE {orphan}"
    if run(kind, sql).rowcount:
        run(kind, f"UPDATE {{staged}} SET {column} = NULL WHERE {orphan}")


# ---- users and links: a row is the same as another when a unique key says so ----


def _merge_by_keys(kind: Kind, dry_run: bool) -> None:
    """As if row after row were stored, unless one of its keys is: the first of a key is new."""
    _match(kind, NEW, STORED)
    for key in kind.keys:
        change_later_of_same(kind, key, "target IS NULL", f"fate = {REPEAT}")
    find_new_ids(kind, NEW)
    store(kind, NEW, dry_run)
    _match(kind, REPEAT, REPEAT)
    if _choose_in_chains(kind):
        find_new_ids(kind, NEW_IN_CHAIN)
        store(kind, NEW_IN_CHAIN, dry_run)
        _match(kind, REPEAT, REPEAT)


def _match(kind: Kind, fate: int, becomes: int) -> None:
    """Rows whose key is stored stand for the row that has it."""
    for key in kind.keys:
        run(
            kind,
            f"UPDATE {{staged}} SET target = {{table}}.id, fate = {becomes} FROM {{table}} "
            f"WHERE fate = {fate} AND target IS NULL "
            f"AND {qualified('{table}', key)} = {qualified('{staged}', key)}",
        )


def _choose_in_chains(kind: Kind) -> bool:
    """Finds rows that shared a key only with rows that were not stored; whether there are any.

    Those are new after all: row after row, each of them unless it conflicts with one before.
    """
    text = database.dialect().text
    unique = ", ".join(f"key{number} TEXT {text} UNIQUE" for number in range(len(kind.keys)))
    run(kind, f"CREATE TEMPORARY TABLE chosen (n BIGINT, {unique})")
    chosen = run(
        kind,
        f"INSERT INTO chosen SELECT n, {', '.join(kind.keys)} FROM {{staged}} "
        f"WHERE fate = {REPEAT} AND target IS NULL ORDER BY n ON CONFLICT DO NOTHING",
    )
    if chosen.rowcount:
        new = f"fate = {NEW_IN_CHAIN} WHERE n IN (SELECT n FROM chosen)"
        run(kind, f"UPDATE {{staged}} SET {new}")
    run(kind, "DROP TABLE chosen")
    return bool(chosen.rowcount)


# ---- events: a row is the same as another when all that it says is the same ----

_CONTENT = ("coalesce({0}.url_id, 0)", "{0}.event_type", "{0}.timestamp", "{0}.details")


def _content(table: str) -> str:
    return ", ".join(_CONTENT).format(table)


def _keyed(table: str) -> str:
    return ", ".join(f"{part.format(table)} AS k{at}" for at, part in enumerate(_CONTENT))


def _merge_events(kind: Kind, dry_run: bool) -> None:
    run(
        kind,
        f"UPDATE staged_events SET fate = {STORED} FROM events AS other "
        f"WHERE other.id = staged_events.id AND {_SAME_CONTENT}",
    )
    find_new_ids(kind, NEW)
    if has_any(kind, _WITHOUT_ID):
        _find_repeats(kind)
        _find_stored(kind)
    store(kind, NEW, dry_run)


_SAME_CONTENT = f"({_content('staged_events')}) = ({_content('other')})"
_WITHOUT_ID = f"staged_events.fate = {NEW} AND staged_events.target = {NEW_ID}"


def _find_repeats(kind: Kind) -> None:
    """Of the rows that need a new id, those that say what an earlier row with their id says."""
    run(
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
    run(
        kind,
        f"UPDATE staged_events SET fate = {STORED} "
        f"FROM ({ranked}) AS again JOIN ({times}) AS stored ON {same} "
        "WHERE again.n = staged_events.n AND again.rank <= stored.times",
    )


# ---- products: a row is the same as another by its id, or else by its name and category ----


def _merge_products(kind: Kind, dry_run: bool) -> None:
    stored = f"UPDATE {{staged}} SET fate = {STORED}, target = {{table}}.id FROM {{table}} WHERE"
    run(kind, f"{stored} {{table}}.id = {{staged}}.id")
    same = " AND ".join(f"{{table}}.{name} = {{staged}}.{name}" for name in ("name", "category"))
    run(kind, f"{stored} {{staged}}.id IS NULL AND {same}")
    find_new_ids(kind, NEW)
    store(kind, NEW, dry_run)


_OTHERWISE: dict[Kind, Callable[[Kind, bool], None]] = {
    EVENTS: _merge_events,
    PRODUCTS: _merge_products,
}
_AFTERWARDS: dict[Kind, Callable[[Kind], None]] = {
    URLS: links.finish,
    EVENTS: clicks.count_clicks,
}


# ---- what became of the rows ----


def _skipped(kind: Kind) -> dict[int, int]:
    """By file, how many rows were there already; notes those that repeat another row."""
    note = "'is the same as an earlier row, merged into ' || "
    row = "CASE WHEN target > 0 THEN 'id ' || target ELSE 'a new row' END"
    repeats = f"SELECT n, 2, {note}{row} FROM {{staged}} WHERE fate = {REPEAT}"
    if kind is URLS:
        repeats += links.NO_CONFLICT
    run(kind, f"INSERT INTO import_notes {repeats}")
    counts = (
        f"SELECT n / {PLACES}, count(*) FROM {{staged}} "
        f"WHERE fate IN ({STORED}, {REPEAT}) GROUP BY 1"
    )
    return {int(file): int(rows) for file, rows in run(kind, counts).fetchall()}
