"""How large a request's body may be."""

from __future__ import annotations

JSON_BYTES = 64 * 1024
UPLOAD_BYTES = 10 * 1024 * 1024
MANY_LINKS_BYTES = 1024 * 1024
_UPLOADS = frozenset((("POST", "/users/bulk"), ("POST", "/urls/import"), ("POST", "/import")))


def largest_body(method: str, path: str) -> int:
    """In bytes."""
    if (method, path) == ("POST", "/urls/bulk"):
        return MANY_LINKS_BYTES
    return UPLOAD_BYTES if (method, path) in _UPLOADS else JSON_BYTES


def is_misplaced(method: str, path: str, content_type: str) -> bool:
    """Whether the body is refused unread: an upload's address takes nothing but a form."""
    if (method, path) not in _UPLOADS:
        return False
    return content_type.partition(";")[0].strip().lower() != "multipart/form-data"
