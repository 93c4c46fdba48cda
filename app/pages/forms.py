"""What a form sends, as the JSON that the API would get: the same schema checks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import request

from app.errors import ApiError
from app.pages import zones
from app.routes.inputs import base_url, own_address
from app.schemas import check

_NUMBERS = frozenset(("max_clicks", "redirect_status", "user_id"))
_BOOLEANS = frozenset(("forward_query", "is_active"))
_MOMENTS = frozenset(("expires_at",))


def checked(schema: type[Any], names: Mapping[str, str] | list[str]) -> Any:
    """The fields `names` of the form as `schema`; raises InvalidInput with every bad field.

    An empty field is null: not given, or taken away.
    """
    values = {name: _value(name, request.form.get(name, "").strip()) for name in names}
    return check(schema, values, own=own_address(base_url()))


def _value(name: str, text: str) -> Any:
    if name in _BOOLEANS:
        return text != ""
    if not text:
        return [] if name == "tags" else None
    if name == "tags":
        return [tag for part in text.split(",") if (tag := part.strip())]
    if name in _NUMBERS:
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else text
    return zones.to_utc(text) if name in _MOMENTS else text


def problems(error: ApiError) -> dict[str, str]:
    """What to show beside which field; under "" what belongs to none."""
    return error.errors or {"": error.message}
