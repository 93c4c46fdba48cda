"""The rules of single values: named types, each with its check and its JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from annotated_types import GroupedMetadata
from pydantic import AfterValidator, BeforeValidator, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError, to_json

from app.schemas.addresses import OwnAddress, is_printable, is_web_address
from app.schemas.destinations import destinations

LARGEST_ID = 2**63 - 1
LONGEST_TITLE = 255
LARGEST_DETAILS = 16 * 1024
"""Of an event, in bytes, as answers write them."""
_DEEPEST = 32


def refuse(message: str) -> PydanticCustomError:
    """The error of a rule, in our own words."""
    return PydanticCustomError("ours", "{why}", {"why": message})


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def _storable(text: str) -> str:
    if _UNSTORABLE.search(text):
        raise refuse("must not contain NUL or lone surrogates")
    return text


def _email(text: str) -> str:
    if "@" not in text or not _MAILBOX.fullmatch(text):  # the pattern tries every part first
        raise refuse("not a valid email address")
    return text


# Patterns of white space: ours list what str.strip() removes. The document's patterns say \s,
# because generators write U+2028 into JavaScript, where it ends the line. \s also means U+FEFF,
# which we accept. The document's patterns accept at least what the service does.
_WIDE = r"\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_NO_SPACE = r"\ufeff"
_PADDING = r"[\s\x1c-\x1f\x85]*"


def _mailbox(wide: str, also: str = "") -> str:
    atom = rf"(?:[^\x00-\x20\x22\x7f-\x9f{wide}@<>()\[\],;:\\.]{also})+"
    end = rf"(?:[^\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x9f{wide}]{also})+"
    label = rf"{end}(?:-+{end})*"
    return rf"{atom}(?:\.{atom})*@{label}(?:\.{label})+"


def padded(pattern: str) -> str:
    """For the document: `pattern` with white space around it, which is stripped."""
    return f"^{_PADDING}{pattern}{_PADDING}$"


_MAILBOX = re.compile(_mailbox(_WIDE))
EMAIL_PATTERN = padded(_mailbox(r"\s", f"|{_NO_SPACE}"))
_URL_PATTERN = padded(rf"[hH][tT][tT][pP][sS]?://(?:[^\x00-\x20\x7f-\x9f\s]|{_NO_SPACE})+")
_TEXT_PATTERN = rf"^[^\x00]*(?:[^\x00\x1c-\x1f\x85\s]|{_NO_SPACE})[^\x00]*$"


def _web_address(text: str) -> str:
    if not is_printable(text):
        raise refuse("must not contain white space or control characters")
    if not is_web_address(text):
        raise refuse("must be an absolute http or https URL with a host")
    return text


def _blank_is_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _not_ours(text: str, info: ValidationInfo) -> str:
    own: OwnAddress | None = (info.context or {}).get("own")
    if own and own.leads_here(text):
        raise refuse("must not lead to this service itself")
    return text


def _permitted(text: str) -> str:
    if why := destinations.refusal(text):
        raise refuse(why)
    return text


def _details(value: dict[str, Any]) -> dict[str, Any]:
    check_storable(value)
    if len(to_json(value)) > LARGEST_DETAILS:
        raise refuse("must be at most 16 KiB as JSON")
    return value


def check_storable(value: Any, depth: int = _DEEPEST) -> None:
    """Raises ValueError for what cannot be stored as JSON text."""
    if depth == 0:
        raise refuse("is nested too deeply")
    if isinstance(value, str):
        _storable(value)
    elif isinstance(value, (dict, list)):
        for part in (*value, *value.values()) if isinstance(value, dict) else value:
            check_storable(part, depth - 1)


def _query_integer(value: Any) -> int:
    """An integer; what is larger than any id counts as one more than the largest."""
    text = str(value)
    if not re.fullmatch("-?[0-9]+", text):
        raise refuse("must be an integer")
    digits = text.lstrip("-0")
    size = int(digits or 0) if len(digits) < 20 else LARGEST_ID + 1
    return -size if text.startswith("-") else size


_TRUE, _FALSE = ("true", "True", "TRUE", "1", "yes"), ("false", "False", "FALSE", "0", "no")


def _query_boolean(text: Any) -> bool:
    if str(text) not in _TRUE + _FALSE:
        raise refuse("must be true or false")
    return str(text) in _TRUE


@dataclass(frozen=True)
class Text(GroupedMetadata):
    """A string, stripped: its check, and as much of it as JSON Schema can say."""

    longest: int
    example: str
    rule: Callable[[str], str] = str
    pattern: str = _TEXT_PATTERN
    format: str = ""

    def __iter__(self) -> Iterator[Any]:
        yield AfterValidator(self.checked)
        yield WithJsonSchema(self.described())

    def described(self) -> dict[str, Any]:
        return {
            "type": "string",
            "minLength": 1,
            "maxLength": self.longest,
            "pattern": self.pattern,
            **({"format": self.format} if self.format else {}),
            "examples": [self.example],
        }

    def checked(self, text: str) -> str:
        """The text without the white space around it; raises a ValueError for `in_our_words`."""
        text = text.strip()
        if not text:
            raise refuse("must not be empty")
        if len(text) > self.longest:
            raise refuse(f"must be at most {self.longest} characters")
        return self.rule(_storable(text))


@dataclass(frozen=True)
class _Lenient(GroupedMetadata):
    """A number in a query that is never refused: at most `most`, and `default` when it is none."""

    most: int
    default: int

    def __iter__(self) -> Iterator[Any]:
        yield BeforeValidator(self._read)
        yield WithJsonSchema({"type": "integer", "examples": [self.default]})

    def _read(self, text: Any) -> int:
        digits = str(text).lstrip("0")
        return min(int(digits[:9]), self.most) if re.fullmatch("[0-9]+", digits) else self.default


_DETAILS = WithJsonSchema(
    {
        "type": "object",
        "additionalProperties": True,
        "description": "Any JSON object without NUL, at most 31 levels deep and 16 KiB long",
        "examples": [{"by": "mail"}],
    }
)

Username = Annotated[str, Text(100, "ada")]
Email = Annotated[str, Text(255, "ada@example.com", _email, EMAIL_PATTERN)]
_URL = "https://example.com/a/long/path"
# The format is one that validators do not know: uri and iri refuse what browsers follow.
WebAddress = Annotated[str, Text(2048, _URL, _web_address, _URL_PATTERN, "web-address")]
Target = Annotated[WebAddress, AfterValidator(_not_ours), AfterValidator(_permitted)]
Title = Annotated[str, Text(LONGEST_TITLE, "An example")]
_MAYBE_BLANK = {
    **Text(LONGEST_TITLE, "An example", pattern=r"^[^\x00]*$").described(),
    "minLength": 0,
}
OptionalTitle = Annotated[
    Title | None,
    BeforeValidator(_blank_is_none),
    WithJsonSchema({"anyOf": [_MAYBE_BLANK, {"type": "null"}]}),
]
EventType = Annotated[str, Text(50, "shared")]
Details = Annotated[dict[str, Any], AfterValidator(_details), _DETAILS]
QueryInteger = Annotated[int, BeforeValidator(_query_integer)]
LogLines = Annotated[int, _Lenient(1000, 100)]
LogLimit = Annotated[int, _Lenient(200, 50)]
_BOOLEAN = WithJsonSchema({"type": "boolean", "examples": [True]})
QueryBoolean = Annotated[bool, BeforeValidator(_query_boolean), _BOOLEAN]
Timestamp = Annotated[
    datetime,
    WithJsonSchema(
        {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$", "description": "UTC"}
    ),
]
