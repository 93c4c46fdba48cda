"""The examples in the OpenAPI document, one for each noun."""

from __future__ import annotations

from typing import Any

from app.schemas.messages import BAD_EMAIL, BAD_URL, WHY, error

FILE = "username,email\nada,ada@example.com\ngrace,grace@example.com\nlinus,linus\n"

LINKS_FILE = (
    "short_code,original_url,title,tags,click_count\n"
    'spring,https://example.com/spring,Spring,"[""sale""]",120\n'
    "spring,https://example.com/other,,,\n"
)

_TARGET, _TIME = "https://example.com/a/long/path", "2026-01-02T03:04:05"
_NEW_USER = {"username": "ada", "email": "ada@example.com"}
_NEW_URL = {"original_url": _TARGET, "user_id": 1, "title": "An example"}
_NEW_EVENT = {"event_type": "shared", "url_id": 7, "user_id": 1, "details": {"by": "mail"}}
_URL = {
    "id": 7,
    "user_id": 1,
    "short_code": "aB3xY9",
    "original_url": _TARGET,
    "title": "An example",
    "is_active": True,
    "created_at": _TIME,
    "updated_at": _TIME,
    "short_url": "http://localhost:8000/aB3xY9",
    "click_count": 0,
    "people_count": 0,
    "robot_count": 0,
    "expires_at": None,
    "expired_url": None,
    "max_clicks": None,
    "redirect_status": 302,
    "forward_query": False,
    "tags": [],
}
_OF_VERSION = {"original_url", "title", "is_active", "expires_at", "expired_url", "max_clicks"}
_OF_VERSION |= {"redirect_status", "forward_query", "tags"}
_ROW = {"line": 4, "error": BAD_EMAIL, "value": "linus"}
_STATISTICS: dict[str, Any] = {
    "totals": {"people": 2, "robots": 1},
    "series": [{"date": "2026-01-02", "people": 2, "robots": 1}],
    "referrers": [{"value": "direct", "people": 2, "robots": 1}],
    "browsers": [{"value": "Firefox", "people": 2, "robots": 0}],
    "systems": [{"value": "Android", "people": 2, "robots": 0}],
    "devices": [{"value": "Pixel 8", "people": 2, "robots": 0}],
    "campaigns": [],
}
_CONFLICT = {"line": 3, "error": "short_code: is taken by another link", "value": "spring"}
_COUNTS = {"imported": 2, "count": 2, "created": 1, "skipped": 1, "failed": 1, "total": 3}
_NEW_KEY = {"name": "deploy", "scope": "write", "user_id": 1, "expires_at": "2099-12-31T23:59:59Z"}
_KEY = {
    "id": 3,
    **_NEW_KEY,
    "created_at": _TIME,
    "expires_at": "2099-12-31T23:59:59",
    "revoked_at": None,
    "used_at": None,
    "old_until": None,
}
_SHOWN_ONCE = _KEY | {"key": f"holdfast_{'0' * 43}0WwtET"}
_ROTATED = {"old_until": "2026-01-03T03:04:05"}
_LOG = {
    "timestamp": _TIME,
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
_STORES = {"database": "connected", "cache": "connected"}


_NOTHING = f"Nothing was imported, the only row is bad; line 2: {WHY}"
_MADE = {"status": 201, "url": _URL | {"user_id": None, "title": None}}
_NOT_MADE = {
    "status": 400,
    "error": "Bad Request",
    "message": f"original_url: {BAD_URL}",
    "errors": {"original_url": "must be an absolute http or https URL with a host"},
}
_NONE_MADE = f"No link was made, 1 of 1 are bad; urls[0].original_url: {BAD_URL[:49]}"
NOUNS: dict[str, dict[str, Any]] = {
    "User": {"id": 1, **_NEW_USER, "created_at": _TIME},
    "UserCreate": _NEW_USER,
    "UserUpdate": {"email": "ada@example.com"},
    "Url": _URL,
    "UrlCreate": _NEW_URL,
    "UrlUpdate": {"title": "An example", "is_active": True},
    "ShortenUrl": {"url": _TARGET},
    "UrlsCreate": {"urls": [{"original_url": _TARGET}]},
    "UrlsCreated": {"created": 1, "failed": 0, "results": [_MADE]},
    "UrlOutcome": _MADE,
    "UrlsRefusal": {
        **error(400, "Bad Request", _NONE_MADE),
        "errors": {"urls[0].original_url": BAD_URL[:49]},
        "created": 0,
        "failed": 1,
        "results": [_NOT_MADE],
    },
    "UrlsChange": {"action": "tag", "tags": ["summer"]},
    "UrlsChanged": {"matched": 1, "changed": 1, "dry_run": True},
    "UrlStats": {"url": _URL, "redirect_count": 3, **_STATISTICS},
    "Totals": _STATISTICS["totals"],
    "Point": {"date": "2026-01-02", "people": 2, "robots": 1},
    "Share": {"value": "direct", "people": 2, "robots": 1},
    "OrphanVisits": {"date": "2026-01-02", "visits": 1},
    "Stats": {**_STATISTICS, "orphans": [{"date": "2026-01-02", "visits": 1}]},
    "Preview": {
        "short_code": "aB3xY9",
        "short_url": "http://localhost:8000/aB3xY9",
        "original_url": _TARGET,
        "redirect_status": 302,
        "forward_query": False,
        "expires_at": None,
        "report_address": None,
    },
    "Problem": {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "User 1 not found",
        "instance": "urn:holdfast:request:4f1f0a5b9c3d2e17",
        "request_id": "4f1f0a5b9c3d2e17",
    },
    "UrlVersion": {
        "version": 1,
        "at": _TIME,
        "action": "create",
        **{name: value for name, value in _URL.items() if name in _OF_VERSION},
    },
    "AuditEntry": {
        "id": 31,
        "at": _TIME,
        "key_id": None,
        "key": "",
        "address": "192.0.2.0",
        "request_id": "4f1f0a5b9c3d2e17",
        "action": "create",
        "kind": "user",
        "subject_id": 1,
        "version": 1,
        "before": None,
        "after": _NEW_USER,
    },
    "Event": {"id": 12, **_NEW_EVENT, "timestamp": _TIME},
    "EventCreate": _NEW_EVENT,
    "Key": _KEY | _ROTATED,
    "KeyCreate": _NEW_KEY,
    "NewKey": _SHOWN_ONCE,
    "Product": {
        "id": 1,
        "name": "Sticker Sheet",
        "category": "merchandise",
        "price": 4.5,
        "stock": 320,
    },
    "BadRow": _ROW,
    "ImportReport": {**_COUNTS, "errors": [_ROW]},
    "ImportedFile": {
        **dict.fromkeys(("imported", "count", "created", "failed"), 1),
        "skipped": 0,
        "total": 2,
        "errors": [_CONFLICT],
        "kind": "urls",
        "conflicts": 1,
        "notes": [],
        "dry_run": False,
    },
    "ImportRefusal": {
        **error(400, "Bad Request", _NOTHING),
        "errors": {"line 2": WHY},
        **dict.fromkeys(_COUNTS, 0),
        "failed": 1,
        "total": 1,
    },
    "LogEntry": _LOG,
    "LogSearch": {"count": 1, "logs": [_LOG]},
    "Health": {"status": "ok", **_STORES, "cache": "disabled"},
    "Readiness": {"status": "ready", **_STORES, "schema_applied": True},
    "Index": {
        "name": "Holdfast",
        "version": "0.1.0",
        "documentation": "http://localhost:8000/openapi.json",
        "endpoints": ["POST /users", "GET /{short_code}"],
    },
}

ANSWERS: dict[str, Any] = {
    "shorten_url": _URL | {"user_id": None, "title": None},
    "rotate_key": _SHOWN_ONCE | _ROTATED,
    "export_users": f"id,username,email,created_at\r\n1,ada,ada@example.com,{_TIME}\r\n",
}
"""By operation, where the answer is not the example of its noun."""
