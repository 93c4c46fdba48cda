"""Short links: made, found, followed, changed, deleted; every change stores an event."""

from __future__ import annotations

import json
import re
import secrets
import string
from collections.abc import Callable
from typing import Any, NamedTuple

from peewee import IntegrityError

from app import database, metrics
from app.cache import ACTIVE, DELETED, INACTIVE, Link, cache
from app.clicks import Click, clicks
from app.database import DatabaseUnavailable, db, now
from app.errors import NotFound, Unavailable
from app.models import Event, Url
from app.schemas import ListQuery, UrlCreate, UrlQuery, UrlUpdate
from app.services import freshness, paging, tables, users
from app.services.paging import Page

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


def create(data: UrlCreate, code: Callable[[], str] = new_code) -> Any:
    """A new link under a code that no link ever had; raises NotFound for an unknown user."""
    for _ in range(_TRIES):
        try:
            url = _insert(data, code())
            break
        except IntegrityError:
            continue  # the code was taken
    else:
        raise Unavailable("No free short code was found")
    metrics.urls_created.inc()
    if cache.store.shared:
        cache.put_links([(url.short_code, as_link(url).entry())])
    return url


def _insert(data: UrlCreate, short_code: str) -> Any:
    if short_code.lower() in RESERVED:
        raise IntegrityError(f"{short_code} is reserved")
    created_at = now()
    values = {
        "short_code": short_code,
        "original_url": data.original_url,
        "user_id": data.user_id,
        "title": data.title,
        "is_active": data.is_active is not False,
        "created_at": created_at,
        "updated_at": created_at,
    }
    with db.atomic():
        url = _insert_of_user(values)
        _note(url, "created", {"short_code": short_code, "original_url": url.original_url})
    return url


_OWNER = "FROM (SELECT id FROM users WHERE id = ? FOR SHARE) AS owner"


def _insert_of_user(values: dict[str, Any]) -> Any:
    """The new row; keeps its user from being deleted until the transaction ends."""
    user_id = values["user_id"]
    if user_id is None:
        return tables.insert(Url, values)
    owner = _OWNER if database.dialect().locks_rows else _OWNER.replace("FOR SHARE", "")
    url = tables.insert(Url, values, owner, [user_id]) if tables.possible(user_id) else None
    if url is None:
        raise NotFound(f"User {user_id} not found")
    return url


def _note(url: Any, event_type: str, *details: dict[str, Any]) -> None:
    """One event for each of `details`, sent with the next statement of the transaction."""
    about = {"url_id": url.id, "user_id": url.user_id, "event_type": event_type, "timestamp": now()}
    tables.insert_later(Event, [{**about, "details": json.dumps(each)} for each in details])


def as_link(url: Any) -> Link:
    return Link(ACTIVE if url.is_active else INACTIVE, url.version, url.id, url.original_url)


_LIVE = "deleted_at IS NULL"


def get(url_id: int) -> Any:
    """The link, its clicks counted up to now."""
    clicks.drain()
    return require(url_id)


def require(url_id: int, lock: str = "") -> Any:
    """The link as the database has it; raises NotFound."""
    url = tables.find(Url, url_id, _LIVE, lock=lock)
    if url is None:
        raise NotFound(f"URL {url_id} not found")
    return url


def page(query: UrlQuery) -> Page:
    clicks.drain()
    if not tables.possible(query.user_id):
        return paging.nothing(query)
    conditions: tables.Conditions = {_LIVE: ()}
    if query.user_id is not None:
        conditions["user_id = ?"] = (query.user_id,)
    if query.is_active is not None:
        conditions["is_active" if query.is_active else "NOT is_active"] = ()
    return paging.read(Url, conditions, query)


def page_of_user(user_id: int, query: ListQuery) -> Page:
    found = page(UrlQuery.model_construct(**dict(query), user_id=user_id))
    if not found.rows:
        users.get(user_id)  # a user that has links exists
    return found


def update(url_id: int, data: UrlUpdate) -> Any:
    """Changes the fields that differ, with one event for each; the same value is no change."""
    clicks.drain()
    updates: list[Any] = []
    with db.atomic():
        url = require(url_id, "FOR UPDATE")
        wanted = data.changes().items()
        changes = {name: value for name, value in wanted if getattr(url, name) != value}
        if changes:
            fields = [{"field": name, "new_value": value} for name, value in changes.items()]
            _note(url, "updated", *fields)
            url, updates = _save(url, {**changes, "updated_at": now()})
    freshness.deliver(updates)
    return url


def delete(url_id: int) -> None:
    """Hides the link for good: its events stay, and its code is never given out again."""
    clicks.drain()
    with db.atomic():
        url = require(url_id, "FOR UPDATE")
        _note(url, "deleted", {"reason": "user_requested"})
        _, updates = _save(url, {"deleted_at": now()})
    freshness.deliver(updates)


def _save(url: Any, changes: dict[str, Any]) -> tuple[Any, list[Any]]:
    """Writes the link's next version; returns the row and its pending cache updates."""
    changes["version"] = url.version + 1
    tables.update_later(Url, url.id, changes)
    url = url._replace(**changes)
    link = as_link(url) if url.deleted_at is None else Link(DELETED, url.version, url.id, "")
    return url, freshness.keep([(url.short_code, link)])


class Stats(NamedTuple):
    url: Any
    redirect_count: int


def stats(url_id: int) -> Stats:
    """A link and its number of clicks, which the link's row holds."""
    url = get(url_id)
    return Stats(url, url.click_count)


class Found(NamedTuple):
    link: Link
    cached: bool


def follow(click: Click) -> Found | None:
    """The link behind a code, its click recorded when it is active; None when there is none."""
    try:
        return _follow(click)
    except DatabaseUnavailable:
        clicks.regret(click)
        raise


def _follow(click: Click) -> Found | None:
    link = clicks.follow(click)
    if link is None:
        try:
            link = _look_up(click.short_code)
        except DatabaseUnavailable:
            link = clicks.follow_patiently(click)
            if link is None:
                raise
        else:
            return _follow_in_database(click, link)
    return None if link.state == DELETED else Found(link, cached=True)


def _follow_in_database(click: Click, link: Link | None) -> Found | None:
    if link is not None and link.state == ACTIVE:
        clicks.record(click, link)
    else:
        clicks.refuse(click)
    return link and Found(link, cached=False)


def peek(short_code: str) -> Found | None:
    """As follow, without a click."""
    link = cache.get_link(short_code)
    if link is None:
        link = _look_up(short_code)
        return link and Found(link, cached=False)
    return None if link.state == DELETED else Found(link, cached=True)


def _look_up(short_code: str) -> Link | None:
    """The link as the database has it; the cache is told."""
    found = tables.read(Url, {"short_code = ?": (short_code,), _LIVE: ()}, "")
    if not found:
        return None
    link = as_link(found[0])
    if cache.store.shared:
        cache.put_links([(short_code, link.entry())])
    return link


def code_of(url_id: int) -> str:
    return str(require(url_id).short_code)


def count_active() -> int:
    return int(tables.select("count(*)", Url, {_LIVE: (), "is_active": ()}).fetchone()[0])


def warm_up() -> int:
    """Puts all active links into Redis, many in one write; returns how many."""
    last = told = 0
    order = f"ORDER BY id LIMIT {_WARM_UP_BATCH}"
    while True:
        batch = tables.read(Url, {_LIVE: (), "is_active": (), "id > ?": (last,)}, order)
        entries = [(url.short_code, as_link(url).entry()) for url in batch]
        if not batch or not cache.put_links(entries):
            return told
        last, told = batch[-1].id, told + len(batch)


_WARM_UP_BATCH = 1000
