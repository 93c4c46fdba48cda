"""What a link may carry besides its URL, as columns: defaults, changes, and tags."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.database import now
from app.errors import InvalidInput
from app.models import UrlTag
from app.schemas import UrlUpdate
from app.services import tables

_DEFAULTS: dict[str, Any] = {
    "expires_at": None,
    "expired_url": None,
    "max_clicks": None,
    "redirect_status": 302,
    "forward_query": False,
    "tags": [],
}


def columns(given: dict[str, Any]) -> dict[str, Any]:
    """The columns of those of `given` that are rules; None stands for the default."""
    values = {
        name: default if given[name] is None else given[name]
        for name, default in _DEFAULTS.items()
        if name in given
    }
    if "tags" in values:
        values["tags"] = json.dumps(values["tags"])
    return values


def changes(url: Any, data: UrlUpdate) -> dict[str, Any]:
    """The columns that differ; raises InvalidInput for what may not become so."""
    given = data.changes()
    problems = {}
    if given.pop("short_code", None) not in (None, url.short_code):
        problems["short_code"] = "cannot be changed: links to it would break; make another link"
    wanted = {**given, **columns(given)}
    changed = {name: value for name, value in wanted.items() if getattr(url, name) != value}
    if changed.get("expires_at") and changed["expires_at"] <= now():
        problems["expires_at"] = "must be in the future"
    if problems:
        words = "; ".join(f"{name}: {why}" for name, why in problems.items())
        raise InvalidInput(words, errors=problems)
    return changed


def details_of(changed: dict[str, Any]) -> list[dict[str, Any]]:
    """What the event of each change says."""
    return [{"field": name, "new_value": shown(name, changed[name])} for name in changed]


def shown(name: str, value: Any) -> Any:
    """The value of a column as JSON has it."""
    if isinstance(value, datetime):
        return value.isoformat()
    return json.loads(value) if name == "tags" else value


def tag_later(url_id: int, tags: Sequence[str]) -> None:
    """Puts a link's tags into the table by which lists are filtered."""
    if tags:
        tables.insert_later(UrlTag, [{"url_id": url_id, "tag": tag} for tag in tags])
