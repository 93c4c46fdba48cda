"""Users: made, found, changed and deleted with all that is theirs."""

from __future__ import annotations

from typing import Any

from peewee import IntegrityError, fn

from app import database
from app.database import db
from app.errors import Conflict, NotFound
from app.models import Url, User
from app.redirects.links import DELETED, Link, add_pending, deliver
from app.schemas import ListQuery, UserCreate, UserUpdate
from app.services import paging
from app.services.paging import Page

_TRIES = 3


def create(data: UserCreate) -> User:
    """A new user; raises Conflict when the username or the email, in whatever case, is taken."""
    for _ in range(_TRIES):
        try:
            return User.create(**data.changes())
        except IntegrityError:
            _refuse_taken(
                data.changes()
            )  # else an import had just taken the id that this one was given
    raise Conflict(_DISPUTED)


_DISPUTED = "Somebody else took and left the same username or email at this moment"


def _refuse_taken(values: dict[str, Any], but: int = 0) -> None:
    if (
        "username" in values
        and User.select().where(User.username == values["username"], User.id != but).exists()
    ):
        raise Conflict(f"Username already exists: {values['username']}")
    if (
        "email" in values
        and User.select()
        .where(fn.lower(User.email) == _ascii_lower(values["email"]), User.id != but)
        .exists()
    ):
        raise Conflict(f"Email already exists: {values['email']}")


def _ascii_lower(text: str) -> str:
    """As the unique index does it; a database's own lower() of a parameter goes by its locale."""
    return "".join(c.lower() if c.isascii() else c for c in text)


def get(user_id: int) -> Any:
    user = paging.find(User, user_id)
    if user is None:
        raise _unknown(user_id)
    return user


def require(user_id: int | None) -> None:
    """Raises NotFound unless there is such a user; None stands for nobody."""
    if user_id is not None:
        _found(User.select(User.id), user_id)


def hold(user_id: int | None) -> None:
    """As require; and until the running transaction ends, the user is not deleted."""
    if user_id is not None:
        _found(database.for_update(User.select(User.id), "FOR SHARE"), user_id)


def _found(select: Any, user_id: int) -> User:
    user: User | None = (
        select.where(User.id == user_id).first() if paging.possible(user_id) else None
    )
    if user is None:
        raise _unknown(user_id)
    return user


def _unknown(user_id: int) -> NotFound:
    return NotFound(f"User {user_id} not found")


def page(query: ListQuery) -> Page:
    return paging.read(User, {}, query)


def update(user_id: int, data: UserUpdate) -> Any:
    """Changes what `data` names; raises Conflict when somebody else has the username or the email."""
    values = data.changes()
    if not (values and paging.possible(user_id)):
        return get(user_id)
    try:
        changed = list(User.update(**values).where(User.id == user_id).returning(User).execute())
    except IntegrityError:
        _refuse_taken(values, but=user_id)
        raise Conflict(_DISPUTED) from None
    if not changed:
        raise _unknown(user_id)
    return changed[0]


def delete(user_id: int) -> None:
    """Deletes the user, its links and their events; what it did on others' links stays, without a user."""
    with database.patience(), db.atomic():
        for work in ("import", "drain"):  # they too write to many links at once, in another order
            database.lock(work)
        # Whoever is making a link for this user is waited for, and nobody begins to; who changes one of its links only needs it to be there.
        _found(database.for_update(User.select(User.id), "FOR NO KEY UPDATE"), user_id)
        links = list(
            database.for_update(
                Url.select(Url.id, Url.short_code, Url.version)
                .where(Url.user == user_id)
                .order_by(Url.id)
            )
        )
        updates = add_pending(
            [(url.short_code, Link(DELETED, url.version + 1, url.id, "")) for url in links]
        )
        User.delete().where(User.id == user_id).execute()
    deliver(updates)
