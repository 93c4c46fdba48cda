"""What the caller may see and change: conditions of rows, and refusals, stated once for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.access import caller
from app.errors import Forbidden
from app.models import Event, Table, Url, UrlKey, User
from app.services import tables
from app.services.tables import Conditions

# Other conditions are `user_id = ?` and so on. Two with the same text would be one.
_OWN = "(user_id = ?)"
_MADE = "(id IN (SELECT url_id FROM url_keys WHERE key_id = ?))"
_NOTHING: Conditions = {"1 = 0": ()}


def visible() -> Conditions:
    """What is true of the links that the caller sees; nothing where it sees all."""
    who = caller()
    if not who.scope:
        return _NOTHING
    found: Conditions = {}
    if who.user_id is not None:
        found[_OWN] = (who.user_id,)
    if who.only_key_id is not None:
        found[_MADE] = (who.only_key_id,)
    return found


def visible_users() -> Conditions:
    """The same of users; a key that only makes links sees none but its own."""
    who = caller()
    if who.user_id is not None:
        return {"(id = ?)": (who.user_id,)}
    return {} if who.scope and who.only_key_id is None else _NOTHING


def visible_events() -> Conditions:
    """The same of events: those of its links, deleted ones too."""
    return _of_links("(url_id IN (SELECT id FROM urls WHERE {}))")


def visible_clicks() -> Conditions:
    """The same of statistics."""
    return visible_events()


def _of_links(condition: str) -> Conditions:
    seen = visible()
    if not seen:
        return {}
    return {condition.format(" AND ".join(seen)): tuple(tables.values_of(seen))}


_VISIBLE = {Url: visible, User: visible_users, Event: visible_events}


def visible_rows(model: type[Table]) -> Conditions:
    """The same of rows of any table; those of other tables are everybody's."""
    return _VISIBLE[model]() if model in _VISIBLE else {}


def owned(data: Any) -> Any:
    """`data` of a new link or event, with the user that the caller's is; raises Forbidden.

    Who has no key names no user, and a key that is bound to a user no other one.
    """
    who = caller()
    if not who.scope and data.user_id is not None:
        raise Forbidden("user_id: only who has an API key may set it")
    if who.user_id is None:
        return data
    if data.user_id not in (None, who.user_id):
        raise Forbidden(f"user_id: this API key is bound to user {who.user_id}")
    return data.model_copy(update={"user_id": who.user_id})


def is_bound() -> bool:
    return caller().user_id is not None


def refuse_bound(what: str) -> None:
    """Raises Forbidden for a key that is bound to a user; `what` it may not do."""
    who = caller()
    if who.user_id is not None:
        raise Forbidden(f"This API key is bound to user {who.user_id}: it may not {what}")


def note_made(rows: Sequence[Any]) -> None:
    """Remembers who made these links, where the caller sees no others.

    Sent with the next statement of the running transaction.
    """
    key_id = caller().only_key_id
    if key_id is not None and rows:
        tables.insert_later(UrlKey, [{"key_id": key_id, "url_id": row.id} for row in rows])
