"""The errors in the examples of the OpenAPI document: one message for each of an operation."""

from __future__ import annotations

from typing import Any

BAD_EMAIL = "email: not a valid email address"
WHY = f"{BAD_EMAIL} (got 'ada')"
BAD_URL = "must be an absolute http or https URL with a host (got 'hello')"
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
    (400, "create_user"): WHY,
    (400, "update_user"): WHY,
    (400, "import_users"): _NO_FILE,
    (400, "import_file"): _NO_FILE,
    (400, "create_url"): f"original_url: {BAD_URL}",
    (400, "update_url"): f"original_url: {BAD_URL}",
    **dict.fromkeys(
        [(400, "get_url_qr"), (400, "get_code_qr")], "size: must be an integer (got 'two')"
    ),
    (400, "create_urls"): "urls: must be a list of 1 to 1,000 links (got [])",
    (400, "update_urls"): "At least one filter must select links, such as ids=1,2",
    (413, "create_urls"): "The body is larger than 1 MiB",
    (400, "shorten_url"): f"url: {BAD_URL}",
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


def error(status: int, phrase: str, message: str) -> dict[str, Any]:
    request_id = "4f1f0a5b9c3d2e17"
    return {"error": phrase, "message": message, "status": status, "request_id": request_id}
