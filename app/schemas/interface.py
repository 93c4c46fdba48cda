"""The parts of the OpenAPI document that no schema has: headers, path parameters, tags, upload."""

from __future__ import annotations

from typing import Any

from app.schemas.examples import FILE, LINKS_FILE

_ID = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}
_CODE = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
PATH_PARAMETERS: dict[str, dict[str, Any]] = {
    "user_id": {**_ID, "examples": [1]},
    "url_id": {**_ID, "examples": [7]},
    "event_id": {**_ID, "examples": [12]},
    "key_id": {**_ID, "examples": [3]},
    "short_code": {**_CODE, "examples": ["aB3xY9"]},
}


def _upload(description: str, example: str, media: str) -> dict[str, Any]:
    file = {
        "type": "string",
        "format": "binary",
        "contentMediaType": "text/csv",
        "description": description,
        "examples": [example],
    }
    return {
        "schema": {"type": "object", "required": ["file"], "properties": {"file": file}},
        "encoding": {"file": {"contentType": media}},
    }


_USERS = "CSV in UTF-8: username, email, also id and created_at, in any order and case"
_ANY = "CSV in UTF-8 as the exports are, or another system's links: docs/moving.md"
UPLOADS = {
    "import_users": _upload(_USERS, FILE, "text/csv"),
    "import_file": _upload(_ANY, LINKS_FILE, "text/csv, application/json"),
}
TEXT = {"type": "string"}


def _header(text: str, schema: dict[str, Any] = TEXT, required: bool = True) -> dict[str, Any]:
    return {"description": text, "schema": schema, "required": required}


_REQUEST_ID = "Names this request in the log and in errors; a sane one from the client is kept"
_HIT = {"type": "string", "enum": ["HIT", "MISS"]}
_NUMBER = {"type": "integer", "minimum": 0}
_TOTAL = "How many there are in all, when `count=true` asked for it"
_KEY_PATTERN = r'^(?:"(?:[ !#-\[\]-~]|\\["\\]){1,255}"|[!#-~][ -~]{0,254})$'
_KEY = "A new one, such as a UUID, for each request: the same request again gets the same answer"
# No examples: a key is good for one request only, and a tag for one version.
REQUEST_HEADERS: dict[str, dict[str, Any]] = {
    "Idempotency-Key": {"description": _KEY, "schema": {"type": "string", "pattern": _KEY_PATTERN}},
    "If-Match": {"description": "Only if this is its ETag still, but for clicks", "schema": TEXT},
    "If-None-Match": {"description": "Only if this is not its ETag any more", "schema": TEXT},
}
HEADERS = {
    "X-Request-ID": _header(_REQUEST_ID),
    "Location": _header("Where it is, or leads"),
    "Cache-Control": _header(
        "`no-store` with a secret; `private, no-store` of a link, so that every click arrives; "
        "a picture may be kept"
    ),
    "X-Robots-Tag": _header("`noindex`: search engines shall not list short links"),
    "X-Cache": _header("Whether the answer came from the cache", _HIT),
    "Content-Disposition": _header("A file to be saved, and its name"),
    "Link": _header('The pages around this one: rel="next", rel="prev"', required=False),
    "X-Total-Count": _header(_TOTAL, _NUMBER, required=False),
    "Retry-After": _header("Seconds to wait", _NUMBER),
    "RateLimit-Policy": _header("Where limits are on: the one that counts this", required=False),
    "RateLimit": _header("What is left of it, and in how many seconds more is", required=False),
    "ETag": _header("Its version, of a link with its clicks behind a dot; or a picture's bytes"),
    "Idempotent-Replayed": _header(
        "`true`: this request was answered before", {"type": "string", "const": "true"}, False
    ),
    "Vary": _header("`Accept`: a browser gets a page"),
}
TAGS = {
    "users": "Who owns links",
    "urls": "Short links and their statistics",
    "qr": "Short URLs as pictures",
    "stats": "How often links were followed",
    "events": "What happened to links",
    "audit": "Who changed what",
    "products": "A catalogue, read through the cache",
    "keys": "API keys, for admins",
    "logs": "The newest log entries",
    "ops": "For operators and their tools",
    "redirects": "Following short links",
}
_DESCRIPTION = """A URL shortener that operators trust.

Strings are taken without the white space around them, and limits count what is left. Wherever a
value is stricter here than the service is (a boolean in a query may also be 1, 0, yes or no),
what is here is what clients should send."""
OTHER_SITE = {
    "description": "Never from here: what the target answers, to a client that follows redirects"
}
CHAOS = {
    "chaos": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Chaos-Token",
        "description": "Equal to the setting CHAOS_TOKEN; without one, nobody has it",
    }
}
KEYS = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same"},
}
KEY_HEADERS = {
    "WWW-Authenticate": _header("`Bearer`, and what is wrong with the API key", required=False)
}
"""Of answers to keys that are missing, wrong or too small; where AUTH is off there are none."""


def info(version: str) -> dict[str, Any]:
    return {
        "title": "Holdfast",
        "version": version,
        "description": _DESCRIPTION,
        "contact": {"name": "The Holdfast authors"},
        "license": {"name": "MIT", "identifier": "MIT"},
    }
