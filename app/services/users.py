"""Users: made, found, changed, and deleted with their links."""

from __future__ import annotations

from typing import Any

from peewee import IntegrityError

from app import database
from app.database import db, now
from app.errors import Conflict, NotFound
from app.models import Url, User
from app.redirects.links import DELETED, Link, add_pending, deliver
from app.redirects.rollups import forget_user
from app.schemas import UserCreate, UserFilters, UserQuery, UserUpdate
from app.services import access, accounts, paging, tables
from app.services.paging import Page
from app.services.tables import Check

_TRIES = 3
_DISPUTED = "Another request took and released the same username or email at this moment"


def create(data: UserCreate) -> Any:
    """A new user; raises Conflict when the username or the email, in any case, is taken."""
    access.refuse_bound("make users")
    values = data.changes()
    for _ in range(_TRIES):
        try:
            with tables.undoable():
                return accounts.insert({**values, "created_at": now()})
        except IntegrityError:
            # When nothing is taken, an import has just used the id of the new row: try again.
            _refuse_taken(values)
    raise Conflict(_DISPUTED)


def _refuse_taken(values: dict[str, Any], but: int = 0) -> None:
    username, email = values.get("username"), values.get("email")
    if username is not None and _others({"username = ?": (username,)}, but):
        raise Conflict(f"Username already exists: {username}")
    if email is not None and _others({"lower(email) = ?": (_ascii_lower(email),)}, but):
        raise Conflict(f"Email already exists: {email}")


def _others(conditions: tables.Conditions, but: int) -> bool:
    wanted = {**conditions, "id <> ?": (but,)}
    return tables.select("1", User, wanted, "LIMIT 1").fetchone() is not None


def _ascii_lower(text: str) -> str:
    """As the unique index does it; lower() of a parameter depends on the database's locale."""
    return "".join(c.lower() if c.isascii() else c for c in text)


def get(user_id: int, lock: str = "") -> Any:
    """The user, locked until the transaction ends where `lock` says so; raises NotFound."""
    user = tables.find(User, user_id, access.visible_users(), lock)
    if user is None:
        raise NotFound(f"User {user_id} not found")
    return user


def page(query: UserQuery) -> Page:
    wanted = conditions(query)
    return paging.nothing(query) if wanted is None else paging.read(User, wanted, query)


def conditions(query: UserFilters) -> tables.Conditions | None:
    """The filters; None when nothing can match."""
    if "\x00" in f"{query.username}{query.email}":
        return None
    found = {**access.visible_users()}
    if query.username is not None:
        found["username = ?"] = (query.username,)
    if query.email is not None:
        found["lower(email) = ?"] = (_ascii_lower(query.email),)
    return found


def update(user_id: int, data: UserUpdate, check: Check | None = None) -> Any:
    """Changes what `data` names; raises Conflict when another user has the username or email.

    `check` may refuse to change the locked row.
    """
    _refuse_bound(user_id)
    if check is None:
        return _change(user_id, data.changes())
    with db.atomic():
        check(get(user_id, "FOR NO KEY UPDATE"))
        return _change(user_id, data.changes())


def _refuse_bound(user_id: int) -> None:
    if access.is_bound():
        get(user_id)  # of others it learns nothing
        access.refuse_bound("change or delete users")


def _change(user_id: int, values: dict[str, Any]) -> Any:
    if not (values and tables.possible(user_id)):
        return get(user_id)
    try:
        with tables.undoable():
            return accounts.update(user_id, values) or get(user_id)
    except IntegrityError:
        _refuse_taken(values, but=user_id)
        raise Conflict(_DISPUTED) from None


def delete(user_id: int, check: Check | None = None, action: str = "delete") -> None:
    """Deletes the user, its links and their events; its events of others' links stay.

    `check` may refuse, as in `update`. Of one to `erase` the audit trail keeps only the id.
    """
    _refuse_bound(user_id)
    with database.without_timeouts(), db.atomic():
        # Imports and drains too write to many links, in another order.
        database.lock("import", "drain")
        # Waits for requests that make links for this user. A weaker lock than FOR UPDATE:
        # events of its links need only that the user exists.
        user = get(user_id, "FOR NO KEY UPDATE")
        if check:
            check(user)
        columns = "id, short_code, version"
        lock = "ORDER BY id FOR UPDATE" if database.dialect().locks_rows else "ORDER BY id"
        links = tables.select(columns, Url, {"user_id = ?": (user_id,)}, lock).fetchall()
        updates = add_pending(
            [(code, Link(DELETED, version + 1, url_id, "")) for url_id, code, version in links]
        )
        tables.later(_RETIRE, [user_id])
        tables.later(_FORGET_MAKERS, [user_id])
        forget_user(user_id)
        accounts.note_deletion(user, action)
        tables.later("DELETE FROM users WHERE id = ?", [user_id])
    deliver(updates)


_RETIRE = """INSERT INTO retired_codes (short_code)
    SELECT short_code FROM urls WHERE user_id = ? ON CONFLICT DO NOTHING"""
_FORGET_MAKERS = "DELETE FROM url_keys WHERE url_id IN (SELECT id FROM urls WHERE user_id = ?)"
