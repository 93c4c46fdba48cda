"""What a CSV row must be to become a row of a table: one rule for each column, the same as for the API."""

from __future__ import annotations

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
    details_text,
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

    def required(self) -> set[str]:
        return {column.name for column in self.columns if column.required}


def _ruled(annotation: Any) -> Rule:
    valid = validator(annotation)

    def rule(text: str) -> str:
        try:
            return str(valid(text))
        except ValueError as error:
            raise BadRow(str(error), text) from None

    return rule


def _optional(rule: Rule) -> Rule:
    return lambda text: rule(text) if text.strip() else None


def _identity(text: str) -> int | None:
    """An id, of this row or of one that it refers to; what cannot be one is none."""
    if text.isdigit() and text.isascii() and len(text) < _SURELY_SMALL:
        return int(text) or None
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 30):
        return None
    number = int(text)
    return number if 0 < number <= LARGEST_ID else None


_SURELY_SMALL = 19  # so many digits may be more than the largest id


def _reference(text: str) -> int | None:
    """As an id, but something that cannot be one is not the same as nothing: it refers to what does not exist."""
    return _identity(text) or 0 if text.strip() else None


def _moment(text: str) -> datetime | str:
    """ISO 8601 with a blank or a T, fractions, Z or an offset; nothing is now."""
    text = text.strip()
    if not text:
        return now()
    try:
        moment = datetime.fromisoformat(text)
        if _STORED_MOMENT.fullmatch(text):
            return text  # writing a moment out again costs more than all else that is done to it
        return (moment.astimezone(UTC) if moment.tzinfo else moment).replace(tzinfo=None, microsecond=0)
    except (ValueError, OverflowError):
        raise BadRow("is not a date", text) from None


_STORED_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} ([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}")
_BOOLEANS = dict.fromkeys(("true", "1", "t", "yes", "y", ""), True) | dict.fromkeys(("false", "0", "f", "no", "n"), False)


def _boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.strip().lower()]
    except KeyError:
        raise BadRow("must be true or false", text) from None


def _code(text: str) -> str:
    code = text.strip()
    if not POSSIBLE_CODE.fullmatch(code):
        raise BadRow("must be 1 to 32 letters, digits, - or _", text)
    if code.lower() in RESERVED:
        raise BadRow("is the name of a route", text)
    return code


def _details(text: str) -> str:
    """A JSON object as it is; anything else is kept as what it was."""
    if not text.strip():
        return "{}"
    try:
        return details_text(text)
    except ValueError as error:
        raise BadRow(str(error), text) from None


def _price(text: str) -> Decimal:
    try:
        price = Decimal(text.strip()).quantize(Decimal("0.01"))
    except InvalidOperation:
        raise BadRow("must be a number", text) from None
    if not (price.is_finite() and 0 <= price < 10**10):
        raise BadRow("must be between 0 and 10,000,000,000", text)
    return price


def _stock(text: str) -> int:
    stock = _identity(text) if text.strip() != "0" else 0
    if stock is None:
        raise BadRow("must be a whole number from 0", text)
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
        Column("title", _optional(_ruled(Title))),
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


def parser(kind: Kind, places: Sequence[int]) -> Callable[[list[str]], list[Any]]:
    """A function from a row's fields to the values of `kind`'s columns; it raises BadRow for the first one that is wrong."""
    plan = [(column.rule, place) for column, place in zip(kind.columns, places, strict=True)]
    required = [(column.name, place) for column, place in zip(kind.columns, places, strict=True) if column.required]
    width = max(places) + 1

    def parse(fields: list[str]) -> list[Any]:
        if len(fields) < width:
            _lengthen(fields, width, required)
        fields.append("")  # what a column that the file does not have, at place -1, contains
        try:
            return [rule(fields[place]) for rule, place in plan]
        except BadRow as bad:
            raise BadRow(f"{_name_of_bad(kind, places, fields)}: {bad.reason}", bad.value) from None

    return parse


def _name_of_bad(kind: Kind, places: Sequence[int], fields: Sequence[str]) -> str:
    """Which column the rules refuse; they are asked again, for it is only now that the name is of use."""
    for column, place in zip(kind.columns, places, strict=True):
        try:
            column.rule(fields[place])
        except BadRow:
            return column.name
    return "row"


def _lengthen(fields: list[str], width: int, required: Sequence[tuple[str, int]]) -> None:
    for name, place in required:
        if place >= len(fields):
            raise BadRow(f"{name}: is missing")
    fields.extend([""] * (width - len(fields)))
