"""Pages of lists: by number, or from an id on, which costs the same at any depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from app.models import Table
from app.schemas import LARGEST_ID, ListQuery
from app.services import tables
from app.services.tables import Conditions

_MOST_PER_PAGE = 100


class Page(NamedTuple):
    """`more`: whether rows follow. `total`: the number of all rows, when it was asked for."""

    rows: list[Any]
    more: bool
    total: int | None


def read(
    model: type[Table], conditions: Conditions, query: ListQuery, newest_first: bool = False
) -> Page:
    """The page of `model`'s rows, by id, that `query` asks for."""
    total = None
    if query.count:
        total = int(tables.select("count(*)", model, conditions).fetchone()[0])
    per_page, offset = size(query), 0
    if query.after is not None:
        behind = "id < ?" if newest_first else "id > ?"
        conditions = {**conditions, behind: (max(0, min(query.after, LARGEST_ID)),)}
    else:
        offset = (number(query) - 1) * per_page
    if offset > LARGEST_ID:
        return Page([], False, total)
    order = f"ORDER BY id {'DESC' if newest_first else 'ASC'} LIMIT {per_page + 1} OFFSET {offset}"
    rows = tables.read(model, conditions, order)
    return Page(rows[:per_page], len(rows) > per_page, total)


def nothing(query: ListQuery) -> Page:
    return Page([], False, 0 if query.count else None)


def size(query: ListQuery) -> int:
    return max(1, min(query.per_page, _MOST_PER_PAGE))


def number(query: ListQuery) -> int:
    return max(1, query.page)


def shown(page: Page, show: Callable[[Any], Any]) -> Page:
    return page._replace(rows=[show(row) for row in page.rows])
