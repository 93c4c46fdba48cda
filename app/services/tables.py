"""Reads and writes rows by plain SQL: composing a query by the ORM costs more than running it."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, NamedTuple

from app.database import db, dialect
from app.models import Table
from app.schemas import LARGEST_ID, LONGEST_STORED_DETAILS

Conditions = dict[str, tuple[Any, ...]]
"""SQL that is true of the wanted rows, each with the values of its question marks."""

MOST_FIRST = 100_000

Check = Callable[[Any], None]
"""Raises an error when a row is not to be changed."""


def possible(identity: int | None) -> bool:
    """Whether a row can have this id; None is possible."""
    return identity is None or 1 <= identity <= LARGEST_ID


def asked(filters: dict[str, str], query: Any) -> Conditions:
    """The SQL of each filter that `query` names, by its parameter."""
    values = {name: getattr(query, name) for name in filters}
    return {filters[name]: (value,) for name, value in values.items() if value is not None}


def find(
    model: type[Table], identity: int, conditions: Conditions | None = None, lock: str = ""
) -> Any:
    """The row with this id of which `conditions` are true, or None; `lock` such as FOR UPDATE."""
    if not possible(identity):
        return None
    wanted: Conditions = {"id = ?": (identity,), **(conditions or {})}
    rows = read(model, wanted, lock if dialect().locks_rows else "")
    return rows[0] if rows else None


def read(
    model: type[Table], conditions: Conditions, rest: str, first: Conditions | None = None
) -> list[Any]:
    """All rows of which `conditions` are true; `rest` is the SQL after WHERE.

    `first`: as in select.
    """
    return rows_of(model, select(_shape(model).columns, model, conditions, rest, first))


def count(model: type[Table], conditions: Conditions, most: int) -> int:
    """The number of rows of which `conditions` are true; it counts no further than `most` + 1."""
    few = _few("1", model, conditions, most + 1)
    sql = " ".join(("SELECT count(*) FROM (", few, ") AS few"))
    return int(execute(sql, values_of(conditions)).fetchone()[0])


def _few(what: str, model: type[Table], conditions: Conditions, most: int) -> str:
    where, limit = _where(conditions), f"LIMIT {most}"
    return " ".join(("SELECT", what, "FROM", model._meta.table_name, where, limit))


def _where(conditions: Conditions) -> str:
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


def values_of(conditions: Conditions) -> list[Any]:
    return [value for values in conditions.values() for value in values]


def select(
    what: str,
    model: type[Table],
    conditions: Conditions,
    rest: str = "",
    first: Conditions | None = None,
) -> Any:
    """A cursor over `what` of the rows of which `conditions` are true.

    The rows of which `first` is true, which are at most MOST_FIRST, are found before the others
    are looked at or ordered, whatever the planner expects.
    """
    table, values = model._meta.table_name, values_of(conditions)
    source = table
    if first is not None:
        source = f"({_few('*', model, first, MOST_FIRST)}) AS {table}"
        values = values_of(first) + values
    return execute(" ".join(("SELECT", what, "FROM", source, _where(conditions), rest)), values)


def insert(
    model: type[Table], values: dict[str, Any], source: str = "", more: Sequence[Any] = ()
) -> Any:
    """The new row, or None when `source`, FROM or WHERE with the values `more`, yields none."""
    shape = _shape(model)
    start = f"{_insert_into(model, values)} SELECT {marks(values)} {source}"
    rows = rows_of(model, execute(f"{start} RETURNING {shape.columns}", [*values.values(), *more]))
    return rows[0] if rows else None


def insert_later(model: type[Table], rows: Sequence[dict[str, Any]]) -> None:
    """New rows with the same columns, sent with the next statement of the running transaction."""
    values = [value for row in rows for value in row.values()]
    later(f"{_insert_into(model, rows[0])} VALUES {_marks_of(rows)}", values)


def insert_free(model: type[Table], rows: Sequence[dict[str, Any]], unique: str) -> list[Any]:
    """The new rows, in any order, without those whose value of the column `unique` is taken."""
    rest = f"ON CONFLICT ({unique}) DO NOTHING RETURNING {_shape(model).columns}"
    sql = " ".join((_insert_into(model, rows[0]), "VALUES", _marks_of(rows), rest))
    return rows_of(model, execute(sql, [value for row in rows for value in row.values()]))


def undoable() -> AbstractContextManager[Any]:
    """Within a transaction a savepoint: an error in the block leaves the rest of it usable."""
    return db.atomic() if db.in_transaction() else nullcontext()


def update(model: type[Table], identity: int, values: dict[str, Any]) -> Any:
    """The row with `values` in columns that are never null, or None when there is none.

    Its version is one more, unless it had the values already.
    """
    differ = " OR ".join(f"{name} <> ?" for name in values)
    changes = f"{_marked(values)}, version = version + CASE WHEN {differ} THEN 1 ELSE 0 END"
    sql = f"{_update(model, changes)} RETURNING {_shape(model).columns}"
    rows = rows_of(model, execute(sql, [*values.values(), *values.values(), identity]))
    return rows[0] if rows else None


def update_later(model: type[Table], identity: int, values: dict[str, Any]) -> None:
    """Changes a row with the next statement of the running transaction."""
    later(_update(model, _marked(values)), [*values.values(), identity])


def delete(model: type[Table], identity: int) -> bool:
    """Whether there was a row with this id."""
    sql = " ".join(("DELETE FROM", model._meta.table_name, "WHERE id = ? RETURNING id"))
    return bool(execute(sql, [identity]).fetchall())


def later(sql: str, values: Sequence[Any]) -> None:
    """Runs a statement with the next one of the running transaction, at the latest with COMMIT."""
    db.execute_later(sql.replace("?", db.param), values)


def _update(model: type[Table], changes: str) -> str:
    return " ".join(("UPDATE", model._meta.table_name, "SET", changes, "WHERE id = ?"))


def _marked(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} = ?" for name in values)


def _insert_into(model: type[Table], values: dict[str, Any]) -> str:
    return f"INSERT INTO {model._meta.table_name} ({', '.join(values)})"


def _marks_of(rows: Sequence[dict[str, Any]]) -> str:
    return ", ".join(f"({marks(row)})" for row in rows)


def marks(values: Collection[Any]) -> str:
    """A question mark for each value, for SQL."""
    return ", ".join("?" * len(values))


def execute(sql: str, values: Sequence[Any]) -> Any:
    """A cursor; question marks stand for `values`."""
    return db.execute_sql(sql.replace("?", db.param), values)


def columns_of(model: type[Table]) -> str:
    """What a statement must return for `rows_of`."""
    return _shape(model).columns


def rows_of(model: type[Table], cursor: Any) -> list[Any]:
    """Named tuples with the columns of `model`, of the Python types that its fields have."""
    shape, found = _shape(model), cursor.fetchall()
    if not dialect().typed:
        found = [[to(value) for to, value in zip(shape.types, row, strict=True)] for row in found]
    return [shape.row._make(row) for row in found]


class _Shape(NamedTuple):
    columns: str
    row: Any
    types: list[Callable[[Any], Any]]


@cache
def _shape(model: type[Table]) -> _Shape:
    fields = model._meta.sorted_fields
    row = namedtuple(model.__name__, [field.column_name for field in fields])  # type: ignore[misc]
    return _Shape(", ".join(map(_bounded, fields)), row, [field.python_value for field in fields])


def _bounded(field: Any) -> str:
    """A column, cut to the length that the service stores: others may have stored more."""
    longest = _LONGEST_TEXT.get(field.column_name) or getattr(field, "max_length", None)
    return f"substr({field.column_name}, 1, {longest})" if longest else str(field.column_name)


# One character more shows that details are too long.
_LONGEST_TEXT = {"original_url": 2048, "expired_url": 2048, "details": LONGEST_STORED_DETAILS + 1}
