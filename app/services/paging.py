"""Pages of lists: by number, or from an id on, which costs the same at any depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from app.errors import InvalidInput, NotFound
from app.models import Table
from app.schemas import LARGEST_ID, ListQuery
from app.services import access, tables
from app.services.tables import Conditions

_MOST_PER_PAGE = 100


class Order(NamedTuple):
    """`column`, then the id. `keyed`: an id's place in it is found by an index."""

    column: str = "id"
    descending: bool = False
    keyed: bool = True

    def sql(self) -> str:
        way = "DESC" if self.descending else "ASC"
        first = "" if self.column == "id" else f"{self.column} {way}, "
        return f"ORDER BY {first}id {way}"


OLDEST_FIRST, NEWEST_FIRST = Order(), Order(descending=True)


class Page(NamedTuple):
    """`more`: whether rows follow. `total`: the number of all rows, when it was asked for."""

    rows: list[Any]
    more: bool
    total: int | None


def read(
    model: type[Table],
    conditions: Conditions,
    query: ListQuery,
    order: Order = OLDEST_FIRST,
    first: Conditions | None = None,
) -> Page:
    """The page of `model`'s rows that `query` asks for. `first`: as in tables.select."""
    total = None
    if query.count:
        total = int(tables.select("count(*)", model, conditions, "", first).fetchone()[0])
    per_page, offset = size(query), 0
    if query.after is not None:
        conditions = {**conditions, **_behind(model, query.after, order)}
    else:
        offset = (number(query) - 1) * per_page
    if offset > LARGEST_ID:
        return Page([], False, total)
    rest = f"{order.sql()} LIMIT {per_page + 1} OFFSET {offset}"
    rows = tables.read(model, conditions, rest, first)
    return Page(rows[:per_page], len(rows) > per_page, total)


def _behind(model: type[Table], after: int, order: Order) -> Conditions:
    """What is true of the rows behind the one with the id `after`; ids need no such row."""
    sign = "<" if order.descending else ">"
    if order.column == "id":
        return {f"id {sign} ?": (max(0, min(after, LARGEST_ID)),)}
    if not order.keyed:
        why = "works in the order of id or created_at only: use page"
        raise InvalidInput(f"after: {why}", errors={"after": why})
    wanted = {"id = ?": (after,), **access.visible_rows(model)}
    found = tables.possible(after) and tables.select(order.column, model, wanted)
    row = found and found.fetchone()
    if not row:
        raise NotFound(f"after: there is nothing with the id {after}")
    return {f"({order.column}, id) {sign} (?, ?)": (row[0], after)}


def nothing(query: ListQuery) -> Page:
    return Page([], False, 0 if query.count else None)


def size(query: ListQuery) -> int:
    return max(1, min(query.per_page, _MOST_PER_PAGE))


def number(query: ListQuery) -> int:
    return max(1, query.page)


def around(page: Page, query: ListQuery) -> dict[str, int]:
    """The numbers of the pages before and after, by "prev" and "next", where there are such."""
    here = number(query)
    before = {"prev": here - 1} if here > 1 else {}
    return {**before, "next": here + 1} if page.more else before


def shown(page: Page, show: Callable[[Any], Any]) -> Page:
    return page._replace(rows=[show(row) for row in page.rows])
