"""Rows to be shown: one by its id, or a page of any list, by number, or from an id on, which costs the same at any depth."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from app.database import db, dialect
from app.models import Table
from app.schemas import LARGEST_ID, LONGEST_STORED_DETAILS, ListQuery

_MOST_PER_PAGE = 100


class Page(NamedTuple):
    rows: list[Any]
    more: bool  # whether there are rows behind these
    total: int | None  # how many in all, when it was asked for


def possible(identity: int | None) -> bool:
    """Whether a row can have this id; what cannot exist is not looked for."""
    return identity is None or 1 <= identity <= LARGEST_ID


Conditions = dict[str, tuple[Any, ...]]
"""What is true of the rows of a list: SQL, with a ? for each of its values."""


def read(
    model: type[Table], conditions: Conditions, query: ListQuery, newest_first: bool = False
) -> Page:
    """The page of `model`'s rows, by id, that `query` asks for."""
    total = _count(model, conditions) if query.count else None
    per_page, offset = size(query), 0
    if query.after is not None:
        conditions = {
            **conditions,
            "id < ?" if newest_first else "id > ?": (max(0, min(query.after, LARGEST_ID)),),
        }
    else:
        offset = (number(query) - 1) * per_page
    if offset > LARGEST_ID:
        return Page([], False, total)
    order = f"ORDER BY id {'DESC' if newest_first else 'ASC'} LIMIT {per_page + 1} OFFSET {offset}"
    rows = _rows(model, conditions, order)
    return Page(rows[:per_page], len(rows) > per_page, total)


def find(model: type[Table], identity: int, *conditions: str) -> Any:
    """The row with this id of which all `conditions` are true, or None; for reading, as it is no model."""
    found = (
        _rows(model, {"id = ?": (identity,), **dict.fromkeys(conditions, ())}, "")
        if possible(identity)
        else []
    )
    return found[0] if found else None


def _count(model: type[Table], conditions: Conditions) -> int:
    return int(_select("count(*)", model, conditions).fetchone()[0])


def _rows(model: type[Table], conditions: Conditions, order: str) -> list[Any]:
    """Rows with the attributes of `model`; no query is composed and no model made for them, which would cost most of a list's time."""
    shape = _shape(model)
    found = _select(shape.columns, model, conditions, order).fetchall()
    if dialect().typed:
        return [shape.row._make(row) for row in found]
    return [
        shape.row._make(
            [convert(value) for convert, value in zip(shape.converters, row, strict=True)]
        )
        for row in found
    ]


def _select(what: str, model: type[Table], conditions: Conditions, order: str = "") -> Any:
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    sql = f"SELECT {what} FROM {model._meta.table_name} {where} {order}"  # noqa: S608 - all of it is ours but the values
    return db.execute_sql(
        sql.replace("?", db.param), [value for values in conditions.values() for value in values]
    )


class _Shape(NamedTuple):
    columns: str
    row: Any
    converters: list[Callable[[Any], Any]]


@cache
def _shape(model: type[Table]) -> _Shape:
    fields = model._meta.sorted_fields
    row = namedtuple(model.__name__, [field.column_name for field in fields])  # type: ignore[misc]
    return _Shape(", ".join(map(_bounded, fields)), row, [field.python_value for field in fields])


def _bounded(field: Any) -> str:
    """A column as it is read: no longer than the service would have stored it, whatever is there."""
    longest = _LONGEST_TEXT.get(field.column_name) or getattr(field, "max_length", None)
    return f"substr({field.column_name}, 1, {longest})" if longest else str(field.column_name)


_LONGEST_TEXT = {
    "original_url": 2048,
    "details": LONGEST_STORED_DETAILS + 1,
}  # one more shows that it is too long


def nothing(query: ListQuery) -> Page:
    return Page([], False, 0 if query.count else None)


def size(query: ListQuery) -> int:
    return max(1, min(query.per_page, _MOST_PER_PAGE))


def number(query: ListQuery) -> int:
    return max(1, query.page)


def shown(page: Page, show: Callable[[Any], Any]) -> Page:
    return page._replace(rows=[show(row) for row in page.rows])
