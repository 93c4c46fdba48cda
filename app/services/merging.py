"""Moves staged rows into their tables, set by set: what is there already is left alone, ids are kept when they are free.

A staging table has the columns of its kind of file and four more: `n` numbers its rows over all files, `file` and `line`
say where a row came from, `target` becomes the id of the row that stands for it in the database, and `round` is when that
was found: 0 for a row that was stored before, 1 for a new one, and later for what repeats another row of the same import.
"""

from __future__ import annotations

from typing import Any

from app import database
from app.database import db
from app.models import CLICK_TYPES

LARGEST_KEPT_ID = 2**62
"""A larger explicit id is replaced by a new one, so that there are always ids left to give out."""

_CLICKS = ", ".join(f"'{name}'" for name in CLICK_TYPES)

STAGING = {
    "users": "username TEXT {text}, email TEXT {text}, created_at TIMESTAMP",
    "urls": "user_id BIGINT, short_code TEXT {text}, original_url TEXT, title TEXT, is_active BOOLEAN, created_at TIMESTAMP, updated_at TIMESTAMP",
    "events": "url_id BIGINT, user_id BIGINT, event_type TEXT {text}, timestamp TIMESTAMP, details TEXT",
    "products": "name TEXT, category TEXT, price NUMERIC(12, 2), stock BIGINT",
}


def _run(sql: str) -> Any:
    return db.execute_sql(sql)


def create_staging() -> None:
    """Empty staging tables, seen by this connection only."""
    drop_staging()
    for table, columns in STAGING.items():
        columns = columns.format(text=database.dialect().text)
        _run(f"CREATE TEMPORARY TABLE staged_{table} (n BIGINT, file INTEGER, line BIGINT, id BIGINT, {columns}, target BIGINT, round INTEGER)")

    _run("CREATE TEMPORARY TABLE import_notes (kind TEXT, file INTEGER, line BIGINT, note TEXT)")


def drop_staging() -> None:
    for table in (*(f"staged_{name}" for name in STAGING), "import_notes"):
        _run(f"DROP TABLE IF EXISTS {table}")


def merge(table: str) -> None:
    """Makes the rows of `table` that its staging table asks for; users come before urls, and urls before events."""
    _run(database.dialect().analyze.format(staged=f"staged_{table}"))
    {"users": _merge_users, "urls": _merge_urls, "events": _merge_events, "products": _merge_products}[table]()


# ---- users and urls: a row is the same as another when a unique column says so ----


def _merge_users() -> None:
    _merge_by_keys("users", {"username": "username", "lower(email)": "lower(email)"}, "username, email, created_at")


def _merge_urls() -> None:
    _resolve("urls", "user_id", "users")
    _merge_by_keys("urls", {"short_code": "short_code"}, "user_id, short_code, original_url, title, is_active, created_at, updated_at")


def _merge_by_keys(table: str, keys: dict[str, str], columns: str) -> None:
    """Round after round: rows whose key is stored stand for that row, and of the others the first with each key is new."""
    for number in range(1_000_000):
        for key in keys:
            _run(
                f"UPDATE staged_{table} SET target = {table}.id, round = {number * 2} FROM {table} "
                f"WHERE staged_{table}.target IS NULL AND {_of(table, key)} = {_of(f'staged_{table}', key)}"
            )
        if not _run(f"SELECT 1 FROM staged_{table} WHERE target IS NULL LIMIT 1").fetchone():
            return
        ranks = ", ".join(f"row_number() OVER (PARTITION BY {key} ORDER BY n) AS rank_{i}" for i, key in enumerate(keys))
        first = " AND ".join(f"rank_{i} = 1" for i in range(len(keys)))
        _run(
            f"UPDATE staged_{table} SET round = {number * 2 + 1} FROM (SELECT n AS row, {ranks} FROM staged_{table} WHERE target IS NULL) AS ranked "
            f"WHERE ranked.row = staged_{table}.n AND {first}"
        )
        _give_ids(table, f"round = {number * 2 + 1}")
        _run(f"INSERT INTO {table} (id, {columns}) SELECT target, {columns} FROM staged_{table} WHERE round = {number * 2 + 1} ORDER BY n")


def _of(table: str, key: str) -> str:
    return key.replace("(", f"({table}.") if "(" in key else f"{table}.{key}"


def _give_ids(table: str, which: str) -> None:
    """An id for each row: its own when it is free and the first to ask for it, else a new one."""
    ranked = f"SELECT n AS row, row_number() OVER (PARTITION BY id ORDER BY n) AS rank FROM staged_{table} WHERE {which}"
    _run(
        f"UPDATE staged_{table} SET target = id FROM ({ranked}) AS ranked WHERE ranked.row = staged_{table}.n AND rank = 1 "
        f"AND id <= {LARGEST_KEPT_ID} AND NOT EXISTS (SELECT 1 FROM {table} WHERE {table}.id = staged_{table}.id)"
    )
    _go_past(table)
    _run(database.dialect().new_ids.format(table=table, staged=f"staged_{table}", which=f"{which} AND target IS NULL"))


def _go_past(table: str) -> None:
    largest = _run(f"SELECT coalesce(max(target), 0) FROM staged_{table}").fetchone()[0]
    if largest:
        _run(database.dialect().past_ids.format(table=table, largest=largest))


def _resolve(table: str, column: str, owner: str) -> None:
    """Turns a file's reference into a stored id: what the file's own row became, else the row that has this id."""
    _run(f"DROP TABLE IF EXISTS became_{owner}")
    first = f"SELECT min(n) FROM staged_{owner} WHERE id IS NOT NULL GROUP BY id"
    _run(f"CREATE TEMPORARY TABLE became_{owner} AS SELECT id, target FROM staged_{owner} WHERE n IN ({first})")
    _run(
        f"UPDATE staged_{table} SET {column} = became.target FROM became_{owner} AS became "
        f"WHERE became.id = staged_{table}.{column} AND became.target <> staged_{table}.{column}"
    )
    _run(f"DROP TABLE became_{owner}")
    orphan = f"{column} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {owner} WHERE {owner}.id = staged_{table}.{column})"
    _run(f"INSERT INTO import_notes SELECT '{table}', file, line, '{column} refers to nothing, loaded without' FROM staged_{table} WHERE {orphan}")
    _run(f"UPDATE staged_{table} SET {column} = NULL WHERE {orphan}")


# ---- events have no key: one is the same as another when all that it says is the same ----

_CONTENT = "coalesce({0}.url_id, 0), {0}.event_type, {0}.timestamp, {0}.details"


def _merge_events() -> None:
    _resolve("events", "url_id", "urls")
    _resolve("events", "user_id", "users")
    _run(
        "UPDATE staged_events SET target = events.id, round = 0 FROM events WHERE events.id = staged_events.id "
        "AND events.event_type = staged_events.event_type AND events.timestamp = staged_events.timestamp AND events.details = staged_events.details"
    )
    _find_repeats()
    _run("UPDATE staged_events SET round = 1 WHERE round IS NULL")
    _give_ids("events", "round = 1")
    columns = "url_id, user_id, event_type, timestamp, details"
    _run(f"INSERT INTO events (id, {columns}) SELECT target, {columns} FROM staged_events WHERE round = 1 ORDER BY n")
    _run(
        "UPDATE urls SET click_count = click_count + more.clicks FROM (SELECT url_id, count(*) AS clicks FROM staged_events "
        f"WHERE round = 1 AND event_type IN ({_CLICKS}) AND url_id IS NOT NULL GROUP BY url_id) AS more WHERE more.url_id = urls.id"
    )


def _find_repeats() -> None:
    """Of rows that cannot keep their id, those that an earlier import stored under another one."""
    homeless = f"round IS NULL AND (id IS NULL OR id > {LARGEST_KEPT_ID} OR EXISTS (SELECT 1 FROM events WHERE events.id = staged_events.id))"
    if not _run(f"SELECT 1 FROM staged_events WHERE {homeless} LIMIT 1").fetchone():
        return
    staged, stored = _CONTENT.format("staged_events"), _CONTENT.format("events")
    same = " AND ".join(f"stored.k{i} = homeless.k{i}" for i in range(4))
    _run(
        "UPDATE staged_events SET target = 0, round = 0 FROM "
        f"(SELECT n, row_number() OVER (PARTITION BY {staged} ORDER BY n) AS rank, {_as_keys(staged)} FROM staged_events WHERE {homeless}) AS homeless "
        f"JOIN (SELECT {_as_keys(stored)}, count(*) AS times FROM events GROUP BY {stored}) AS stored ON {same} "
        "WHERE homeless.n = staged_events.n AND homeless.rank <= stored.times"
    )


def _as_keys(content: str) -> str:
    url, event_type, timestamp, details = content.rsplit(", ", 3)
    return f"{url} AS k0, {event_type} AS k1, {timestamp} AS k2, {details} AS k3"


# ---- products: by id, or by name and category ----


def _merge_products() -> None:
    _run("UPDATE staged_products SET target = products.id, round = 0 FROM products WHERE products.id = staged_products.id")
    _run(
        "UPDATE staged_products SET target = products.id, round = 0 FROM products "
        "WHERE staged_products.id IS NULL AND products.name = staged_products.name AND products.category = staged_products.category"
    )
    _run("UPDATE staged_products SET round = 1 WHERE round IS NULL")
    _give_ids("products", "round = 1")
    columns = "name, category, price, stock"
    _run(f"INSERT INTO products (id, {columns}) SELECT target, {columns} FROM staged_products WHERE round = 1 ORDER BY n")


# ---- what became of it ----


def counts(table: str) -> dict[int, tuple[int, int]]:
    """For each file: how many rows are new, and how many were there already, in the database or earlier in the import."""
    rows = _run(f"SELECT file, sum(round % 2), sum(1 - round % 2) FROM staged_{table} GROUP BY file").fetchall()
    return {file: (int(new), int(old)) for file, new, old in rows}


def note_repeats(table: str) -> None:
    note = "'is the same as an earlier row, merged into id ' || target"
    _run(f"INSERT INTO import_notes SELECT '{table}', file, line, {note} FROM staged_{table} WHERE round >= 2")


def notes(most: int) -> tuple[list[tuple[int, int, str]], int]:
    """The first `most` (file, line, note) of rows that were changed to fit, and how many there are."""
    total = _run("SELECT count(*) FROM import_notes").fetchone()[0]
    return _run(f"SELECT file, line, note FROM import_notes ORDER BY file, line LIMIT {most}").fetchall(), int(total)
