"""Keeps the cache true: a change is written down with the row it changes, and told to Redis until Redis has heard it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.cache import Link, cache
from app.database import AWAY
from app.models import CacheUpdate

_BATCH = 500

Entry = tuple[str, str]
"""A short code and what the cache is to hold for it."""


def keep(changes: Sequence[tuple[str, Link]]) -> list[CacheUpdate]:
    """Writes changes of links down within the running transaction; give the result to `deliver` after it."""
    if not cache.store.shared:
        return []
    return [CacheUpdate.create(short_code=short_code, entry=link.entry()) for short_code, link in changes]


def deliver(updates: Sequence[CacheUpdate]) -> int:
    """Tells Redis; what it cannot be told stays written down. Returns how many it heard."""
    if not updates or not cache.put_links([(update.short_code, update.entry) for update in updates]):
        return 0
    return int(CacheUpdate.delete().where(CacheUpdate.id.in_([update.id for update in updates])).execute())


def deliver_due() -> int:
    """Tells Redis all that it missed, oldest first."""
    total = 0
    while True:
        heard = deliver(_due())
        total += heard
        if heard < _BATCH:
            return total


def due_entries() -> Iterable[Entry]:
    """What a new connection to Redis must be told first; nothing while the database is away, for then Redis is all there is."""
    try:
        return [(update.short_code, update.entry) for update in CacheUpdate.select().order_by(CacheUpdate.id)]
    except AWAY:
        return []


def count_due() -> int:
    return int(CacheUpdate.select().count())


def _due() -> list[CacheUpdate]:
    return list(CacheUpdate.select().order_by(CacheUpdate.id).limit(_BATCH))
