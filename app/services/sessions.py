"""Sessions of browsers: a signed text that stands for an API key, and ends with it."""

from __future__ import annotations

import secrets
import time
from functools import lru_cache
from hashlib import sha256

from itsdangerous import BadSignature, TimestampSigner

from app.access import Caller
from app.database import db
from app.models import KeyValue
from app.services import keys
from app.services.keysecrets import hash_of

SECONDS = 7 * 24 * 3600
_NAME = "session_secret"


def issue(secret: str) -> str:
    """What the cookie of the holder of this API key contains: the key's hash, signed."""
    return _signer(_shared_secret()).sign(hash_of(secret)).decode()


def caller_of(session: str) -> Caller | None:
    """Whose session it is; None after a week, or when its secret is no longer the key's.

    As in a header, the secret works for a day more when the key is rotated.
    """
    try:
        hashed = _signer(_shared_secret()).unsign(session[:200], max_age=SECONDS).decode()
    except BadSignature:
        return None
    return keys.find_hash(hashed)


@lru_cache(maxsize=2)
def _signer(secret: str) -> TimestampSigner:
    return TimestampSigner(secret, salt="holdfast-session", digest_method=sha256)


def _shared_secret() -> str:
    """The same for all replicas: the first that needs it stores it."""
    read_at, value = _remembered.get("secret", (0.0, ""))
    if not value or time.monotonic() - read_at > 60:
        value = _stored_secret()
        _remembered["secret"] = (time.monotonic(), value)
    return value


_remembered: dict[str, tuple[float, str]] = {}


def _stored_secret() -> str:
    row = KeyValue.get_or_none(KeyValue.name == _NAME)
    if row is None:
        with db.atomic():
            fresh = secrets.token_urlsafe(32)
            KeyValue.insert(name=_NAME, value=fresh).on_conflict_ignore().execute()
        row = KeyValue.get(KeyValue.name == _NAME)
    return str(row.value)


def forget() -> None:
    """Reads the shared secret anew."""
    _remembered.clear()
