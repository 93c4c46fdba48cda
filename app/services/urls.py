"""Short links: made, found, followed, changed, deleted; every change stores an event."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from peewee import IntegrityError

from app import database, metrics
from app.database import db, now
from app.errors import Conflict, NotFound, Unavailable
from app.models import Event, Url
from app.redirects.drain import drain
from app.redirects.links import add_pending, cache, deliver, link_of
from app.schemas import UrlCreate, UrlUpdate, is_reserved
from app.services import access, audit, linkrules, states, tables
from app.services.tables import Check
from app.unavailable import LockedTooLong

Wanted = Callable[[Any], dict[str, Any]]
"""The columns of a link that are to change, and what they become."""
_ALPHABET = string.ascii_letters + string.digits
_TRIES = 10


def new_code() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(6))


def create(data: UrlCreate, code: Callable[[], str] = new_code) -> Any:
    """A new link under a code that no link ever had.

    Raises NotFound for an unknown user, Forbidden for one that the caller may not name, and
    Conflict when the code that `data` names is taken.
    """
    data = access.owned(data)
    url = _insert_own_code(data) if data.short_code else _insert_new_code(data, code)
    metrics.urls_created.inc()
    cache.put_new([url])
    return url


def _insert_own_code(data: UrlCreate) -> Any:
    code = str(data.short_code)
    try:
        with db.atomic():
            url = _insert(data, code)
            # After the row: a user's deletion that frees the code now has ended by then.
            if db.execute_sql(_RETIRED.replace("?", db.param), (code,)).fetchone():
                raise IntegrityError(f"{code} was a deleted user's")
            return url
    except IntegrityError:
        raise taken(code) from None


def taken(code: str) -> Conflict:
    why = f"Short code {code} is taken, or was once"
    return Conflict(why, errors={"short_code": "is taken"})


_RETIRED = "SELECT 1 FROM retired_codes WHERE short_code = ?"


def _insert_new_code(data: UrlCreate, code: Callable[[], str]) -> Any:
    for _ in range(_TRIES):
        with suppress(IntegrityError):  # the code was taken
            return _insert(data, code())
    raise Unavailable("No free short code was found")


def _insert(data: UrlCreate, short_code: str) -> Any:
    if is_reserved(short_code):
        raise IntegrityError(f"{short_code} is reserved")
    with db.atomic():
        database.share_lock("hosts")  # a ban waits for links that may not know of it
        url = _insert_of_user(values_of(data, short_code))
        _add_events(url, "created", {"short_code": short_code, "original_url": url.original_url})
        audit.note_all([states.created(url)])
        linkrules.tag_later(url.id, data.tags or ())
        access.note_made([url])
    return url


def values_of(data: UrlCreate, short_code: str) -> dict[str, Any]:
    """The columns of a new link."""
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
    return values | linkrules.columns(dict(data))


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


def _add_events(url: Any, event_type: str, *details: dict[str, Any]) -> None:
    """One event for each of `details`, sent with the next statement of the transaction."""
    about = {"url_id": url.id, "user_id": url.user_id, "event_type": event_type, "timestamp": now()}
    tables.insert_later(Event, [{**about, "details": json.dumps(each)} for each in details])


_LIVE = "deleted_at IS NULL"


def get(url_id: int) -> Any:
    """The link, its clicks counted up to now."""
    drain.run()
    return require(url_id)


def require(url_id: int, lock: str = "") -> Any:
    """The link as the database has it; raises NotFound, also when the caller may not see it."""
    url = tables.find(Url, url_id, {_LIVE: (), **access.visible()}, lock)
    if url is None:
        raise NotFound(f"URL {url_id} not found")
    return url


def _drain_unless_locked() -> None:
    """A change must not fail because the drain waits for another link's row."""
    with suppress(LockedTooLong):
        drain.run()


def update(url_id: int, data: UrlUpdate, check: Check | None = None) -> Any:
    """Changes the fields that differ, with one event for each; the same value is no change.

    `check` may refuse to change the locked row.
    """
    return change(url_id, "update", lambda url: linkrules.changes(url, data), check)


def change(url_id: int, action: str, wanted: Wanted, check: Check | None = None) -> Any:
    """As `update`, for any `action` and what it wants of the locked row."""
    _drain_unless_locked()
    updates: list[Any] = []
    with db.atomic():
        database.share_lock("hosts")  # a ban waits for changes that may not know of it
        url = require(url_id, "FOR UPDATE")
        if check:
            check(url)
        changes = wanted(url)
        if changes:
            _add_events(url, "updated", *linkrules.details_of(changes))
            url, updates = _save(url, action, {**changes, "updated_at": now()})
    deliver(updates)
    if "max_clicks" in changes:
        _drain_unless_locked()  # clicks before the limit count as well
    return url


def delete(url_id: int, check: Check | None = None, action: str = "delete") -> None:
    """Hides the link for good: its events stay, and its code is never given out again.

    `check` may refuse, as in `update`. Of one to `erase` the audit trail keeps only the code.
    """
    _drain_unless_locked()
    with db.atomic():
        url = require(url_id, "FOR UPDATE")
        if check:
            check(url)
        _add_events(url, "deleted", {"reason": "user_requested"})
        _, updates = _save(url, action, {"deleted_at": now()})
    deliver(updates)


def _save(old: Any, action: str, changes: dict[str, Any]) -> tuple[Any, list[Any]]:
    """Writes the link's next version; returns the row and its pending cache updates."""
    changes["version"] = old.version + 1
    tables.update_later(Url, old.id, changes)
    url = old._replace(**changes)
    audit.note_all([states.changed(action, old, url)])
    if "tags" in changes:
        tables.later("DELETE FROM url_tags WHERE url_id = ?", [url.id])
        linkrules.tag_later(url.id, json.loads(url.tags))
    return url, add_pending([(url.short_code, link_of(url))])


def code_of(url_id: int) -> str:
    return str(require(url_id).short_code)


def count_active() -> int:
    return int(tables.select("count(*)", Url, {_LIVE: (), "is_active": ()}).fetchone()[0])


def warm_up() -> int:
    """Puts all active links into Redis, many in one write; returns how many."""
    last = cached = 0
    order = f"ORDER BY id LIMIT {_WARM_UP_BATCH}"
    while True:
        batch = tables.read(Url, {_LIVE: (), "is_active": (), "id > ?": (last,)}, order)
        texts = [(url.short_code, link_of(url).text()) for url in batch]
        if not batch or not cache.put_links(texts):
            return cached
        last, cached = batch[-1].id, cached + len(batch)


_WARM_UP_BATCH = 1000
