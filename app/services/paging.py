"""One page of any list: by number, or from an id on, which costs the same at any depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from app.schemas import LARGEST_ID, ListQuery

_MOST_PER_PAGE = 100


class Page(NamedTuple):
    rows: list[Any]
    more: bool  # whether there are rows behind these
    total: int | None  # how many in all, when it was asked for


def possible(identity: int | None) -> bool:
    """Whether a row can have this id; what cannot exist is not looked for."""
    return identity is None or 1 <= identity <= LARGEST_ID


def read(select: Any, key: Any, query: ListQuery, newest_first: bool = False) -> Page:
    """The page of `select`, in the order of `key`, that `query` asks for."""
    total = select.count() if query.count else None
    per_page = size(query)
    offset = 0
    if query.after is not None:
        after = max(0, min(query.after, LARGEST_ID))
        select = select.where(key < after if newest_first else key > after)
    else:
        offset = (number(query) - 1) * per_page
    if offset > LARGEST_ID:
        return Page([], False, total)
    rows = list(select.order_by(key.desc() if newest_first else key).limit(per_page + 1).offset(offset))
    return Page(rows[:per_page], len(rows) > per_page, total)


def nothing(query: ListQuery) -> Page:
    return Page([], False, 0 if query.count else None)


def size(query: ListQuery) -> int:
    return max(1, min(query.per_page, _MOST_PER_PAGE))


def number(query: ListQuery) -> int:
    return max(1, query.page)


def shown(page: Page, show: Callable[[Any], Any]) -> Page:
    return page._replace(rows=[show(row) for row in page.rows])
