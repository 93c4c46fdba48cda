"""The time zone of the browser, which its script tells in a cookie; UTC without one."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from app.schemas import is_zone


def name() -> str:
    """The zone of the form that was sent, which the page may have shown without a cookie."""
    told = (_sent() or request.cookies.get("tz", ""))[:100]
    return told if is_zone(told) else "UTC"


def _sent() -> str:
    """Of an upload, or of a body that is too large, nothing is read."""
    if request.mimetype != "application/x-www-form-urlencoded":
        return request.args.get("zone", "")
    with suppress(RequestEntityTooLarge):
        return request.form.get("zone", "")
    return ""


def zone() -> ZoneInfo:
    return ZoneInfo(name())


def to_utc(text: str) -> str:
    """A moment as a form has it, such as 2030-01-31T12:00, as ISO 8601 in UTC; else as it is."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone())
        return moment.astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        return text


def to_form(moment: datetime | None) -> str:
    """A moment in UTC as a form has it; seconds only where it has some."""
    if moment is None:
        return ""
    with suppress(OverflowError):  # in the year 1 or 9999
        moment = moment.replace(tzinfo=UTC).astimezone(zone()).replace(tzinfo=None)
    return moment.isoformat(timespec="seconds" if moment.second else "minutes")
