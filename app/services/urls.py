"""Short links: made, found, followed, changed, deleted; every change is an event, and the cache is told after the commit."""

from __future__ import annotations

import json
import re
import secrets
import string
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from peewee import IntegrityError

from app import database, metrics
from app.database import db, now
from app.errors import NotFound, Unavailable
from app.models import Event, Url
from app.redirects.connection import redis_connection
from app.redirects.drain import drain
from app.redirects.links import ACTIVE, DELETED, INACTIVE, Link, add_pending, cache, deliver
from app.schemas import ListQuery, UrlCreate, UrlQuery, UrlUpdate
from app.services import paging, users
from app.services.paging import Page
from app.unavailable import LockedTooLong

ROUTE_NAMES = (
    "users",
    "urls",
    "events",
    "logs",
    "products",
    "shorten",
    "health",
    "ready",
    "metrics",
    "chaos",
    "openapi.json",
)
RESERVED = frozenset((*ROUTE_NAMES, "openapi", "docs", "static", "robots", "nginx-health"))
"""Codes that are never given out, because they are, or may become, routes."""

POSSIBLE_CODE = re.compile(r"[A-Za-z0-9_-]{1,32}")
_ALPHABET = string.ascii_letters + string.digits
_TRIES = 10


def new_code() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(6))


def create(data: UrlCreate, code: Callable[[], str] = new_code) -> Url:
    """A new link under a code that nobody ever had; raises NotFound for an unknown user."""
    for _ in range(_TRIES):
        try:
            url = _insert(data, code())
            break
        except IntegrityError:
            continue  # the code was taken
    else:
        raise Unavailable("No free short code was found")
    metrics.urls_created.inc()
    if redis_connection.url:
        cache.put_links([(url.short_code, as_link(url).entry())])
    return url


def _insert(data: UrlCreate, short_code: str) -> Url:
    if short_code.lower() in RESERVED:
        raise IntegrityError(f"{short_code} is reserved")
    with db.atomic():
        users.hold(data.user_id)
        url = Url.create(
            short_code=short_code,
            original_url=data.original_url,
            user=data.user_id,
            title=data.title,
            is_active=data.is_active is not False,
        )
        _note(url, "created", {"short_code": short_code, "original_url": url.original_url})
    return url


def _note(url: Url, event_type: str, *details: dict[str, Any]) -> None:
    """One event for each of `details`."""
    about = {"url": url.id, "user": url.user_id, "event_type": event_type}
    Event.insert_many([{**about, "details": json.dumps(each)} for each in details]).execute()


def as_link(url: Any) -> Link:
    """The link of a row of `urls`."""
    return Link(ACTIVE if url.is_active else INACTIVE, url.version, url.id, url.original_url)


def get(url_id: int) -> Any:
    """The link, its clicks counted up to now."""
    drain.run()
    url = paging.find(Url, url_id, "deleted_at IS NULL")
    if url is None:
        raise _unknown(url_id)
    return url


def require(url_id: int) -> None:
    _found(_living(Url.id), url_id)


def _living(*columns: Any) -> Any:
    return Url.select(*columns).where(Url.deleted_at.is_null())


def _found(select: Any, url_id: int) -> Url:
    url: Url | None = select.where(Url.id == url_id).first() if paging.possible(url_id) else None
    if url is None:
        raise _unknown(url_id)
    return url


def _unknown(url_id: int) -> NotFound:
    return NotFound(f"URL {url_id} not found")


def page(query: UrlQuery) -> Page:
    drain.run()
    if not paging.possible(query.user_id):
        return paging.nothing(query)
    conditions: paging.Conditions = {"deleted_at IS NULL": ()}
    if query.user_id is not None:
        conditions["user_id = ?"] = (query.user_id,)
    if query.is_active is not None:
        conditions["is_active" if query.is_active else "NOT is_active"] = ()
    return paging.read(Url, conditions, query)


def page_of_user(user_id: int, query: ListQuery) -> Page:
    found = page(UrlQuery.model_construct(**dict(query), user_id=user_id))
    if not found.rows:
        users.require(user_id)  # whoever has links exists
    return found


def _drain_unless_locked() -> None:
    """A change must not fail because the drain waits for another link's row."""
    with suppress(LockedTooLong):
        drain.run()


def update(url_id: int, data: UrlUpdate) -> Url:
    """Changes what differs, with one event for each field; what has the value already is no change."""
    _drain_unless_locked()
    updates: list[Any] = []
    with db.atomic():
        url = _found(database.for_update(_living()), url_id)
        changes = {
            name: value for name, value in data.changes().items() if getattr(url, name) != value
        }
        for name, value in changes.items():
            setattr(url, name, value)
        if changes:
            fields = [{"field": name, "new_value": value} for name, value in changes.items()]
            _note(url, "updated", *fields)
            updates = _save(url, updated_at=now())
    deliver(updates)
    return url


def delete(url_id: int) -> None:
    """Hides the link for good: only its events stay, and its code is never given out again."""
    _drain_unless_locked()
    with db.atomic():
        url = _found(database.for_update(_living()), url_id)
        _note(url, "deleted", {"reason": "user_requested"})
        updates = _save(url, deleted_at=now())
    deliver(updates)


def _save(url: Url, **times: Any) -> list[Any]:
    """Writes a changed link under its next version; returns what the cache must be told."""
    url.version += 1
    for name, value in times.items():
        setattr(url, name, value)
    Url.update(
        title=url.title,
        is_active=url.is_active,
        original_url=url.original_url,
        version=url.version,
        **times,
    ).where(Url.id == url.id).execute()
    link = as_link(url) if url.deleted_at is None else Link(DELETED, url.version, url.id, "")
    return add_pending([(url.short_code, link)])


class Stats(NamedTuple):
    url: Any
    redirect_count: int


def stats(url_id: int) -> Stats:
    """What is known of a link's clicks: the counter is kept with the link, so that it costs the same however many there are."""
    url = get(url_id)
    return Stats(url, url.click_count)


def code_of(url_id: int) -> str:
    return str(_found(_living(Url.short_code), url_id).short_code)


def count_active() -> int:
    return int(_living().where(Url.is_active).count())


def warm_up() -> int:
    """Puts all active links into Redis, many in one write; returns how many."""
    last = told = 0
    while True:
        batch = list(
            _living().where(Url.is_active, Url.id > last).order_by(Url.id).limit(_WARM_UP_BATCH)
        )
        if not batch or not cache.put_links(
            [(url.short_code, as_link(url).entry()) for url in batch]
        ):
            return told
        last, told = batch[-1].id, told + len(batch)


_WARM_UP_BATCH = 1000
