"""What a CSV row must be to become a row of a table: one rule for each column, the same as for the API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, NamedTuple

from app.imports.reader import BadRow
from app.imports.values import boolean, identity, moment, reference, whole
from app.schemas import (
    Email,
    EventType,
    Title,
    Username,
    WebAddress,
    details_text,
    in_our_words,
    validator,
)
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
        return details_text(text)
    except ValueError as error:
        raise BadRow(str(error), text) from None


def _price(text: str) -> Decimal:
    try:
        price = Decimal(text.strip()).quantize(Decimal("0.01"))
    except InvalidOperation:
        raise BadRow("must be a number") from None
    if not (price.is_finite() and 0 <= price < 10**10):
        raise BadRow("must be between 0 and 10,000,000,000")
    return price


def _stock(text: str) -> int:
    stock = whole(text)
    if stock is None:
        raise BadRow("must be a whole number from 0")
    return stock


_event_type = lru_cache(maxsize=1024)(_ruled(EventType))

USERS = Kind(
    "users",
    "User",
    "users",
    (
        Column("id", identity),
        Column("username", _ruled(Username), True),
        Column("email", _ruled(Email), True),
        Column("created_at", moment),
    ),
)
URLS = Kind(
    "URLs",
    "Url",
    "urls",
    (
        Column("id", identity),
        Column("user_id", reference),
        Column("short_code", _code, True),
        Column("original_url", _ruled(WebAddress), True),
        Column("title", _title),
        Column("is_active", boolean),
        Column("created_at", moment),
        Column("updated_at", moment),
    ),
)
EVENTS = Kind(
    "events",
    "Event",
    "events",
    (
        Column("id", identity),
        Column("url_id", reference),
        Column("user_id", reference),
        Column("event_type", _event_type, True),
        Column("timestamp", moment),
        Column("details", _details),
    ),
)
PRODUCTS = Kind(
    "products",
    "Product",
    "products",
    (
        Column("id", identity),
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
    """Makes the values of `kind`'s columns of a row's fields; raises ValueError for `explain`."""
    columns = list(zip(kind.columns, places, strict=True))
    plan = [(column.rule, place) for column, place in columns]
    needed = max(place for column, place in columns if column.required)
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
    """Which column was refused and why, asked again because words cost more than a good row."""
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
