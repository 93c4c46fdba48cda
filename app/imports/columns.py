"""The one table of columns: what each kind of file holds, and all that an import needs to know."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.imports import values
from app.imports.visitors import counted_as
from app.schemas import RESERVED, Email, EventType, Title, Username, destinations, text_rule

Value = str | None
"""As the database reads it; None is NULL."""


class Column(NamedTuple):
    """`rule` turns a file's text into a value, or raises ValueError.

    `plain` matches lines of texts that `rule` would return as they are: one match of 1,000 of them
    takes a tenth of the time of 1,000 rules. `also` tells whether the rule takes all lines that
    `plain` matches. An `optional` column that a file lacks has the default of its `sql`, and costs
    nothing.
    """

    name: str
    sql: str
    rule: Callable[[str], Value]
    plain: re.Pattern[str] | None = None
    required: bool = False
    refers_to: str = ""
    optional: bool = False
    also: Callable[[str], bool] | None = None

    def values(self, texts: Sequence[str]) -> tuple[Sequence[Value], dict[int, ValueError]]:
        """The value of each text; where it has none, NULL, and the reason by its place."""
        lines = "\n".join(texts) + "\n"
        if self._is_plain(lines, len(texts)):
            return texts, {}
        made: dict[str, Value] = {}
        refused = {}
        for text in set(texts):
            try:
                made[text] = self.rule(text)
            except ValueError as error:
                refused[text] = error.with_traceback(None)  # which would hold each call
        errors = {at: refused[text] for at, text in enumerate(texts) if text in refused}
        return list(map(made.get, texts)), errors

    def _is_plain(self, lines: str, count: int) -> bool:
        matches = self.plain and lines.count("\n") == count and self.plain.fullmatch(lines)
        return bool(matches) and (self.also is None or self.also(lines))


class Made(NamedTuple):
    """A column of the staging table only: `rule` makes its values of those of other columns."""

    name: str
    sql: str
    rule: Callable[..., Sequence[Value]]
    made_of: tuple[str, ...]


@dataclass(frozen=True)
class Kind:
    """A kind of file: its noun and model in reports, its table, and its columns.

    `keys`: the table's unique expressions; a row that shares one with another row is the same.
    """

    noun: str
    model: str
    table: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...] = ()
    made: tuple[Made, ...] = ()

    @property
    def staged(self) -> str:
        return f"staged_{self.table}"

    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def required(self) -> set[str]:
        return {column.name for column in self.columns if column.required}

    def references(self) -> Iterator[tuple[str, str]]:
        """Each column that refers to another table, and that table."""
        return ((column.name, column.refers_to) for column in self.columns if column.refers_to)


# Groups are not possessive, single characters are: with groups Python 3.11.2 matches too much.
def _lines(pattern: str, longest: int = 32) -> re.Pattern[str]:
    """Matches any number of lines, each of which is the pattern, up to `longest` characters."""
    return re.compile(rf"(?:(?=[^\n]{{1,{longest}}}\n){pattern}\n)*")


_WORD = r"[^\s\0\ud800-\udfff]++"
_TEXT = rf"{_WORD}(?: {_WORD})*"
_ATOM = "[A-Za-z0-9_+-]++"
_LABEL = "[A-Za-z0-9]++(?:-++[A-Za-z0-9]++)*"
_HOST = r"(?=[^/\n]{1,63}[/\n])(?:[a-z0-9]++(?:-[a-z0-9]++)*\.)+[a-z]++"
_DAY = (
    "(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    "|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
)
_IDS = _lines("[1-9][0-9]*+", 18)
_MOMENTS = _lines(f"(?:19|20)[0-9][0-9]-{_DAY} (?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]")
_EMAILS = _lines(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})+", 255)
_CODES = _lines(rf"(?!(?i:{'|'.join(map(re.escape, RESERVED))})\n)[A-Za-z0-9_-]++", 64)
_ADDRESSES = _lines(rf"https?://{_HOST}(?:/[!-~]*+)?", 2048)
_TITLES = _lines(rf"(?!\\N\n|'){_TEXT}", 255)
_NAMES = _lines(rf"(?!'){_TEXT}", 100)
_QUOTED = r'"[^"\\\x00-\x1f\ud800-\udfff]*+"'
_PAIR = f"{_QUOTED}: {_QUOTED}"
_DETAILS = _lines(rf"\{{{_PAIR}(?:, {_PAIR})*\}}", 3000)
_EVENT_TYPE = values.literal(text_rule(EventType))
_may_lead = destinations.takes_all

USERS = Kind(
    "users",
    "User",
    "users",
    (
        Column("id", "BIGINT", values.identity, _IDS),
        Column("username", "TEXT {text}", values.literal(text_rule(Username)), _NAMES, True),
        Column("email", "TEXT {text}", values.literal(text_rule(Email)), _EMAILS, True),
        Column("created_at", "TIMESTAMP", values.moment, _MOMENTS),
    ),
    keys=("username", "lower(email)"),
)
URLS = Kind(
    "URLs",
    "Url",
    "urls",
    (
        Column("id", "BIGINT", values.identity, _IDS),
        Column("user_id", "BIGINT", values.reference, _IDS, refers_to="users"),
        Column("short_code", "TEXT {text}", values.code, _CODES, True),
        Column("original_url", "TEXT", values.address, _ADDRESSES, True, also=_may_lead),
        Column("title", "TEXT", values.title, _TITLES),
        Column("is_active", "BOOLEAN", values.boolean),
        Column("created_at", "TIMESTAMP", values.moment, _MOMENTS),
        Column("updated_at", "TIMESTAMP", values.moment, _MOMENTS),
        Column("expires_at", "TIMESTAMP", values.moment_or_none, _MOMENTS, optional=True),
        Column(
            "expired_url", "TEXT", values.address_or_none, _ADDRESSES, optional=True, also=_may_lead
        ),
        Column("max_clicks", "BIGINT", values.max_clicks, _IDS, optional=True),
        Column("redirect_status", "SMALLINT DEFAULT 302", values.redirect_status, optional=True),
        Column("forward_query", "BOOLEAN DEFAULT FALSE", values.flag, optional=True),
        Column("tags", "TEXT DEFAULT '[]'", values.tags, optional=True),
        *(
            Column(name, "BIGINT DEFAULT 0", values.count, _IDS, optional=True)
            for name in ("click_count", "people_count", "robot_count")
        ),
    ),
    keys=("short_code",),
)
EVENTS = Kind(
    "events",
    "Event",
    "events",
    (
        Column("id", "BIGINT", values.identity, _IDS),
        Column("url_id", "BIGINT", values.reference, _IDS, refers_to="urls"),
        Column("user_id", "BIGINT", values.reference, _IDS, refers_to="users"),
        Column("event_type", "TEXT {text}", _EVENT_TYPE, required=True),
        Column("timestamp", "TIMESTAMP", values.moment, _MOMENTS),
        Column("details", "TEXT", values.details, _DETAILS),
    ),
    made=(Made("counted_as", "TEXT {text}", counted_as, ("event_type", "details")),),
)
PRODUCTS = Kind(
    "products",
    "Product",
    "products",
    (
        Column("id", "BIGINT", values.identity, _IDS),
        Column("name", "TEXT", values.literal(text_rule(Title)), _TITLES, True),
        Column("category", "TEXT", _EVENT_TYPE, required=True),
        Column("price", "NUMERIC(12, 2)", values.price, required=True),
        Column("stock", "BIGINT", values.stock),
    ),
)
KINDS = (USERS, URLS, EVENTS, PRODUCTS)
"""In the order in which they depend on each other."""

COLUMNS = frozenset(name for kind in KINDS for name in kind.names())
