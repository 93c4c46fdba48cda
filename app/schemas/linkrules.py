"""The rules of what a link may carry: its code, its end, its limit, its status, its tags."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from app.schemas.codes import CODE_PATTERN, LONGEST_CODE, POSSIBLE_CODE, is_reserved
from app.schemas.rules import LARGEST_ID, Text, refuse

REDIRECT_STATUSES = (301, 302, 307, 308)
MOST_TAGS, LONGEST_TAG = 20, 50
_ISO = re.compile(r"\d{4}-?(\d\d|W\d\d|\d\d\d).*", re.DOTALL)


def short_code(text: str) -> str:
    """A code that a client may choose; it is taken as it is, or refused."""
    if not POSSIBLE_CODE.fullmatch(text):
        raise refuse(f"must be 1 to {LONGEST_CODE} of the characters A-Z, a-z, 0-9, _ and -")
    if is_reserved(text):
        raise refuse("is reserved")
    return text


def moment(text: str) -> datetime:
    """An ISO 8601 moment in UTC, whole seconds, without a zone; without one in the text: UTC."""
    try:
        if not _ISO.fullmatch(text):
            raise ValueError
        found = datetime.fromisoformat(text)
        utc = found if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise refuse("must be a moment such as 2030-01-31T12:00:00Z") from None
    return utc.replace(tzinfo=None, microsecond=0)


def _moment(value: Any) -> Any:
    if not isinstance(value, str):
        raise refuse("must be a string with a moment such as 2030-01-31T12:00:00Z")
    return moment(value.strip())


def check_future(end: datetime) -> datetime:
    if end <= datetime.now(UTC).replace(tzinfo=None):
        raise refuse("must be in the future")
    return end


def max_clicks(number: int) -> int:
    if not 1 <= number <= LARGEST_ID:
        raise refuse("must be from 1 to 2^63 - 1")
    return number


def redirect_status(number: int) -> int:
    if number not in REDIRECT_STATUSES:
        raise refuse("must be 301, 302, 307 or 308")
    return number


def tags(given: list[str]) -> list[str]:
    """Each tag once, in the order in which they came."""
    if len(given) > MOST_TAGS:
        raise refuse(f"must be at most {MOST_TAGS} tags")
    return list(dict.fromkeys(given))


_CODE_SCHEMA = {"type": "string", "pattern": CODE_PATTERN, "examples": ["summer-sale"]}
_MOMENT_SCHEMA = {
    "type": "string",
    "pattern": r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$",
    "format": "moment",  # the pattern cannot tell the days of a month
    "description": "An ISO 8601 moment; without a zone it is UTC",
    "examples": ["2099-12-31T23:59:59Z"],
}
_CLICKS_SCHEMA = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID, "examples": [100]}
_STATUS_SCHEMA = {"type": "integer", "enum": list(REDIRECT_STATUSES), "examples": [302]}

ShortCode = Annotated[str, AfterValidator(short_code), WithJsonSchema(_CODE_SCHEMA)]
Moment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema(_MOMENT_SCHEMA)]
FutureMoment = Annotated[Moment, AfterValidator(check_future), WithJsonSchema(_MOMENT_SCHEMA)]
MaxClicks = Annotated[int, AfterValidator(max_clicks), WithJsonSchema(_CLICKS_SCHEMA)]
RedirectStatus = Annotated[int, AfterValidator(redirect_status), WithJsonSchema(_STATUS_SCHEMA)]
Tag = Annotated[str, Text(LONGEST_TAG, "summer")]
_TAGS_SCHEMA = {
    "type": "array",
    "items": Text(LONGEST_TAG, "summer").described(),
    "maxItems": MOST_TAGS,
    "examples": [["summer"]],
}
Tags = Annotated[list[Tag], AfterValidator(tags), WithJsonSchema(_TAGS_SCHEMA)]
