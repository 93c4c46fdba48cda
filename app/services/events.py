"""Events: what happened to links, written by the service itself and by clients."""

from __future__ import annotations

import json
from typing import Any

from peewee import IntegrityError

from app.database import db
from app.errors import Conflict, NotFound
from app.models import CLICK_TYPES, Event, Url
from app.redirects.drain import drain
from app.schemas import EventCreate, EventQuery, ListQuery
from app.services import paging, urls, users
from app.services.paging import Page


def create(data: EventCreate) -> Event:
    """A client's own event; one that is called a click counts as one."""
    drain.run()  # what was answered before has a smaller id
    try:
        with db.atomic():
            users.require(data.user_id)
            if data.url_id is not None:
                urls.require(data.url_id)
                _count(data.event_type, data.url_id, +1)
            details = json.dumps(data.details or {})
            return Event.create(
                url=data.url_id, user=data.user_id, event_type=data.event_type, details=details
            )
    except IntegrityError:
        raise Conflict("The link or the user was deleted at this moment") from None


def _count(event_type: str, url_id: int, clicks_more: int) -> None:
    if event_type in CLICK_TYPES:
        Url.update(click_count=Url.click_count + clicks_more).where(Url.id == url_id).execute()


def get(event_id: int) -> Any:
    drain.run()
    return _found(event_id)


def _found(event_id: int) -> Any:
    event = paging.find(Event, event_id)
    if event is None:
        raise NotFound(f"Event {event_id} not found")
    return event


def delete(event_id: int) -> None:
    drain.run()
    with db.atomic():
        event = _found(event_id)
        if event.url_id is not None:
            _count(event.event_type, event.url_id, -1)
        if not Event.delete().where(Event.id == event_id).execute():
            raise NotFound(f"Event {event_id} not found")


def page(query: EventQuery) -> Page:
    """Newest first, after all clicks that were answered before have been counted."""
    drain.run()
    if not (paging.possible(query.url_id) and paging.possible(query.user_id)):
        return paging.nothing(query)
    conditions: paging.Conditions = {
        f"{name} = ?": (value,)
        for name, value in (("url_id", query.url_id), ("user_id", query.user_id))
        if value is not None
    }
    if query.event_type is not None:
        if "\x00" in query.event_type:
            return paging.nothing(query)
        conditions.update(_is_of_type(query.event_type))
    return paging.read(Event, conditions, query, newest_first=True)


def _is_of_type(event_type: str) -> paging.Conditions:
    return (
        {"event_type IN (?, ?, ?)": CLICK_TYPES}
        if event_type in CLICK_TYPES
        else {"event_type = ?": (event_type,)}
    )


def page_of_url(url_id: int, query: ListQuery) -> Page:
    urls.require(url_id)
    return page(EventQuery.model_construct(**dict(query), url_id=url_id))
