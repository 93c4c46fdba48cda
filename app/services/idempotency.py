"""Runs a request with an idempotency key once: keeps its answer, in one transaction with its work.

A request that dies leaves neither its changes nor its key. The next one with this key runs anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, NamedTuple

from app.access import caller
from app.database import db, dialect, now
from app.errors import ApiError, Conflict, Unprocessable
from app.models import IdempotencyKey
from app.redirects.drain import drain
from app.services import tables
from app.unavailable import LockedTooLong

KEPT_FOR = timedelta(hours=24)
_BATCH = 1000
_SHARE = 10  # a request that adds one key removes up to so many old ones


class Kept(NamedTuple):
    """An answer: status, headers, body. `again`: it was given before."""

    status: int
    headers: list[tuple[str, str]]
    body: str
    again: bool = False


def once(
    name: str, fingerprint: str, answer: Callable[[], Kept], refuse: Callable[[ApiError], Kept]
) -> Kept:
    """What `answer` returns or, where it raises an error below 500, what `refuse` makes of that.

    The same `fingerprint` gets the same answer again, for 24 hours. Raises Unprocessable for
    another one, and Conflict while the first request runs. Other errors keep nothing.
    """
    with suppress(LockedTooLong):
        drain.run()  # it needs transactions of its own
    own = _own(name)
    with db.atomic():
        if not _claim(own, fingerprint):
            return _find(name, own, fingerprint)
        kept = _run(answer, refuse)
        tables.later(_COMPLETE, [kept.status, json.dumps(kept.headers), kept.body, own])
        tables.later(_forget(), [now(), _SHARE])
    return kept


_COMPLETE = "UPDATE idempotency_keys SET status = ?, headers = ?, answer = ? WHERE name = ?"

# Another transaction's new row would be waited for; the lock is not. On SQLite BEGIN waits.
_UNLOCKED = "pg_try_advisory_xact_lock(hashtextextended('idempotency ' || ?, 0))"
_CLAIM = """WHERE {unlocked} ON CONFLICT (name) DO UPDATE
SET fingerprint = excluded.fingerprint, status = 0, forget_at = excluded.forget_at
WHERE idempotency_keys.forget_at <= ?"""


def _own(name: str) -> str:
    """What the key is stored as: nobody gets the answer to another caller.

    Without AUTH all callers are one. No client can send a tab in its key.
    """
    who = caller()
    if who.key_id is None and who.scope:
        return name
    own = f"{who.key_id or who.address}\t{name}"
    return "\t" + hashlib.sha256(own.encode()).hexdigest()


def _claim(name: str, fingerprint: str) -> bool:
    """Whether the key is new, or too old; its row is then this transaction's."""
    at = now()
    values = {"name": name, "fingerprint": fingerprint, "status": 0, "headers": "", "answer": ""}
    source = _CLAIM.format(unlocked=_UNLOCKED if dialect().locks_rows else "? <> ''")
    row = {**values, "forget_at": at + KEPT_FOR}
    return tables.insert(IdempotencyKey, row, source, [name, at]) is not None


def _find(name: str, own: str, fingerprint: str) -> Kept:
    rows = tables.read(IdempotencyKey, {"name = ?": (own,)}, "")
    if not rows:
        raise Conflict(f"The first request with the Idempotency-Key {name} is still running")
    if rows[0].fingerprint != fingerprint:
        raise Unprocessable(f"The Idempotency-Key {name} was used for another request")
    headers: list[Any] = json.loads(rows[0].headers)
    return Kept(rows[0].status, headers, rows[0].answer, again=True)


def _run(answer: Callable[[], Kept], refuse: Callable[[ApiError], Kept]) -> Kept:
    try:
        with db.atomic():
            return answer()
    except ApiError as error:
        if error.status >= 500:
            raise
        return refuse(error)


_OLD = "SELECT name FROM idempotency_keys WHERE forget_at <= ? ORDER BY forget_at LIMIT ?"


def _forget() -> str:
    """PostgreSQL may run a query behind IN for each row, and skips what it has locked: an array
    is made once.
    """
    old = (
        f"= ANY (ARRAY({_OLD} FOR UPDATE SKIP LOCKED))" if dialect().locks_rows else f"IN ({_OLD})"
    )
    return " ".join(("DELETE FROM idempotency_keys WHERE name", old))


def forget_old() -> int:
    """Removes the keys that are older than 24 hours, in batches; returns how many."""
    sql, total = _forget().replace("?", db.param), 0
    while removed := int(db.execute_sql(sql, [now(), _BATCH]).rowcount):
        total += removed
    return total
