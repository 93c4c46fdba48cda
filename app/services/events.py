"""Events: what happened to links, written by the service itself and by clients."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from peewee import IntegrityError

from app.access import caller
from app.database import db, now
from app.errors import Conflict, NotFound
from app.models import CLICK_TYPES, Event
from app.redirects.counting import Lines, count, line_of_event, uncount
from app.redirects.drain import drain
from app.redirects.rollups import fold_sometimes
from app.schemas import EventCreate, EventFilters, EventQuery, ListQuery, show_event
from app.services import access, paging, tables, urls, users
from app.services.paging import Page


def create(data: EventCreate) -> Any:
    """A client's own event; one that is called a click counts as one.

    Raises NotFound for an unknown link or user, and Forbidden for what the caller may not name.
    """
    data = access.owned(data)
    if data.url_id is None:
        access.refuse_bound("make events without a link")
    drain.run()  # a click that was answered before has a smaller id
    known = tables.possible(data.user_id) and tables.possible(data.url_id)
    try:
        with _at_once(data.event_type):
            event = _insert(data) if known else None
            if event is None:
                raise _missing(data)
            if _is_click(event):
                count(Lines((line_of_event(event.url_id, event.timestamp, event.details),)))
                fold_sometimes()
            return event
    except IntegrityError:
        raise _vanished() from None


def note_later(notes: Sequence[tuple[Any, str, dict[str, Any]]]) -> None:
    """The service's own events, of (link, event type, details), with the next statement."""
    moment = now()
    rows = [
        {
            "url_id": url.id,
            "user_id": url.user_id,
            "event_type": event_type,
            "timestamp": moment,
            "details": json.dumps(details),
        }
        for url, event_type, details in notes
    ]
    tables.insert_later(Event, rows)


_USER = "EXISTS (SELECT 1 FROM users WHERE id = ?)"
_URL = "EXISTS (SELECT 1 FROM urls WHERE id = ? AND deleted_at IS NULL"


def _insert(data: EventCreate) -> Any:
    """The new row, or None when its user or its link does not exist."""
    values = {
        "url_id": data.url_id,
        "user_id": data.user_id,
        "event_type": data.event_type,
        "timestamp": now(),
        "details": json.dumps(data.details or {}),
    }
    needed: tables.Conditions = {}
    if data.user_id is not None:
        needed[_USER] = (data.user_id,)
    if data.url_id is not None:
        seen = access.visible()
        needed[f"{_URL}{''.join(f' AND {each}' for each in seen)})"] = (
            data.url_id,
            *tables.values_of(seen),
        )
    source = f"WHERE {' AND '.join(needed)}" if needed else ""
    return tables.insert(Event, values, source, tables.values_of(needed))


def _missing(data: EventCreate) -> Exception:
    if data.user_id is not None:
        users.get(data.user_id)
    if data.url_id is not None:
        urls.require(data.url_id)
    return _vanished()


def _vanished() -> Conflict:
    return Conflict("The link or the user was deleted at this moment")


@contextmanager
def _at_once(event_type: str) -> Iterator[None]:
    """A click and its counters change in one transaction; other events need none."""
    if event_type not in CLICK_TYPES:
        yield
        return
    with db.atomic():
        yield


def _is_click(event: Any) -> bool:
    return event.event_type in CLICK_TYPES and event.url_id is not None


def get(event_id: int) -> Any:
    drain.run()
    return _found(event_id)


def _found(event_id: int) -> Any:
    event = tables.find(Event, event_id, access.visible_events())
    if event is None:
        raise NotFound(f"Event {event_id} not found")
    return event


def delete(event_id: int) -> None:
    drain.run()
    event = _found(event_id)
    with _at_once(event.event_type):
        if not tables.delete(Event, event_id):
            raise NotFound(f"Event {event_id} not found")
        if _is_click(event):
            uncount(event)


def page(query: EventQuery) -> Page:
    """Newest first, after all clicks that were answered before have been counted."""
    drain.run()
    wanted = conditions(query)
    if wanted is None:
        return paging.nothing(query)
    has_time = query.after_time is not None or query.before_time is not None
    return paging.read(Event, wanted, query, _BY_TIME if has_time else paging.NEWEST_FIRST)


_BY_TIME = paging.Order("timestamp", descending=True)
_FILTERS = {
    "url_id": "url_id = ?",
    "user_id": "user_id = ?",
    "after_time": "timestamp >= ?",
    "before_time": "timestamp < ?",
}


def conditions(query: EventFilters) -> tables.Conditions | None:
    """The filters; None when nothing can match."""
    if not (tables.possible(query.url_id) and tables.possible(query.user_id)):
        return None
    found = {**access.visible_events(), **tables.asked(_FILTERS, query)}
    if query.event_type is not None:
        if "\x00" in query.event_type:
            return None
        found.update(_is_of_type(query.event_type))
    return found


def _is_of_type(event_type: str) -> tables.Conditions:
    return (
        {"event_type IN (?, ?, ?)": CLICK_TYPES}
        if event_type in CLICK_TYPES
        else {"event_type = ?": (event_type,)}
    )


def page_of_url(url_id: int, query: ListQuery) -> Page:
    urls.require(url_id)
    return page(EventQuery.model_construct(**dict(query), url_id=url_id))


def show(event: Any) -> dict[str, Any]:
    """The event as the caller may see it: few see the addresses of visitors."""
    shown = show_event(event)
    if not caller().sees_addresses:
        shown["details"].pop("ip", None)
    return shown
