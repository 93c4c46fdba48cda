"""The rules of single values, each of them once: named types that validate, and that describe themselves as JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from annotated_types import GroupedMetadata
from pydantic import AfterValidator, BeforeValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

LARGEST_ID = 2**63 - 1
_DEEPEST = 32


def _refuse(message: str) -> PydanticCustomError:
    return PydanticCustomError("ours", "{why}", {"why": message})


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def _storable(text: str) -> str:
    if _UNSTORABLE.search(text):
        raise _refuse("must not contain NUL or lone surrogates")
    return text


def _email(text: str) -> str:
    if not re.fullmatch(_ADDRESS, text):
        raise _refuse("not a valid email address")
    return text


_ATOM = r"[^\s\x00-\x20\x7f@<>()\[\],;:\\\".]+"
_LABEL_END = r"[^\s\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]"
_LABEL = rf"{_LABEL_END}(-*{_LABEL_END})*"
_ADDRESS = rf"{_ATOM}(\.{_ATOM})*@{_LABEL}(\.{_LABEL})+"


def _web_address(text: str) -> str:
    """An absolute http or https address that a browser can go to."""
    if any(c.isspace() or ord(c) < 32 or 127 <= ord(c) < 160 for c in text):
        raise _refuse("must not contain white space or control characters")
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not set(parts.hostname or "") & _NOT_IN_HOSTS
    except ValueError:
        usable = False
    if not usable:
        raise _refuse("must be an absolute http or https URL")
    return text


_NOT_IN_HOSTS = set('<>"{}|\\^`%')


def storable_object(value: dict[str, Any]) -> dict[str, Any]:
    """Details go into the database as JSON text and come back the same; raises for what would not (a kind of ValueError)."""
    _walk(value, _DEEPEST)
    return value


def _walk(value: Any, depth: int) -> None:
    if depth == 0:
        raise _refuse("is nested too deeply")
    if isinstance(value, str):
        _storable(value)
    children = [*value.keys(), *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        _walk(child, depth - 1)


def _query_integer(text: Any) -> int:
    if not re.fullmatch(r"-?[0-9]+", str(text)):
        raise _refuse("must be an integer")
    digits = str(text).lstrip("-").lstrip("0")
    size = int(digits or "0") if len(digits) < 20 else LARGEST_ID + 1
    return -size if str(text).startswith("-") else size


_TRUE, _FALSE = ("true", "True", "TRUE", "1", "yes"), ("false", "False", "FALSE", "0", "no")


def _query_boolean(text: Any) -> bool:
    if str(text) not in _TRUE + _FALSE:
        raise _refuse("must be true or false")
    return str(text) in _TRUE


@dataclass(frozen=True)
class _Text(GroupedMetadata):
    """A string without the white space around it: its rule for us, and as much of it as JSON Schema can say."""

    longest: int
    example: str
    rule: Callable[[str], str] = _storable
    pattern: str = r"^[^\x00]*[^\s\x00][^\x00]*$"

    def __iter__(self) -> Iterator[Any]:
        yield StringConstraints(strip_whitespace=True, min_length=1, max_length=self.longest)
        yield AfterValidator(_storable)
        yield AfterValidator(self.rule)
        yield WithJsonSchema({"type": "string", "minLength": 1, "maxLength": self.longest, "pattern": self.pattern, "examples": [self.example]})


_PLAIN_ADDRESS = r"^https?://[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)*(/[!-~]*)?$"

Username = Annotated[str, _Text(100, "ada")]
Email = Annotated[str, _Text(255, "ada@example.com", _email, f"^{_ADDRESS}$")]
WebAddress = Annotated[str, _Text(2048, "https://example.com/a/long/path?with=query", _web_address, _PLAIN_ADDRESS)]
Title = Annotated[str, _Text(255, "An example")]
EventType = Annotated[str, _Text(50, "shared")]
Details = Annotated[dict[str, Any], AfterValidator(storable_object), WithJsonSchema({"type": "object", "examples": [{"by": "mail"}]})]
QueryInteger = Annotated[int, BeforeValidator(_query_integer)]
QueryBoolean = Annotated[bool, BeforeValidator(_query_boolean), WithJsonSchema({"type": "string", "enum": [*_TRUE, *_FALSE]})]
Timestamp = Annotated[datetime, WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$", "description": "UTC"})]
