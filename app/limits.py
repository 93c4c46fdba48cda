"""How large a request's body may be."""

from __future__ import annotations

JSON_BYTES = 64 * 1024  # no honest body comes near it
UPLOAD_BYTES = 10 * 1024 * 1024
_UPLOAD = ("POST", "/users/bulk")


def is_upload(method: str, path: str, content_type: str) -> bool:
    """Whether a file may come: everywhere else a form is never read."""
    kind = content_type.partition(";")[0].strip().lower()
    return (method, path) == _UPLOAD and kind == "multipart/form-data"


def is_misplaced(method: str, path: str, content_type: str) -> bool:
    """Whether it is refused whatever its body says: what is sent to an upload's address and is none."""
    return (method, path) == _UPLOAD and not is_upload(method, path, content_type)


def largest_body(method: str, path: str, content_type: str) -> int:
    """In bytes."""
    return UPLOAD_BYTES if (method, path) == _UPLOAD else JSON_BYTES
