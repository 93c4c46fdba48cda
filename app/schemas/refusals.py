"""What the OpenAPI document shows of each error: what that operation really says."""

from __future__ import annotations

_ANYWHERE = {
    401: "X-Chaos-Token is missing or wrong",
    410: "Short code aB3xY9 is deactivated",
    413: "The body is larger than 64 KiB",
    429: "Too many requests from your address",
    503: "Database is unavailable",
}
_UNKNOWN = {
    "user_id": "User 1 not found",
    "url_id": "URL 7 not found",
    "event_id": "Event 12 not found",
    "short_code": "Short code aB3xY9 not found",
}
_EMAIL = "email: not a valid email address (got 'ada')"
_ADDRESS = "must be an absolute http or https URL with a host (got 'hello')"
_NOT_READY = "This replica is not ready: database disconnected, cache connected, schema applied"
_FORM = "The request must be multipart/form-data"
_OF_ONE = {
    (400, "create_user"): _EMAIL,
    (400, "update_user"): _EMAIL,
    (400, "import_users"): f"{_FORM} with a CSV file in its field file",
    (400, "create_url"): f"original_url: {_ADDRESS}",
    (400, "update_url"): f"original_url: {_ADDRESS}",
    (400, "shorten_url"): f"url: {_ADDRESS}",
    (400, "create_event"): "event_type: must not be empty (got '')",
    (404, "create_url"): "User 1 not found",
    (404, "create_event"): "User 1 not found",
    (409, "create_user"): "Username already exists: ada",
    (409, "create_event"): "The link or the user was deleted at this moment",
    (409, "update_user"): "Email already exists: ada@example.com",
    (413, "import_users"): "The body is larger than 10 MiB",
    (503, "show_readiness"): _NOT_READY,
    (503, "show_ready"): _NOT_READY,
}
_BAD_PAGE = "page: must be an integer (got 'two')"


def message(status: int, operation: str, path: str) -> str:
    """The words of one error of one operation; of what a path may name, the last decides."""
    named = (words for name, words in _UNKNOWN.items() if path.rpartition("{")[2].startswith(name))
    own = _OF_ONE.get((status, operation))
    return own or (next(named) if status == 404 else _ANYWHERE.get(status, _BAD_PAGE))
