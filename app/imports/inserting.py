"""Inserts staged rows: all of them at once if nothing conflicts, else those of one fate.

A row keeps its id when it is free.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from peewee import IntegrityError

from app import database
from app.database import db
from app.imports.columns import Kind

NEW_ID = 0  # the target of a row that is to get an id that nobody has
# Of a dry run. A sequence does not go back when its transaction is undone, so it stays untouched.
_DRY_ID, _DRY_IDS = "coalesce(id, -n)", "UPDATE {staged} SET target = -n WHERE {which}"
_LARGEST_KEPT_ID = 2**62  # a larger one is replaced, so that there are always ids left to give out


def run(kind: Kind, sql: str) -> Any:
    """Runs SQL in which {table}, {staged} and {columns} (all but the id) are those of `kind`."""
    columns = ", ".join(name for name in kind.names() if name != "id")
    return db.execute_sql(sql.format(table=kind.table, staged=kind.staged, columns=columns))


def has_any(kind: Kind, which: str) -> bool:
    return bool(run(kind, f"SELECT 1 FROM {{staged}} WHERE {which} LIMIT 1").fetchone())


def store_at_once(kind: Kind, dry_run: bool) -> bool:
    """Whether all rows were new and kept their ids: the usual case, and the cheapest to try."""
    largest = run(kind, "SELECT max(id) FROM {staged}").fetchone()[0] or 0
    if largest <= _LARGEST_KEPT_ID:
        with suppress(IntegrityError), db.atomic():
            if not dry_run:
                _pass_ids(kind, largest)
            own_id = _DRY_ID if dry_run else database.dialect().own_id.format(table=kind.table)
            rows = f"SELECT {own_id}, {{columns}} FROM {{staged}}"
            run(kind, f"INSERT INTO {{table}} (id, {{columns}}) {rows}")
            return True
    run(kind, database.dialect().analyze)
    return False


def _pass_ids(kind: Kind, largest: int) -> None:
    """Makes ids that are given out from now on larger than `largest`."""
    db.execute_sql(database.dialect().past_ids.format(table=kind.table, largest=largest))


def find_new_ids(kind: Kind, fate: int) -> None:
    """Marks rows that cannot keep their id: it is none, too large, stored, or an earlier row's."""
    mark = f"UPDATE {{staged}} SET target = {NEW_ID}"
    run(kind, f"{mark} WHERE fate = {fate} AND (id IS NULL OR id > {_LARGEST_KEPT_ID})")
    run(kind, f"{mark} FROM {{table}} WHERE {{table}}.id = {{staged}}.id AND fate = {fate}")
    change_later_of_same(kind, "id", f"fate = {fate} AND target IS NULL", f"target = {NEW_ID}")


def store(kind: Kind, fate: int, dry_run: bool) -> None:
    """Inserts the rows of this fate; marked ones get new ids, behind those that are kept."""
    kept = f"SELECT max(id) FROM {{staged}} WHERE fate = {fate} AND target IS NULL"
    largest = run(kind, kept).fetchone()[0] or 0
    if largest and not dry_run:
        _pass_ids(kind, largest)
    which = f"fate = {fate} AND target = {NEW_ID}"
    new_ids = _DRY_IDS if dry_run else database.dialect().new_ids
    db.execute_sql(
        new_ids.format(table=kind.table, staged=kind.staged, which=which, largest=largest)
    )
    rows = f"SELECT coalesce(target, id), {{columns}} FROM {{staged}} WHERE fate = {fate}"
    run(kind, f"INSERT INTO {{table}} (id, {{columns}}) {rows}")


def change_later_of_same(kind: Kind, key: str, which: str, become: str) -> None:
    """Of the rows that share a key, changes all but the first."""
    shared = (
        f"SELECT {key} AS shared_key, min(n) AS first FROM {{staged}} WHERE {which} "
        f"GROUP BY {key} HAVING count(*) > 1"
    )
    run(
        kind,
        f"UPDATE {{staged}} SET {become} FROM ({shared}) AS shared "
        f"WHERE {qualified('{staged}', key)} = shared_key AND n > first AND {which}",
    )


def qualified(table: str, key: str) -> str:
    return key.replace("(", f"({table}.") if "(" in key else f"{table}.{key}"
