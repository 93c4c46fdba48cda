"""Reads numbers, dates, booleans and nothing as other programs write them into CSV files."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from app.database import now
from app.imports.reader import BadRow
from app.schemas import LARGEST_ID

_NO_VALUE = {"", "null", "none", "nan", "nat", "na", "n/a", "#n/a", "<na>", r"\n"}
"""What spreadsheets, pandas and databases write for nothing where a text cannot stand."""


def is_nothing(text: str) -> bool:
    return text.strip().lower() in _NO_VALUE


def whole(text: str) -> int | None:
    """A whole number from 0, also as 7.0, which is how spreadsheets and pandas write one; none for anything else."""
    if text.isdigit() and text.isascii() and len(text) < _SURELY_SMALL:
        return int(text)
    match = _WHOLE.fullmatch(text.strip())
    number = int(match[1] or 0) if match else LARGEST_ID + 1
    return number if number <= LARGEST_ID else None


_SURELY_SMALL = 19  # so many digits may be more than the largest id
_WHOLE = re.compile(r"(?=[0-9])0*+([1-9][0-9]{0,18}+)?(?:\.0*+)?")


def identity(text: str) -> int | None:
    """An id, of this row or of one that it refers to; what cannot be one is none."""
    return whole(text) or None


def reference(text: str) -> int | None:
    """As an id, but something that cannot be one is not the same as nothing: it refers to what does not exist."""
    return whole(text) or (None if is_nothing(text) else 0)


def moment(text: str) -> datetime | str:
    """ISO 8601 with a blank or a T, fractions, Z or an offset; nothing is now."""
    text = text.strip()
    try:
        if _STORED_MOMENT.fullmatch(text):
            datetime.fromisoformat(text)
            return text  # writing a moment out again costs more than all else that is done to it
        return now() if is_nothing(text) else _other_moment(text)
    except (ValueError, OverflowError):
        raise BadRow("is not a date") from None


_STORED_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} ([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}")


def _other_moment(text: str) -> datetime:
    """Python alone would take any character between date and time, and so 1712012301234 for a moment of 1712."""
    match = _MOMENT.fullmatch(text)
    if match is None:
        raise ValueError("no date")
    day, time, zone = match.groups(default="")
    if zone.upper() in ("Z", "UTC", "GMT"):
        zone = "+00:00"
    moment = datetime.fromisoformat(day.upper() + (f"T{time}{zone}" if time else ""))
    if moment.tzinfo:
        moment = moment.astimezone(UTC)
    return moment.replace(tzinfo=None, microsecond=0)


_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d|\d{8}|\d{4}-?W\d\d(?:-?\d)?)"
    r"(?:[T ] *([\d:.,]+) *(Z|UTC|GMT|[+-][\d:.]+)?)?",
    re.ASCII | re.IGNORECASE,
)
_BOOLEANS = {
    **dict.fromkeys(("true", "1", "1.0", "t", "yes", "y", "on", *_NO_VALUE), True),
    **dict.fromkeys(("false", "0", "0.0", "f", "no", "n", "off"), False),
}


def boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.strip().lower()]
    except KeyError:
        raise BadRow("must be true or false") from None
