"""Keeps the cache true: a change is written down with the row it changes, and told to Redis until Redis has heard it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from app.cache import Link, cache
from app.database import DatabaseUnavailable, db, release
from app.models import CacheUpdate

log = logging.getLogger(__name__)

_BATCH = 500

Entry = tuple[str, str]
"""A short code and what the cache is to hold for it."""


def keep(changes: Sequence[tuple[str, Link]]) -> list[CacheUpdate]:
    """Writes changes of links down within the running transaction; give the result to `deliver` after it."""
    if not cache.store.shared:
        return []
    kept: list[CacheUpdate] = []
    for batch in _batches(changes):
        rows = [{"short_code": short_code, "entry": link.entry()} for short_code, link in batch]
        kept += CacheUpdate.insert_many(rows).returning(CacheUpdate).execute()
    return kept


def deliver(updates: Sequence[CacheUpdate]) -> int:
    """Tells Redis, also while it is being left alone; what it cannot be told stays written down. Returns how many it heard."""
    heard = 0
    for batch in _batches(updates):
        if not cache.put_links(
            [(update.short_code, update.entry) for update in batch], insist=True
        ):
            break
        if not _forget(batch):
            break  # or whoever delivers all that is due would never end
        heard += len(batch)
    return heard


def _forget(updates: Sequence[CacheUpdate]) -> bool:
    try:
        CacheUpdate.delete().where(CacheUpdate.id.in_([update.id for update in updates])).execute()
        return True
    except (
        DatabaseUnavailable
    ) as error:  # the change itself is done and told; being told twice is harmless
        log.warning("cache updates that were delivered will be delivered again: %s", error)
        return False


def _batches(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))


def deliver_due() -> int:
    """Tells Redis all that it missed, oldest first."""
    total = 0
    while True:
        due = list(CacheUpdate.select().order_by(CacheUpdate.id).limit(_BATCH))
        heard = deliver(due)
        total += heard
        if heard < _BATCH:
            return total


def due_entries() -> list[Entry]:
    """What a new connection to Redis must be told first; nothing while the database is away, for then Redis is all there is."""
    was_closed = db.is_closed()
    try:
        return [
            (update.short_code, update.entry)
            for update in CacheUpdate.select().order_by(CacheUpdate.id)
        ]
    except DatabaseUnavailable:
        if db.in_transaction():
            raise  # which has failed with this query
        return []
    finally:
        if was_closed:
            release()


def count_due() -> int:
    return int(CacheUpdate.select().count())
