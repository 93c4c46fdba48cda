"""Reads numbers, dates, booleans and nothing as other programs write them, as text to store."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from app.database import now
from app.imports.formulas import undefused
from app.schemas import (
    LARGEST_ID,
    POSSIBLE_CODE,
    RESERVED,
    Title,
    WebAddress,
    destinations,
    details_text,
    linkrules,
    text_rule,
)

_NO_VALUE = {"", "null", "none", "nan", "nat", "na", "n/a", "#n/a", "<na>", r"\n"}
"""What spreadsheets, pandas and databases write for nothing where a text cannot stand."""


def _is_nothing(text: str) -> bool:
    return text.strip().lower() in _NO_VALUE


# ---- numbers ----


def _whole(text: str) -> int | None:
    """A whole number from 0, also as spreadsheets and pandas write it (7.0); None for others."""
    match = _WHOLE.fullmatch(text.strip())
    number = int(match[1] or 0) if match else LARGEST_ID + 1
    return number if number <= LARGEST_ID else None


_WHOLE = re.compile(r"(?=[0-9])0*+([1-9][0-9]{0,18}+)?(?:\.0*+)?")


def identity(text: str) -> str | None:
    """The id of the row itself; None, for a new one, when it cannot be an id."""
    return str(_whole(text) or "") or None


def reference(text: str) -> str | None:
    """The id of another row; 0, which refers to nothing, when it is there but cannot be an id."""
    return identity(text) or (None if _is_nothing(text) else "0")


def stock(text: str) -> str:
    number = _whole(text)
    if number is None:
        raise ValueError("must be a whole number from 0")
    return str(number)


def count(text: str) -> str:
    return "0" if _is_nothing(text) else stock(text)


def max_clicks(text: str) -> str | None:
    return None if _is_nothing(text) else str(linkrules.max_clicks(_whole(text) or 0))


def redirect_status(text: str) -> str:
    return "302" if _is_nothing(text) else str(linkrules.redirect_status(_whole(text) or 0))


def price(text: str) -> str:
    try:
        price = Decimal(text.strip()).quantize(Decimal("0.01"))
    except InvalidOperation:
        raise ValueError("must be a number") from None
    if not (price.is_finite() and 0 <= price < 10**10):
        raise ValueError("must be between 0 and 10,000,000,000")
    return str(price)


# ---- dates ----


def moment(text: str) -> str:
    """ISO 8601 with a blank or a T, fractions, Z or an offset, as UTC; nothing is now."""
    text = text.strip()
    try:
        return str(now() if _is_nothing(text) else _moment(text))
    except (ValueError, OverflowError):
        raise ValueError("is not a date") from None


def moment_or_none(text: str) -> str | None:
    return None if _is_nothing(text) else moment(text)


def _moment(text: str) -> datetime:
    """The pattern is needed: Python alone takes any character between date and time."""
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

# ---- booleans and texts ----

_BOOLEANS = {
    **dict.fromkeys(("true", "1", "1.0", "t", "yes", "y", "on", *_NO_VALUE), "1"),
    **dict.fromkeys(("false", "0", "0.0", "f", "no", "n", "off"), "0"),
}


def boolean(text: str) -> str:
    try:
        return _BOOLEANS[text.strip().lower()]
    except KeyError:
        raise ValueError("must be true or false") from None


def flag(text: str) -> str:
    """A boolean that nothing makes false."""
    return "0" if _is_nothing(text) else boolean(text)


def literal(rule: Callable[[str], str]) -> Callable[[str], str]:
    """The rule of a text that an export may have defused."""
    return lambda text: rule(undefused(text))


def title(text: str) -> str | None:
    return None if text.strip() in ("", r"\N") else _valid_title(undefused(text))


_valid_title = text_rule(Title)


_valid_address = text_rule(WebAddress)


def address(text: str) -> str:
    """Where a new link may lead."""
    found = _valid_address(text)
    if why := destinations.refusal(found):
        raise ValueError(why)
    return found


def address_or_none(text: str) -> str | None:
    return None if text.strip() in ("", r"\N") else address(text)


def code(text: str) -> str:
    code = undefused(text).strip()
    if not POSSIBLE_CODE.fullmatch(code):
        raise ValueError("must be 1 to 64 letters, digits, - or _")
    if code.lower() in RESERVED:
        raise ValueError("is the name of a route")
    return code


def details(text: str) -> str:
    """A JSON object as it is; anything else is kept as what it was."""
    return details_text(undefused(text)) if text.strip() else "{}"


# ---- tags ----


def tags(text: str) -> str:
    """A JSON array of texts, or texts between commas or bars, as a JSON array."""
    if text.strip() in ("", r"\N"):
        return "[]"
    return json.dumps(linkrules.tags(list(map(_tag, _listed(undefused(text).strip())))))


_tag = text_rule(linkrules.Tag)


def _listed(text: str) -> list[str]:
    try:
        found: list[str] | None = json.loads(text) if text.startswith("[") else None
    except (ValueError, RecursionError):
        found = None
    if found is None:
        return [part for part in re.split("[,|]", text) if part.strip()]
    if not all(isinstance(tag, str) for tag in found):
        raise ValueError("must be a JSON array of texts")
    return found
