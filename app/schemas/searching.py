"""The rules of what lists are filtered by: texts and moments in queries."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from app.schemas.rules import LARGEST_ID, _refuse, _Text

_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:[Zz]|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)


def _moment(value: Any) -> datetime:
    """ISO 8601; without a zone it is UTC. Raises a ValueError for `in_our_words`."""
    text = str(value).strip()
    try:
        if not _MOMENT.fullmatch(text):
            raise ValueError
        moment = datetime.fromisoformat(text.upper())
        return (moment.astimezone(UTC) if moment.tzinfo else moment).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise _refuse("must be an ISO 8601 date or moment; write + as %2B") from None


_DATE_TIME = {"type": "string", "format": "date-time", "examples": ["2026-01-02T03:04:05Z"]}
QueryMoment = Annotated[datetime, BeforeValidator(_moment), WithJsonSchema(_DATE_TIME)]
_IDS = {"type": "string", "pattern": "^[0-9]+(,[0-9]+)*$", "examples": ["1,2"]}


def _ids(value: Any) -> tuple[int, ...]:
    """Numbers of any size; those that are no ids are dropped."""
    if not re.fullmatch("[0-9]+(,[0-9]+)*", str(value)):
        raise _refuse("must be ids such as 1,2")
    numbers = {int(text) for text in str(value).split(",") if len(text.lstrip("0")) < 20}
    return tuple(sorted(number for number in numbers if 1 <= number <= LARGEST_ID))


Ids = Annotated[tuple[int, ...], BeforeValidator(_ids), WithJsonSchema(_IDS)]
Search = Annotated[str, _Text(200, "example")]
Tag = Annotated[str, _Text(50, "news")]
MOST_TAGS = 20
Tags = Annotated[list[Tag], Field(min_length=1, max_length=MOST_TAGS)]
UrlOrder = Literal["id", "-id", "created_at", "-created_at", "clicks", "-clicks", "title", "-title"]
