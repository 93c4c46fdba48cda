"""Recognises a redirect that Nginx repeats because the replica it asked first died.

Nginx names a request and its repeat with the same id. A click on a link with a limit is kept with
a hash of that id and its visitor, so that the repeat is answered and spends no second click.
"""

from __future__ import annotations

import itertools
import re
from datetime import timedelta
from hashlib import blake2b

from app.database import db, dialect, now
from app.redirects.clicks import Click
from app.redirects.connection import redis_connection

HEADER = "X-Attempt-ID"
_KEEP = timedelta(seconds=10)  # Nginx repeats within 3 s
_ID = re.compile("[0-9a-f]{32}")
_KNOWN = "SELECT 1 FROM click_claims WHERE sender = ? AND forget_at > ?"
_NOTE = """
INSERT INTO click_claims (sender, lowest, highest, numbers, forget_at) VALUES (?, 0, 0, '[]', ?)
"""
# Now and then: it reads the table without an index. More than come meanwhile, so few are left.
_FORGET_EVERY = 64
_OLD = "SELECT id FROM click_claims WHERE forget_at <= ? ORDER BY id LIMIT 200"
_FORGET = "DELETE FROM click_claims WHERE id"
_noted = itertools.count(1)


def is_repeat(click: Click) -> bool:
    """Whether another attempt of the same visitor on the same link was stored some seconds ago."""
    key = _key(click)
    return bool(key and db.execute_sql(_sql(_KNOWN), (key, now())).fetchone())


def note(click: Click) -> None:
    """Notes a click in the running transaction, which stores it.

    Now and then forgets old ones where there is no Redis, and so no worker that does.
    """
    if key := _key(click):
        db.execute_later(_sql(_NOTE), (key, now() + _KEEP))
        if not redis_connection.url and next(_noted) % _FORGET_EVERY == 0:
            _forget_old()


def _forget_old() -> None:
    """Does not wait for those that another transaction forgets."""
    locks = dialect().locks_rows
    old = f"= ANY (ARRAY({_OLD} FOR UPDATE SKIP LOCKED))" if locks else f"IN ({_OLD})"
    db.execute_later(_sql(f"{_FORGET} {old}"), (now(),))


def _sql(text: str) -> str:
    return text.replace("?", db.param)


def _key(click: Click) -> str:
    if not _ID.fullmatch(click.attempt):
        return ""
    said = f"{click.attempt} {click.short_code} {click.visitor}"
    return blake2b(said.encode(), digest_size=20).hexdigest()
