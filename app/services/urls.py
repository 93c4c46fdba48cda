"""Short links: made, found, followed, changed, deleted; every change stores an event."""

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
from app.schemas import UrlCreate, UrlUpdate
from app.services import tables
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

POSSIBLE_CODE = re.compile(r"[A-Za-z0-9_-]{1,64}")
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
    if redis_connection.url:
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
    """The link of a row of `urls`."""
    return Link(ACTIVE if url.is_active else INACTIVE, url.version, url.id, url.original_url)


_LIVE = "deleted_at IS NULL"


def get(url_id: int) -> Any:
    """The link, its clicks counted up to now."""
    drain.run()
    return require(url_id)


def require(url_id: int, lock: str = "") -> Any:
    """The link as the database has it; raises NotFound."""
    url = tables.find(Url, url_id, _LIVE, lock=lock)
    if url is None:
        raise NotFound(f"URL {url_id} not found")
    return url


def _drain_unless_locked() -> None:
    """A change must not fail because the drain waits for another link's row."""
    with suppress(LockedTooLong):
        drain.run()


def update(url_id: int, data: UrlUpdate) -> Any:
    """Changes the fields that differ, with one event for each; the same value is no change."""
    _drain_unless_locked()
    updates: list[Any] = []
    with db.atomic():
        url = require(url_id, "FOR UPDATE")
        wanted = data.changes().items()
        changes = {name: value for name, value in wanted if getattr(url, name) != value}
        if changes:
            fields = [{"field": name, "new_value": value} for name, value in changes.items()]
            _note(url, "updated", *fields)
            url, updates = _save(url, {**changes, "updated_at": now()})
    deliver(updates)
    return url


def delete(url_id: int) -> None:
    """Hides the link for good: its events stay, and its code is never given out again."""
    _drain_unless_locked()
    with db.atomic():
        url = require(url_id, "FOR UPDATE")
        _note(url, "deleted", {"reason": "user_requested"})
        _, updates = _save(url, {"deleted_at": now()})
    deliver(updates)


def _save(url: Any, changes: dict[str, Any]) -> tuple[Any, list[Any]]:
    """Writes the link's next version; returns the row and its pending cache updates."""
    changes["version"] = url.version + 1
    tables.update_later(Url, url.id, changes)
    url = url._replace(**changes)
    link = as_link(url) if url.deleted_at is None else Link(DELETED, url.version, url.id, "")
    return url, add_pending([(url.short_code, link)])


class Stats(NamedTuple):
    url: Any
    redirect_count: int


def stats(url_id: int) -> Stats:
    """A link and its number of clicks, which the link's row holds."""
    url = get(url_id)
    return Stats(url, url.click_count)


def code_of(url_id: int) -> str:
    return str(require(url_id).short_code)


def require_code(short_code: str) -> None:
    """Raises NotFound unless there is a link with this code, active or not."""
    possible = POSSIBLE_CODE.fullmatch(short_code)
    wanted: tables.Conditions = {"short_code = ?": (short_code,), _LIVE: ()}
    if not (possible and tables.select("1", Url, wanted).fetchone()):
        raise NotFound(f"Short code {short_code[:64]} not found")


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
