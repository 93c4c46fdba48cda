"""The time zone of the browser, which its script tells in a cookie; UTC without one."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from flask import request

from app.schemas import is_zone


def name() -> str:
    told = request.cookies.get("tz", "")[:100]
    return told if is_zone(told) else "UTC"


def zone() -> ZoneInfo:
    return ZoneInfo(name())


def to_utc(text: str) -> str:
    """A moment as a form has it, such as 2030-01-31T12:00, as ISO 8601 in UTC; else as it is."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone())
    return moment.astimezone(UTC).isoformat()
