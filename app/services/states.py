"""What the audit trail keeps of users, links and keys: the whole state, and what differed."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from app.services import linkrules
from app.services.audit import Change, State, differing

RESTORED = (
    "original_url",
    "title",
    "is_active",
    "expires_at",
    "expired_url",
    "max_clicks",
    "redirect_status",
    "forward_query",
    "tags",
)
"""What may change of a link, and is taken back to what it was."""


def state_of(url: Any) -> State:
    return {
        name: linkrules.shown(name, getattr(url, name))
        for name in ("short_code", "user_id", *RESTORED)
    }


def user_state(user: Any) -> State:
    return {"username": user.username, "email": user.email}


def key_state(key: Any) -> State:
    """Without anything of its secret."""
    ends = {name: getattr(key, name) for name in ("expires_at", "revoked_at", "old_until")}
    shown = {name: end and end.isoformat() for name, end in ends.items()}
    return {"name": key.name, "scope": key.scope, "user_id": key.user_id, **shown}


def created(url: Any) -> Change:
    return Change("create", "url", url.id, None, state_of(url), url.version)


def changed(action: str, old: Any, new: Any) -> Change:
    """`old` became `new`, or is gone when that is deleted. Nothing is kept of an erased one."""
    if action == "erase":
        return Change(action, "url", new.id, {"short_code": new.short_code}, None, new.version)
    if new.deleted_at is not None:
        return Change(action, "url", new.id, state_of(old), None, new.version)
    after = state_of(new)
    return Change(action, "url", new.id, differing(state_of(old), after), after, new.version)


def columns_of(state: State) -> dict[str, Any]:
    """The columns that were so then."""
    columns = {name: state[name] for name in RESTORED}
    end = columns["expires_at"]
    return columns | {
        "expires_at": datetime.fromisoformat(end) if end else None,
        "tags": json.dumps(columns["tags"]),
    }
