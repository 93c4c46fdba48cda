"""What the OpenAPI document shows of each noun."""

from __future__ import annotations

from typing import Any

_URL = {
    "id": 7,
    "user_id": 1,
    "short_code": "aB3xY9",
    "original_url": "https://example.com/a/long/path",
    "title": "An example",
    "is_active": True,
    "created_at": "2026-01-02T03:04:05",
    "updated_at": "2026-01-02T03:04:05",
    "short_url": "http://localhost:8000/aB3xY9",
    "click_count": 0,
}
_LOG = {
    "timestamp": "2026-01-02T03:04:05",
    "level": "INFO",
    "logger": "app.requests",
    "message": "request finished",
    "method": "GET",
    "path": "/aB3xY9",
    "status": 302,
    "duration_ms": 0.412,
    "request_id": "4f1f0a5b9c3d2e17",
    "instance": "replica-1",
}

EXAMPLES: dict[str, dict[str, Any]] = {
    "User": {
        "id": 1,
        "username": "ada",
        "email": "ada@example.com",
        "created_at": "2026-01-02T03:04:05",
    },
    "UserCreate": {"username": "ada", "email": "ada@example.com"},
    "UserUpdate": {"email": "ada@example.com"},
    "Url": _URL,
    "UrlCreate": {
        "original_url": "https://example.com/a/long/path",
        "user_id": 1,
        "title": "An example",
    },
    "UrlUpdate": {"title": "An example", "is_active": True},
    "ShortenUrl": {"url": "https://example.com/a/long/path"},
    "UrlStats": {"url": _URL, "redirect_count": 0},
    "Event": {
        "id": 12,
        "url_id": 7,
        "user_id": 1,
        "event_type": "shared",
        "timestamp": "2026-01-02T03:04:05",
        "details": {"by": "mail"},
    },
    "EventCreate": {
        "event_type": "shared",
        "url_id": 7,
        "user_id": 1,
        "details": {"by": "mail"},
    },
    "Product": {
        "id": 1,
        "name": "Sticker Sheet",
        "category": "merchandise",
        "price": 4.5,
        "stock": 320,
    },
    "BadRow": {"line": 4, "error": "email: not a valid email address", "value": "linus"},
    "ImportReport": {
        "imported": 2,
        "count": 2,
        "created": 1,
        "skipped": 1,
        "failed": 1,
        "total": 3,
        "errors": [{"line": 4, "error": "email: not a valid email address", "value": "linus"}],
    },
    "ImportRefusal": {
        "error": "Bad Request",
        "message": "Nothing was imported, the only row is bad; line 2: email: not a valid email address (got 'ada')",
        "status": 400,
        "request_id": "4f1f0a5b9c3d2e17",
        "errors": {"line 2": "email: not a valid email address (got 'ada')"},
        "imported": 0,
        "count": 0,
        "created": 0,
        "skipped": 0,
        "failed": 1,
        "total": 1,
    },
    "LogEntry": _LOG,
    "LogSearch": {"count": 1, "logs": [_LOG]},
    "Health": {"status": "ok", "database": "connected", "cache": "disabled"},
    "Readiness": {
        "status": "ready",
        "database": "connected",
        "cache": "connected",
        "schema_applied": True,
    },
    "Index": {
        "name": "Holdfast",
        "version": "0.1.0",
        "documentation": "http://localhost:8000/openapi.json",
        "endpoints": ["POST /users", "GET /{short_code}"],
    },
}

FILE = "username,email\nada,ada@example.com\ngrace,grace@example.com\nlinus,linus\n"

# Where an operation's answer is not the usual one of its noun.
ANSWERS: dict[str, Any] = {"shorten_url": _URL | {"user_id": None, "title": None}}
