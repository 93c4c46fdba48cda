"""The examples in the OpenAPI document: one for each noun, and the message of each error."""

from __future__ import annotations

from typing import Any

FILE = "username,email\nada,ada@example.com\ngrace,grace@example.com\nlinus,linus\n"

LINKS_FILE = (
    "short_code,original_url,title,tags,click_count\n"
    'spring,https://example.com/spring,Spring,"[""sale""]",120\n'
    "spring,https://example.com/other,,,\n"
)

_TARGET, _TIME = "https://example.com/a/long/path", "2026-01-02T03:04:05"
_BAD_EMAIL = "email: not a valid email address"
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
_ROW = {"line": 4, "error": _BAD_EMAIL, "value": "linus"}
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


def error(status: int, phrase: str, message: str) -> dict[str, Any]:
    request_id = "4f1f0a5b9c3d2e17"
    return {"error": phrase, "message": message, "status": status, "request_id": request_id}


_WHY = f"{_BAD_EMAIL} (got 'ada')"
_NOTHING = f"Nothing was imported, the only row is bad; line 2: {_WHY}"
_BAD_URL = "must be an absolute http or https URL with a host (got 'hello')"
_MADE = {"status": 201, "url": _URL | {"user_id": None, "title": None}}
_NOT_MADE = {
    "status": 400,
    "error": "Bad Request",
    "message": f"original_url: {_BAD_URL}",
    "errors": {"original_url": "must be an absolute http or https URL with a host"},
}
_NONE_MADE = f"No link was made, 1 of 1 are bad; urls[0].original_url: {_BAD_URL[:49]}"
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
        "errors": {"urls[0].original_url": _BAD_URL[:49]},
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
        "errors": {"line 2": _WHY},
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

_BY_STATUS = {
    400: "page: must be an integer (got 'two')",
    401: "An API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY",
    403: "The API key has the scope read, and this needs write",
    409: "The first request with the Idempotency-Key 8e03978e is still running",
    410: "Short code aB3xY9 is deactivated",
    412: 'It has changed: its ETag is "l7-2.0" now',
    413: "The body is larger than 64 KiB",
    422: "The Idempotency-Key 8e03978e was used for another request",
    451: "Short code aB3xY9 leads to a host that is banned here",
    429: "Too many requests from your address",
    503: "Database is unavailable",
}
_NOT_FOUND = {
    "user_id": "User 1 not found",
    "url_id": "URL 7 not found",
    "event_id": "Event 12 not found",
    "key_id": "Key 3 not found",
    "short_code": "Short code aB3xY9 not found",
}
_NO_FILE = "The request must be multipart/form-data with a CSV file in its field file"
_NOT_READY = "This replica is not ready: database disconnected, cache connected, schema applied"
_NO_NUMBER = "user_id: must be an integer (got 'two')"
_TAKEN = "Short code summer-sale is taken, or was once"
_BY_OPERATION = {
    (400, "create_user"): _WHY,
    (400, "update_user"): _WHY,
    (400, "import_users"): _NO_FILE,
    (400, "import_file"): _NO_FILE,
    (400, "create_url"): f"original_url: {_BAD_URL}",
    (400, "update_url"): f"original_url: {_BAD_URL}",
    **dict.fromkeys(
        [(400, "get_url_qr"), (400, "get_code_qr")], "size: must be an integer (got 'two')"
    ),
    (400, "create_urls"): "urls: must be a list of 1 to 1,000 links (got [])",
    (400, "update_urls"): "At least one filter must select links, such as ids=1,2",
    (413, "create_urls"): "The body is larger than 1 MiB",
    (400, "shorten_url"): f"url: {_BAD_URL}",
    (400, "create_key"): "scope: must be 'create', 'read', 'write' or 'admin' (got 'all')",
    (400, "create_event"): "event_type: must not be empty (got '')",
    (400, "get_url_stats"): "tz: must be the name of a time zone such as Europe/Berlin (got 'x')",
    (400, "get_stats"): "from: must be a date such as 2026-01-31 (got 'yesterday')",
    (404, "list_urls"): "after: there is nothing with the id 12",
    (404, "list_events"): "after: there is nothing with the id 12",
    (400, "export_urls"): _NO_NUMBER,
    (400, "export_audit"): _NO_NUMBER.replace("user_id", "subject_id"),
    (400, "restore_url"): _NO_NUMBER.replace("user_id", "version"),
    (404, "list_audit"): "after: there is nothing with the id 12",
    (400, "export_events"): _NO_NUMBER,
    (404, "create_url"): "User 1 not found",
    (404, "show_security"): "There is no SECURITY_CONTACT",
    **dict.fromkeys([(404, "create_event"), (404, "create_key")], "User 1 not found"),
    (409, "create_user"): "Username already exists: ada",
    (409, "create_url"): _TAKEN,
    (409, "shorten_url"): _TAKEN,
    (409, "create_key"): "Key name already exists: deploy",
    (409, "rotate_key"): "Key deploy is revoked",
    (409, "create_event"): "The link or the user was deleted at this moment",
    (409, "update_user"): "Email already exists: ada@example.com",
    (401, "stop_replica"): "X-Chaos-Token is missing or wrong",
    (413, "import_users"): "The body is larger than 10 MiB",
    (413, "import_file"): "The body is larger than 10 MiB",
    (503, "show_readiness"): _NOT_READY,
    (503, "show_ready"): _NOT_READY,
}


def message(status: int, operation: str, path: str) -> str:
    """The message of one error of one operation; a 404 names the last parameter of `path`."""
    own = _BY_OPERATION.get((status, operation))
    parameter = path.rpartition("{")[2].partition("}")[0]
    return own or (_NOT_FOUND[parameter] if status == 404 else _BY_STATUS[status])
