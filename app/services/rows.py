"""What a CSV row must be to become a row of a table: one rule for each column, the same as for the API."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, NamedTuple

from app.database import now
from app.schemas import (
    LARGEST_ID,
    Email,
    EventType,
    Title,
    Username,
    WebAddress,
    in_our_words,
    load_object,
    storable_object,
    validator,
)
from app.services.csvfile import BadRow
from app.services.urls import POSSIBLE_CODE, RESERVED

Rule = Callable[[str], Any]


class Column(NamedTuple):
    name: str
    rule: Rule
    required: bool = False


class Kind(NamedTuple):
    """A kind of file: its noun in reports, its table, and its columns in the staging table's order."""

    noun: str
    model: str
    table: str
    columns: tuple[Column, ...]

    def names(self) -> set[str]:
        return {column.name for column in self.columns}

    def required(self) -> set[str]:
        return {column.name for column in self.columns if column.required}


def _ruled(annotation: Any) -> Rule:
    valid = validator(annotation)
    return lambda text: str(valid(text))


def _title(text: str) -> str | None:
    return None if text.strip() in ("", r"\N") else _valid_title(text)


_valid_title = _ruled(Title)
_NO_VALUE = {"", "null", "none", "nan", "nat", "na", "n/a", "#n/a", "<na>", r"\n"}
"""What spreadsheets, pandas and databases write for nothing where a text cannot stand."""


def _is_nothing(text: str) -> bool:
    return text.strip().lower() in _NO_VALUE


def _whole(text: str) -> int | None:
    """A whole number from 0, also as 7.0, which is how spreadsheets and pandas write one; none for anything else."""
    if text.isdigit() and text.isascii() and len(text) < _SURELY_SMALL:
        return int(text)
    match = _WHOLE.fullmatch(text.strip())
    number = int(match[1] or 0) if match else LARGEST_ID + 1
    return number if number <= LARGEST_ID else None


_SURELY_SMALL = 19  # so many digits may be more than the largest id
_WHOLE = re.compile(r"(?=[0-9])0*+([1-9][0-9]{0,18}+)?(?:\.0*+)?")


def _identity(text: str) -> int | None:
    """An id, of this row or of one that it refers to; what cannot be one is none."""
    return _whole(text) or None


def _reference(text: str) -> int | None:
    """As an id, but something that cannot be one is not the same as nothing: it refers to what does not exist."""
    return _whole(text) or (None if _is_nothing(text) else 0)


def _moment(text: str) -> datetime | str:
    """ISO 8601 with a blank or a T, fractions, Z or an offset; nothing is now."""
    text = text.strip()
    try:
        if _STORED_MOMENT.fullmatch(text):
            datetime.fromisoformat(text)
            return text  # writing a moment out again costs more than all else that is done to it
        return now() if _is_nothing(text) else _other_moment(text)
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


def _boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.strip().lower()]
    except KeyError:
        raise BadRow("must be true or false") from None


def _code(text: str) -> str:
    code = text.strip()
    if not POSSIBLE_CODE.fullmatch(code):
        raise BadRow("must be 1 to 32 letters, digits, - or _")
    if code.lower() in RESERVED:
        raise BadRow("is the name of a route")
    return code


def _details(text: str) -> str:
    """A JSON object as it is; anything else is kept as what it was."""
    if not text.strip():
        return "{}"
    try:
        details = load_object(text)
        if "\\u" in text or text.count("{") + text.count("[") > _SURELY_SHALLOW:  # else there is nothing in it that could not be stored
            storable_object(details)
        return text
    except ValueError:
        return json.dumps({"raw": text})


_SURELY_SHALLOW = 10


def _price(text: str) -> Decimal:
    try:
        price = Decimal(text.strip()).quantize(Decimal("0.01"))
    except InvalidOperation:
        raise BadRow("must be a number") from None
    if not (price.is_finite() and 0 <= price < 10**10):
        raise BadRow("must be between 0 and 10,000,000,000")
    return price


def _stock(text: str) -> int:
    stock = _whole(text)
    if stock is None:
        raise BadRow("must be a whole number from 0")
    return stock


_event_type = lru_cache(maxsize=1024)(_ruled(EventType))

USERS = Kind(
    "users",
    "User",
    "users",
    (Column("id", _identity), Column("username", _ruled(Username), True), Column("email", _ruled(Email), True), Column("created_at", _moment)),
)
URLS = Kind(
    "URLs",
    "Url",
    "urls",
    (
        Column("id", _identity),
        Column("user_id", _reference),
        Column("short_code", _code, True),
        Column("original_url", _ruled(WebAddress), True),
        Column("title", _title),
        Column("is_active", _boolean),
        Column("created_at", _moment),
        Column("updated_at", _moment),
    ),
)
EVENTS = Kind(
    "events",
    "Event",
    "events",
    (
        Column("id", _identity),
        Column("url_id", _reference),
        Column("user_id", _reference),
        Column("event_type", _event_type, True),
        Column("timestamp", _moment),
        Column("details", _details),
    ),
)
PRODUCTS = Kind(
    "products",
    "Product",
    "products",
    (
        Column("id", _identity),
        Column("name", _ruled(Title), True),
        Column("category", _ruled(EventType), True),
        Column("price", _price, True),
        Column("stock", _stock),
    ),
)
KINDS = (USERS, URLS, EVENTS, PRODUCTS)
"""In the order in which they depend on each other."""


COLUMNS = frozenset().union(*(kind.names() for kind in KINDS))


def parser(kind: Kind, places: Sequence[int]) -> Callable[[list[str]], list[Any]]:
    """A function from a row's fields to the values of `kind`'s columns; raises ValueError, which `explain` puts into words."""
    plan = [(column.rule, place) for column, place in zip(kind.columns, places, strict=True)]
    needed = max(place for column, place in zip(kind.columns, places, strict=True) if column.required)
    width = max(places) + 1

    def parse(fields: list[str]) -> list[Any]:
        if len(fields) < width:
            if len(fields) <= needed:
                raise BadRow("is too short")
            fields.extend([""] * (width - len(fields)))
        fields.append("")  # what a column that the file does not have, at place -1, contains
        return [rule(fields[place]) for rule, place in plan]

    return parse


def explain(kind: Kind, places: Sequence[int], line: int, fields: list[str]) -> BadRow:
    """Which column the parser refused and why. The rules are asked again, for words cost more than a whole good row."""
    columns = list(zip(kind.columns, places, strict=True))
    for column, place in columns:
        if column.required and place >= len(fields):
            return BadRow(f"{column.name}: is missing", "", line)
    for column, place in columns:
        try:
            column.rule(fields[place])
        except ValueError as error:
            return BadRow(f"{column.name}: {in_our_words(error)}", fields[place], line)
    raise AssertionError("the parser refused a row that has nothing wrong")
