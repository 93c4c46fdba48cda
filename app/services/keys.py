"""API keys: made, found by their secret, listed, revoked, and given a new secret."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from peewee import IntegrityError

from app.access import Caller
from app.database import db, dialect, now
from app.errors import Conflict, NotFound
from app.models import ApiKey
from app.repeating import UntilDone
from app.schemas import KeyCreate, ListQuery
from app.services import audit, paging, tables, users
from app.services.audit import differing
from app.services.keysecrets import LENGTH, Secret, can_be_secret, hash_of, new_secret
from app.services.paging import Page
from app.services.states import key_state
from app.services.tables import Check

OLD_SECRET_WORKS = timedelta(days=1)
"""After a rotation."""
_REMEMBERED_SECONDS = 0.7  # a revoked key is dead on every replica within a second
_MOST_REMEMBERED = 1000


def create(data: KeyCreate) -> tuple[Any, Secret]:
    """A new key; raises Conflict for a name that any key has, also a revoked one, and NotFound."""
    secret = new_secret()
    values = {**data.model_dump(), "hash": secret.hash, "created_at": now()}
    try:
        with db.atomic():
            if data.user_id is not None:
                users.get(data.user_id, "FOR SHARE")  # it is not deleted meanwhile
            key = tables.insert(ApiKey, values)
            audit.note("create", "key", key.id, None, key_state(key))
            return key, secret
    except IntegrityError:
        raise Conflict(f"Key name already exists: {data.name}") from None


def page(query: ListQuery) -> Page:
    """All keys by id, also revoked ones."""
    return paging.read(ApiKey, {}, query)


def each() -> Iterator[Any]:
    """All keys by id, read a hundred at a time."""
    last = 0
    while rows := tables.read(ApiKey, {"id > ?": (last,)}, "ORDER BY id LIMIT 100"):
        yield from rows
        last = rows[-1].id


def get(key_id: int) -> Any:
    """The key, or NotFound."""
    return _found(tables.find(ApiKey, key_id), key_id)


def named(name_or_id: str) -> Any:
    """The key with this name or, for a number, this id; raises NotFound."""
    if name_or_id.isascii() and name_or_id.isdigit():
        return get(int(name_or_id[:40]))
    found: list[Any] = []
    with suppress(ValueError):  # no database stores such a text, so it is nobody's name
        found = tables.read(ApiKey, {"name = ?": (name_or_id,)}, "")
    return _found(found[0] if found else None, name_or_id)


def _found(key: Any, asked: int | str) -> Any:
    if key is None:
        raise NotFound(f"Key {asked} not found")
    return key


_REVOKE = "UPDATE api_keys SET revoked_at = ? WHERE id = ?"


def revoke(key_id: int) -> None:
    """From now on the key is refused; raises NotFound. What was revoked stays as it is."""
    with db.atomic():
        key, moment = _locked(key_id), now()
        if key.revoked_at is None:
            tables.later(_REVOKE, [moment, key_id])
            _note("revoke", key, revoked_at=moment)
    _remembered.clear()


def _locked(key_id: int) -> Any:
    return _found(tables.find(ApiKey, key_id, lock="FOR UPDATE"), key_id)


def _note(action: str, key: Any, **changes: datetime) -> None:
    """Adds a row to the audit trail; nothing of a secret is in it."""
    before, after = key_state(key), key_state(key._replace(**changes))
    audit.note(action, "key", key.id, differing(before, after), after)


_ROTATE = "UPDATE api_keys SET hash = ?, old_hash = ?, old_until = ? WHERE id = ?"


def rotate(key_id: int, check: Check | None = None) -> tuple[Any, Secret]:
    """Gives the key a new secret; the old one works for one more day.

    `check` may refuse the key as it is. Raises NotFound, and Conflict for a key that is revoked or
    has expired.
    """
    secret, moment = new_secret(), now()
    with db.atomic():
        key = _locked(key_id)
        if check is not None:
            check(key)
        if key.revoked_at is not None:
            raise Conflict(f"Key {key.name} is revoked")
        if not _lasts(key.expires_at, moment):
            raise Conflict(f"Key {key.name} has expired")
        until = moment + OLD_SECRET_WORKS
        tables.later(_ROTATE, [secret.hash, key.hash, until, key_id])
        _note("rotate", key, old_until=until)
    _remembered.clear()
    return key._replace(hash=secret.hash, old_hash=key.hash, old_until=until), secret


class _Answer(NamedTuple):
    """What the database said of a hash; `end`: of the secret, or of the key when that is sooner."""

    caller: Caller
    end: datetime | None
    read_at: float  # before the query, by the monotonic clock


_remembered: dict[str, _Answer] = {}


def find(secret: str) -> Caller | None:
    """Who has this secret; None when nobody has, or its key is revoked or has expired.

    An answer may be 0.7 s old. Raises DatabaseUnavailable.
    """
    if len(secret) != LENGTH or not secret.isascii():
        return None
    hashed = hash_of(secret)
    if hashed not in _remembered and not can_be_secret(secret):  # the checksum would take longer
        return None
    return find_hash(hashed)


def find_hash(hashed: str) -> Caller | None:
    """The same for the hash of a secret."""
    moment = time.monotonic()
    answer = _remembered.get(hashed)
    if answer is None or moment - answer.read_at > _REMEMBERED_SECONDS:
        answer = _look_up(hashed, moment)
    if answer is None or (answer.end is not None and now() >= answer.end):
        return None
    return answer.caller


def _lasts(end: datetime | None, moment: datetime) -> bool:
    return end is None or moment < end


_OF_HASH = "(hash = ? OR old_hash = ?) AND revoked_at IS NULL"


def _look_up(hashed: str, read_at: float) -> _Answer | None:
    _remembered.pop(hashed, None)
    rows = tables.read(ApiKey, {_OF_HASH: (hashed, hashed)}, "")
    if not rows:
        return None
    key, moment = rows[0], now()
    ends = [key.expires_at, key.old_until if key.hash != hashed else None]
    end = min((each for each in ends if each is not None), default=None)
    if not _lasts(end, moment):
        return None
    _note_use(key, moment)
    caller = Caller(scope=key.scope, key_id=key.id, key=key.name, user_id=key.user_id)
    if len(_remembered) >= _MOST_REMEMBERED:
        _remembered.clear()
    answer = _remembered[hashed] = _Answer(caller, end, read_at)
    return answer


_uses: dict[int, datetime] = {}  # the hour by the key's id, until it is stored
# A row that is locked is being changed: the next look-up notes its use again.
_USED = """UPDATE api_keys SET used_at = ? WHERE id IN (
    SELECT id FROM api_keys WHERE id = ? AND (used_at IS NULL OR used_at < ?) {lock})"""


def _note_use(key: Any, moment: datetime) -> None:
    """No request waits until it is stored, because the database may be locked or read only."""
    hour = moment.replace(minute=0, second=0)
    if key.used_at is None or key.used_at < hour:
        _uses[key.id] = hour
        noting.start()


def _store_uses() -> None:
    sql = _USED.format(lock="FOR UPDATE SKIP LOCKED" if dialect().locks_rows else "")
    for key_id, hour in tuple(_uses.items()):
        tables.execute(sql, [hour, key_id, hour])
        _uses.pop(key_id, None)


noting = UntilDone(_store_uses, "noting the use of keys")
