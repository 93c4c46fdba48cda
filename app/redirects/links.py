"""What Redis holds of links: the cached link as text, the cache, and its pending updates."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, NamedTuple

from app.database import DatabaseUnavailable, db, release
from app.models import CacheUpdate
from app.redirects.bans import bans
from app.redirects.connection import Command, RedisUnavailable, Script, redis_connection

log = logging.getLogger(__name__)

ACTIVE, INACTIVE, DELETED = "a", "i", "d"
SPECIAL, SPENT, EXPIRED = "s", "u", "e"
"""SPECIAL has a click limit, which only the database can tell; SPENT is never cached."""
BANNED = "b"
PUT = Script("put")
_BATCH = 500


class Link(NamedTuple):
    """What a redirect needs to know of a link. Cached as `state version url_id original_url`.

    An active link with options has `x<status>[q],<expires>` in place of its state. `original_url`
    of an expired link is where it leads now, or nothing. `expires`: seconds since 1970, 0 is never.
    A banned link is cached as an inactive one with `banned` in place of its URL, which replicas of
    an earlier version understand as well.
    """

    state: str
    version: int
    url_id: int
    original_url: str
    status: int = 302
    forwards: bool = False
    expires: int = 0

    def text(self) -> str:
        if self.state == BANNED:
            return f"{INACTIVE} {self.version} {self.url_id} {_BANNED_URL}"
        return f"{self._state()} {self.version} {self.url_id} {self.original_url}"

    def _state(self) -> str:
        if self.state != ACTIVE or self[4:] == _PLAIN:
            return self.state
        return f"x{self.status}{'q' if self.forwards else ''},{self.expires}"

    @classmethod
    def parse(cls, held: bytes | None) -> Link | None:
        """The cached link; None for none, and for a text that is no link."""
        try:
            text = held.decode() if held else ""
            state, version, url_id, original_url = text.split(" ", 3)
            options: tuple[int, bool, int] = _PLAIN
            if match := _OPTIONS.fullmatch(state):
                state, options = ACTIVE, (int(match[1]), bool(match[2]), int(match[3]))
            if original_url == _BANNED_URL:
                state, original_url = BANNED, ""
            link = cls(state, int(version), int(url_id), original_url, *options)
            return link if state in _STATES and 0 < link.url_id < 2**63 else None
        except ValueError:
            return None


_STATES = (ACTIVE, INACTIVE, DELETED, SPECIAL, EXPIRED, BANNED)
_BANNED_URL = "banned"
_PLAIN = (302, False, 0)
_OPTIONS = re.compile("x(30[1278])(q?),([0-9]{1,12})")

LINK_COLUMNS = """id, version, original_url, is_active, deleted_at, max_clicks, expires_at,
    expired_url, redirect_status, forward_query"""


def link_of(row: Any) -> Link:
    """The link of a row of `urls`, which has LINK_COLUMNS, at this moment.

    Raises DatabaseUnavailable when it cannot tell whether its host is banned.
    """
    expires = seconds_of(row.expires_at)
    if row.deleted_at is not None:
        return Link(DELETED, row.version, row.id, "")
    has_expired = 0 < expires <= time.time()
    if bans.covers((row.expired_url or "") if has_expired else row.original_url):
        return Link(BANNED, row.version, row.id, "")
    if not row.is_active:
        return Link(INACTIVE, row.version, row.id, row.original_url)
    if has_expired:
        return Link(EXPIRED, row.version, row.id, row.expired_url or "")
    state = ACTIVE if row.max_clicks is None else SPECIAL
    options = int(row.redirect_status), bool(row.forward_query), expires
    return Link(state, row.version, row.id, row.original_url, *options)


def seconds_of(moment: datetime | str | None) -> int:
    """Seconds since 1970 of a moment as a driver returns it; 0 for none."""
    if moment is None:
        return 0
    moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return max(1, int(moment.replace(tzinfo=UTC).timestamp()))


parse_link = lru_cache(maxsize=2000)(Link.parse)  # saves 2 us of a redirect's 30


def link_key(short_code: str) -> str:
    return f"link:{short_code}"


class Cache:
    """Links in Redis. Without Redis the answer is a miss, and nothing fails."""

    ttl_seconds = 1

    def bind(self, ttl_seconds: int) -> None:
        self.ttl_seconds = ttl_seconds

    def put_links(self, texts: Sequence[tuple[str, str]], insist: bool = False) -> bool:
        """Caches (short_code, text) pairs unless Redis holds newer ones; whether it did.

        Within a transaction it does so after the commit, and returns True.
        """
        if db.in_transaction():
            db.after_commit(partial(self.put_links, texts, insist))
            return True
        try:
            redis_connection.call_all(put_commands(texts), insist)
            return True
        except RedisUnavailable:
            return False

    def put_new(self, rows: Sequence[Any]) -> None:
        """Caches new links after the commit, with the bans of that moment; none without them."""
        if db.in_transaction():
            db.after_commit(partial(self.put_new, rows))
        elif redis_connection.url:
            with suppress(DatabaseUnavailable):
                for batch in _batches(rows):
                    self.put_links([(row.short_code, link_of(row).text()) for row in batch])

    def get_link(self, short_code: str) -> Link | None:
        """The cached link; None for none, and for a text that is no link."""
        try:
            return Link.parse(redis_connection.call("GET", link_key(short_code)))
        except RedisUnavailable:
            return None


cache = Cache()


def put_commands(texts: Iterable[tuple[str, str]]) -> list[Command]:
    """The commands that cache (short_code, text) pairs, on a Redis without the script too."""
    puts: list[Command] = [
        ("EVALSHA", PUT.sha, 1, link_key(code), text, cached_until(text)) for code, text in texts
    ]
    return [("SCRIPT", "LOAD", PUT.text), *puts] if puts else []


def cached_until(text: str) -> int:
    """Until when Redis keeps it, in milliseconds since 1970: by the TTL, or the link's end.

    Absolute, because a command may be on its way for a while.
    """
    ends = time.time_ns() // 1_000_000 + cache.ttl_seconds * 1000
    options = _OPTIONS.match(text)
    if options is None or options[3] == "0":
        return ends
    # The last millisecond in which Redis returns it.
    return min(ends, int(options[3]) * 1000 - 1)


def add_pending(changes: Sequence[tuple[str, Link]]) -> list[CacheUpdate]:
    """Writes changes of links within the running transaction; `deliver` them after it."""
    if not redis_connection.url:
        return []
    added: list[CacheUpdate] = []
    for batch in _batches(changes):
        rows = [{"short_code": short_code, "link": link.text()} for short_code, link in batch]
        added += CacheUpdate.insert_many(rows).returning(CacheUpdate).execute()
    return added


def deliver(updates: Sequence[CacheUpdate]) -> int:
    """Sends updates to Redis, also while the circuit breaker is open; returns how many it has.

    The others stay pending. Within a transaction it does so after the commit, and returns 0.
    """
    if db.in_transaction():
        db.after_commit(partial(deliver, updates))
        return 0
    delivered = 0
    for batch in _batches(updates):
        texts = [(update.short_code, update.link) for update in batch]
        if not cache.put_links(texts, insist=True) or not _delete(batch):
            break  # after a failed delete deliver_pending would never end
        delivered += len(batch)
    return delivered


def _delete(updates: Sequence[CacheUpdate]) -> bool:
    try:
        CacheUpdate.delete().where(CacheUpdate.id.in_([update.id for update in updates])).execute()
        return True
    except DatabaseUnavailable as error:  # the change itself is stored and cached
        log.warning("cache updates that were delivered will be delivered again: %s", error)
        return False


def _batches(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))


def deliver_pending() -> int:
    """Sends all pending updates to Redis, oldest first; returns how many it has."""
    total = 0
    while True:
        pending = list(CacheUpdate.select().order_by(CacheUpdate.id).limit(_BATCH))
        delivered = deliver(pending)
        total += delivered
        if delivered < _BATCH:
            return total


def handshake() -> list[Command]:
    """What a new connection sends first: all pending updates; none without the database."""
    was_closed = db.is_closed()
    try:
        pending = CacheUpdate.select().order_by(CacheUpdate.id)
        return put_commands([(update.short_code, update.link) for update in pending])
    except DatabaseUnavailable:
        if db.in_transaction():
            raise  # it has failed with this query
        return []
    finally:
        if was_closed:
            release()


def count_pending() -> int:
    return int(CacheUpdate.select().count())
