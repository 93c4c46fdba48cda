"""What the OpenAPI document says besides the shapes: headers, path parameters, tags, the file."""

from __future__ import annotations

from typing import Any

from app.schemas.examples import ANSWERS, FILE

__all__ = [
    "ANSWERS",
    "CHAOS",
    "ELSEWHERE",
    "PATH_PARAMETERS",
    "TAGS",
    "TEXT",
    "UPLOAD",
    "headers",
    "info",
]

_ID = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}
_CODE = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,32}$"}
PATH_PARAMETERS: dict[str, dict[str, Any]] = {
    "user_id": {**_ID, "examples": [1]},
    "url_id": {**_ID, "examples": [7]},
    "event_id": {**_ID, "examples": [12]},
    "short_code": {**_CODE, "examples": ["aB3xY9"]},
}
_FILE = {
    "type": "string",
    "format": "binary",
    "contentMediaType": "text/csv",
    "description": "CSV in UTF-8: username, email, also id and created_at, in any order and case",
    "examples": [FILE],
}
UPLOAD = {
    "schema": {"type": "object", "required": ["file"], "properties": {"file": _FILE}},
    "encoding": {"file": {"contentType": "text/csv"}},
}
TEXT = {"type": "string"}
_NUMBER = {"type": "integer", "minimum": 0}
HEADERS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "X-Request-ID": (
        "Names this request in the log and in errors; a sane one that the client sent is kept",
        TEXT,
        True,
    ),
    "Location": ("Where it is, or leads", TEXT, True),
    "Cache-Control": ("Always `private, no-store`, so that every click arrives", TEXT, True),
    "X-Cache": (
        "Whether the answer came from the cache",
        {"type": "string", "enum": ["HIT", "MISS"]},
        True,
    ),
    "Link": ('The pages around this one: rel="next", rel="prev"', TEXT, False),
    "X-Total-Count": ("How many there are in all, when `count=true` asked for it", _NUMBER, False),
    "Retry-After": ("Seconds to wait", _NUMBER, True),
    "Vary": ("`Accept`: a browser gets a page", TEXT, True),
}
TAGS = {
    "users": "Who owns links",
    "urls": "Short links and their statistics",
    "events": "What happened to links",
    "products": "A catalogue, read through the cache",
    "logs": "The newest log entries",
    "ops": "For operators and their tools",
    "redirects": "Following short links",
}
_DESCRIPTION = """A URL shortener that operators trust.

Strings are taken without the white space around them, and limits count what is left. Wherever a
value is stricter here than the service is (a boolean in a query may also be 1, 0, yes or no),
what is here is what clients should send."""
ELSEWHERE = {
    "description": "Never from here: what the target answers, to a client that follows redirects",
}
CHAOS = {
    "type": "apiKey",
    "in": "header",
    "name": "X-Chaos-Token",
    "description": "Equal to the setting CHAOS_TOKEN; without one, nobody has it",
}


def headers() -> dict[str, Any]:
    described: dict[str, Any] = {}
    for name, (text, schema, always) in HEADERS.items():
        described[name] = {"description": text, "schema": schema, "required": always}
    return described


def info(version: str) -> dict[str, Any]:
    return {
        "title": "Holdfast",
        "version": version,
        "description": _DESCRIPTION,
        "contact": {"name": "The Holdfast authors"},
        "license": {"name": "MIT", "identifier": "MIT"},
    }
