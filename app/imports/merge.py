"""Moves staged rows into their tables, set by set: what is there already is left alone, ids are kept when they are free.

A staging table has the columns of its kind of file and five more: `n` numbers its rows over all files, `file` and `line` say
where a row came from, `target` is the id of the row that stands for it in the database (none: its own id), and `fate` is one
of the constants below. Nothing is written for the usual row, which is new and keeps its id: rewriting rows costs the most.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from peewee import IntegrityError

from app import database
from app.database import db
from app.models import CLICK_TYPES

STORED, NEW, REPEAT, NEW_IN_CHAIN = 0, 1, 2, 3
"""A row was in the database before; is new; repeats another row of the import; is new although it shares a key with a repeat."""

_HOMELESS = 0  # the target of a row that is to get an id that nobody has
_LARGEST_KEPT_ID = 2**62  # a larger one is replaced, so that there are always ids left to give out
_CLICKS = ", ".join(f"'{name}'" for name in CLICK_TYPES)

STAGING = {
    "users": "username TEXT {text}, email TEXT {text}, created_at TIMESTAMP",
    "urls": "user_id BIGINT, short_code TEXT {text}, original_url TEXT, title TEXT, is_active BOOLEAN, created_at TIMESTAMP, updated_at TIMESTAMP",
    "events": "url_id BIGINT, user_id BIGINT, event_type TEXT {text}, timestamp TIMESTAMP, details TEXT",
    "products": "name TEXT, category TEXT, price NUMERIC(12, 2), stock BIGINT",
}
DROP_STAGING = [
    f"DROP TABLE IF EXISTS {table}"
    for table in (*(f"staged_{name}" for name in STAGING), "import_notes")
]


def _run(sql: str) -> Any:
    return db.execute_sql(sql)


def create_staging() -> None:
    """Empty staging tables, seen by this connection only."""
    for drop in DROP_STAGING:
        _run(drop)
    for table, columns in STAGING.items():
        columns = columns.format(text=database.dialect().text)
        _run(
            f"CREATE TEMPORARY TABLE staged_{table} (n BIGINT, file INTEGER, line BIGINT, id BIGINT, {columns}, target BIGINT, fate INTEGER DEFAULT {NEW})"
        )
    _run("CREATE TEMPORARY TABLE import_notes (kind TEXT, file INTEGER, line BIGINT, note TEXT)")


def merge(table: str) -> None:
    """Makes the rows of `table` that its staging table asks for; users come before urls, and urls before events."""
    {
        "users": _merge_users,
        "urls": _merge_urls,
        "events": _merge_events,
        "products": _merge_products,
    }[table]()


# ---- users and urls: a row is the same as another when a unique column says so ----


def _merge_users() -> None:
    _merge_by_keys("users", ("username", "lower(email)"), "username, email, created_at")


def _merge_urls() -> None:
    _resolve("urls", "user_id", "users")
    _merge_by_keys(
        "urls",
        ("short_code",),
        "user_id, short_code, original_url, title, is_active, created_at, updated_at",
    )


def _merge_by_keys(table: str, keys: Sequence[str], columns: str) -> None:
    """As if row after row were stored unless one of its keys is: of the rows that share a key the first is new."""
    if _store_at_once(table, columns):
        return
    _match(table, keys, NEW, STORED)
    for key in keys:
        _later_of_same(table, key, "target IS NULL", f"fate = {REPEAT}")
    _store(table, columns, NEW)
    _match(table, keys, REPEAT, REPEAT)
    if _choose_in_chains(table, keys):
        _store(table, columns, NEW_IN_CHAIN)
        _match(table, keys, REPEAT, REPEAT)


def _match(table: str, keys: Sequence[str], fate: int, becomes: int) -> None:
    """Rows whose key is stored stand for the row that has it."""
    for key in keys:
        _run(
            f"UPDATE staged_{table} SET target = {table}.id, fate = {becomes} FROM {table} "
            f"WHERE fate = {fate} AND target IS NULL AND {_of(table, key)} = {_of(f'staged_{table}', key)}"
        )


def _of(table: str, key: str) -> str:
    return key.replace("(", f"({table}.") if "(" in key else f"{table}.{key}"


def _later_of_same(table: str, key: str, which: str, become: str) -> None:
    """Of the rows that share a key, all but the first."""
    staged = f"staged_{table}"
    shared = f"SELECT {key} AS shared_key, min(n) AS first FROM {staged} WHERE {which} GROUP BY {key} HAVING count(*) > 1"
    _run(
        f"UPDATE {staged} SET {become} FROM ({shared}) AS shared WHERE {_of(staged, key)} = shared_key AND n > first AND {which}"
    )


def _choose_in_chains(table: str, keys: Sequence[str]) -> bool:
    """Of rows that shared a key only with rows that were not stored, those that are new after all; whether there are any."""
    staged, text = f"staged_{table}", database.dialect().text
    unique = ", ".join(f"key{number} TEXT {text} UNIQUE" for number in range(len(keys)))
    _run(f"CREATE TEMPORARY TABLE chosen (n BIGINT, {unique})")
    chosen = _run(  # row after row, each of them unless it conflicts with one before
        f"INSERT INTO chosen SELECT n, {', '.join(keys)} FROM {staged} WHERE fate = {REPEAT} AND target IS NULL ORDER BY n ON CONFLICT DO NOTHING"
    )
    if chosen.rowcount:
        _run(f"UPDATE {staged} SET fate = {NEW_IN_CHAIN} WHERE n IN (SELECT n FROM chosen)")
    _run("DROP TABLE chosen")
    return bool(chosen.rowcount)


def _resolve(table: str, column: str, owner: str) -> None:
    """Turns a file's reference into a stored id: what the file's own row became, else the row that has this id."""
    first = f"SELECT min(n) FROM staged_{owner} WHERE id IS NOT NULL GROUP BY id"
    _run(
        f"UPDATE staged_{table} SET {column} = became.target FROM staged_{owner} AS became "
        f"WHERE became.id = staged_{table}.{column} AND became.target <> became.id AND became.n IN ({first})"
    )
    orphan = f"{column} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {owner} WHERE {owner}.id = staged_{table}.{column})"
    noted = _run(
        f"INSERT INTO import_notes SELECT '{table}', file, line, '{column} refers to nothing, loaded without' FROM staged_{table} WHERE {orphan}"
    )
    if noted.rowcount:
        _run(f"UPDATE staged_{table} SET {column} = NULL WHERE {orphan}")


# ---- new rows and their ids ----


def _store_at_once(table: str, columns: str) -> bool:
    """Whether all rows were new and could keep their ids, as is usual; only when not is it worth finding out which."""
    largest = _run(f"SELECT max(id) FROM staged_{table}").fetchone()[0] or 0
    if largest <= _LARGEST_KEPT_ID:
        with suppress(IntegrityError), db.atomic():
            _run(database.dialect().past_ids.format(table=table, largest=largest))
            own_id = database.dialect().own_id.format(table=table)
            _run(
                f"INSERT INTO {table} (id, {columns}) SELECT {own_id}, {columns} FROM staged_{table}"
            )
            return True
    _run(database.dialect().analyze.format(staged=f"staged_{table}"))
    return False


def _store(table: str, columns: str, fate: int) -> None:
    _find_homeless(table, fate)
    _insert(table, columns, fate)


def _find_homeless(table: str, fate: int) -> None:
    """Rows that cannot keep their id: it is none, too large, stored, or an earlier row's."""
    staged = f"staged_{table}"
    homeless = f"UPDATE {staged} SET target = {_HOMELESS}"
    _run(f"{homeless} WHERE fate = {fate} AND (id IS NULL OR id > {_LARGEST_KEPT_ID})")
    _run(f"{homeless} FROM {table} WHERE {table}.id = {staged}.id AND fate = {fate}")
    _later_of_same(table, "id", f"fate = {fate} AND target IS NULL", f"target = {_HOMELESS}")


def _insert(table: str, columns: str, fate: int) -> None:
    largest = _run(
        f"SELECT max(id) FROM staged_{table} WHERE fate = {fate} AND target IS NULL"
    ).fetchone()[0]
    if largest:
        _run(database.dialect().past_ids.format(table=table, largest=largest))
    which = f"fate = {fate} AND target = {_HOMELESS}"
    _run(
        database.dialect().new_ids.format(
            table=table, staged=f"staged_{table}", which=which, largest=largest or 0
        )
    )
    _run(
        f"INSERT INTO {table} (id, {columns}) SELECT coalesce(target, id), {columns} FROM staged_{table} WHERE fate = {fate}"
    )


# ---- events have no key: one is the same as another when all that it says is the same ----

_CONTENT = ("coalesce({0}.url_id, 0)", "{0}.event_type", "{0}.timestamp", "{0}.details")
_SAME_CONTENT = " AND ".join(
    f"{part.format('staged_events')} = {part.format('other')}" for part in _CONTENT
)


def _merge_events() -> None:
    _resolve("events", "url_id", "urls")
    _resolve("events", "user_id", "users")
    columns = "url_id, user_id, event_type, timestamp, details"
    if _run(
        "SELECT 1 FROM staged_events WHERE id IS NULL LIMIT 1"
    ).fetchone() or not _store_at_once("events", columns):
        _find_out_which_events(columns)
    _count_clicks()


def _find_out_which_events(columns: str) -> None:
    _run(
        f"UPDATE staged_events SET fate = {STORED} FROM events AS other WHERE other.id = staged_events.id AND {_SAME_CONTENT}"
    )
    _find_homeless("events", NEW)
    _find_repeats()
    _insert("events", columns, NEW)


def _find_repeats() -> None:
    """Of the homeless, those that are an earlier row once more, or that an earlier import stored under another id."""
    homeless = f"staged_events.fate = {NEW} AND staged_events.target = {_HOMELESS}"
    if not _run(f"SELECT 1 FROM staged_events WHERE {homeless} LIMIT 1").fetchone():
        return
    _run(
        f"UPDATE staged_events SET fate = {REPEAT}, target = other.id FROM staged_events AS other "
        f"WHERE {homeless} AND other.fate = {NEW} AND other.target IS NULL AND other.id = staged_events.id AND {_SAME_CONTENT}"
    )
    staged, stored = (", ".join(_CONTENT).format(table) for table in ("staged_events", "events"))
    sought = f"SELECT {staged} FROM staged_events WHERE {homeless}"
    times = f"SELECT {_as_keys('events')}, count(*) AS times FROM events WHERE ({stored}) IN ({sought}) GROUP BY {stored}"
    ranked = f"SELECT n, row_number() OVER (PARTITION BY {staged} ORDER BY n) AS rank, {_as_keys('staged_events')} FROM staged_events WHERE {homeless}"
    same = " AND ".join(f"stored.k{i} = again.k{i}" for i in range(len(_CONTENT)))
    _run(
        f"UPDATE staged_events SET fate = {STORED} FROM ({ranked}) AS again JOIN ({times}) AS stored ON {same} "
        "WHERE again.n = staged_events.n AND again.rank <= stored.times"
    )


def _as_keys(table: str) -> str:
    return ", ".join(f"{part.format(table)} AS k{i}" for i, part in enumerate(_CONTENT))


def _count_clicks() -> None:
    clicks = f"SELECT url_id, count(*) AS clicks FROM staged_events WHERE fate = {NEW} AND event_type IN ({_CLICKS}) AND url_id IS NOT NULL GROUP BY url_id"
    database.lock("drain")  # which counts many links at once too, in another order
    _run(
        f"UPDATE urls SET click_count = click_count + more.clicks FROM ({clicks}) AS more WHERE more.url_id = urls.id"
    )


# ---- products: by id, or by name and category ----


def _merge_products() -> None:
    stored = f"UPDATE staged_products SET fate = {STORED}, target = products.id FROM products WHERE"
    _run(f"{stored} products.id = staged_products.id")
    _run(
        f"{stored} staged_products.id IS NULL AND products.name = staged_products.name AND products.category = staged_products.category"
    )
    _store("products", "name, category, price, stock", NEW)


# ---- what became of it ----


def counts(table: str) -> dict[int, tuple[int, int]]:
    """For each file: how many rows are new, and how many were there already, in the database or earlier in the import."""
    new = f"sum(CASE WHEN fate IN ({NEW}, {NEW_IN_CHAIN}) THEN 1 ELSE 0 END)"
    return {
        file: (int(made), int(rows) - int(made))
        for file, made, rows in _run(
            f"SELECT file, {new}, count(*) FROM staged_{table} GROUP BY file"
        )
    }


def note_repeats(table: str) -> None:
    note = "'is the same as an earlier row, merged into id ' || target"
    _run(
        f"INSERT INTO import_notes SELECT '{table}', file, line, {note} FROM staged_{table} WHERE fate = {REPEAT}"
    )


def notes(most: int) -> tuple[list[tuple[int, int, str]], int]:
    """The first `most` (file, line, note) of rows that were changed to fit, and how many there are."""
    total = _run("SELECT count(*) FROM import_notes").fetchone()[0]
    return _run(
        f"SELECT file, line, note FROM import_notes ORDER BY file, line LIMIT {most}"
    ).fetchall(), int(total)
