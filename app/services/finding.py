"""Finds links: the filters, the search and the orders of their lists.

Plain filters in the order of ids or creation walk along an index, at the same cost at any depth.
A search, newest first, looks at the newest 2,000 links: mostly they fill its page. Else it, or
another order, gathers the rows that match: at most 100,000, so that a request's work is bounded;
more are refused.
"""

from __future__ import annotations

import re

from app.database import dialect
from app.errors import InvalidInput
from app.migrations import indexes
from app.models import Url
from app.redirects.drain import drain
from app.schemas import ListQuery, UrlFilters, UrlQuery, UrlSelection
from app.services import access, paging, tables, users
from app.services.paging import Order, Page
from app.services.tables import Conditions

MOST = tables.MOST_FIRST
_ORDERS = {
    "id": Order("id"),
    "created_at": Order("created_at"),
    "clicks": Order("click_count", keyed=False),
    "title": Order("coalesce(lower(title), '')", keyed=False),
}
_NEWEST_FIRST = _ORDERS["id"]._replace(descending=True)
_IS_NEW = """
id >= (SELECT min(id) FROM (SELECT id FROM urls ORDER BY id DESC LIMIT 2000) AS newest)
"""
_CONDITIONS = {
    "user_id": "user_id = ?",
    "short_code": "short_code = ?",
    "tag": "id IN (SELECT url_id FROM url_tags WHERE tag = ?)",
    "created_after": "created_at >= ?",
    "created_before": "created_at < ?",
}


def page(query: UrlQuery) -> Page:
    """The links that `query` asks for; raises InvalidInput when they are too many to sort."""
    drain.run()
    wanted = conditions(query)
    if wanted is None:
        return paging.nothing(query)
    order, first = _order(query), None
    if query.q is None and not order.keyed:
        _refuse_many(wanted, "sort")
    elif query.q is not None or not _walks(query, order):
        if near := _among_newest(wanted, query, order):
            return near
        first, wanted = _gathered(wanted, query)
    return paging.read(Url, wanted, query, order, first)


def _among_newest(wanted: Conditions, query: UrlQuery, order: Order) -> Page | None:
    """The page of a search, newest first, if the newest links fill it: no others are looked at."""
    if query.q is None or query.count or order != _NEWEST_FIRST:
        return None
    found = paging.read(Url, _matching(query.q), query, order, {**wanted, _IS_NEW: ()})
    return found if found.more else None


def page_of_user(user_id: int, query: ListQuery) -> Page:
    """The links of a user; raises NotFound where the caller sees neither it nor one of them."""
    wanted = UrlQuery.model_construct(**dict(query), user_id=user_id)
    found = page(wanted)
    if not found.rows and not _is_any(wanted):
        users.get(user_id)  # a user that has links exists
    return found


def _is_any(query: UrlFilters) -> bool:
    wanted = conditions(query)
    return wanted is not None and tables.count(Url, wanted, 0) > 0


def _is_dated(query: UrlFilters) -> bool:
    return query.created_after is not None or query.created_before is not None


def _order(query: UrlQuery) -> Order:
    wanted = query.sort or ("created_at" if _is_dated(query) else "id")
    return _ORDERS[wanted.lstrip("-")]._replace(descending=wanted.startswith("-"))


def _walks(query: UrlQuery, order: Order) -> bool:
    """Whether the order's index leads to a page of rows without passing by many others."""
    return not (_is_dated(query) and order.column == "id")


def conditions(query: UrlFilters) -> Conditions | None:
    """All filters but the search; None when nothing can match."""
    if not tables.possible(query.user_id) or "\x00" in (query.short_code or ""):
        return None
    found: Conditions = {"deleted_at IS NULL": (), **access.visible()}
    found |= tables.asked(_CONDITIONS, query)
    if query.is_active is not None:
        found["is_active" if query.is_active else "NOT is_active"] = ()
    return found


def selected(selection: UrlSelection, most: int) -> Conditions | None:
    """What is true of the selected links, at most `most`; raises InvalidInput without a filter."""
    if not selection.model_fields_set - {"dry_run"}:
        raise InvalidInput("At least one filter must select links, such as ids=1,2")
    wanted = conditions(selection)
    if wanted is None or not selection.has_possible_ids():
        return None
    if selection.ids is not None:
        wanted[f"id IN ({tables.marks(selection.ids)})"] = selection.ids
    if selection.q is not None:
        first, searched = _gathered(wanted, selection)
        wanted = {**first, **searched}
    number = tables.count(Url, wanted, MOST)
    if number > most:
        shown = f"{number:,}" if number <= MOST else f"more than {MOST:,}"
        raise InvalidInput(f"{shown} links match, and one request changes at most {most:,}")
    return wanted


def searched(query: UrlFilters) -> Conditions | None:
    """All filters and the search; None when nothing can match."""
    wanted = conditions(query)
    if wanted is None or query.q is None:
        return wanted
    return {**wanted, **_matching(query.q)}


def _gathered(wanted: Conditions, query: UrlFilters) -> tuple[Conditions, Conditions]:
    """What to find first, and what to look for in it; without an index the search is the latter."""
    searched, reason = {}, "sort"
    if query.q is not None:
        searched, reason = _matching(query.q), "q"
        if _has_index(query.q):
            wanted, searched = {**wanted, **searched}, {}
    _refuse_many(wanted, reason)
    return wanted, searched


def _refuse_many(wanted: Conditions, name: str) -> None:
    """Raises InvalidInput about the parameter `name` for more links than can be gathered."""
    if tables.count(Url, wanted, MOST) > MOST:
        why = f"works on at most {MOST:,} links: narrow them by other filters"
        raise InvalidInput(f"{name}: {why}", errors={name: why})


def _matching(text: str) -> Conditions:
    """What is true of links with `text` in their title or URL, in any case."""
    pattern = "%" + re.sub(r"([\\%_])", r"\\\1", text) + "%"
    like = f"{dialect().like} ? ESCAPE '\\'"
    return {f"(title {like} OR original_url {like})": (pattern, pattern)}


def _has_index(text: str) -> bool:
    """Whether an index finds `text`: trigrams are of letters and digits."""
    indexed = re.search(r"[^\W_]{3}", text) is not None
    return indexed and indexes.is_there("urls_search")
