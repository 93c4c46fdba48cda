"""What Redis holds of links and clicks: both as text, the link cache, and its pending updates."""

from __future__ import annotations

import itertools
import json
import logging
import os
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, NamedTuple

from app.database import DatabaseUnavailable, db, release
from app.models import CacheUpdate
from app.redirects.connection import Command, RedisUnavailable, Script, redis_connection

log = logging.getLogger(__name__)

ACTIVE, INACTIVE, DELETED = "a", "i", "d"
PUT = Script("put")
_BATCH = 500


class Link(NamedTuple):
    """What a redirect needs to know of a link. Cached as `state version url_id original_url`."""

    state: str
    version: int
    url_id: int
    original_url: str

    def entry(self) -> str:
        return f"{self.state} {self.version} {self.url_id} {self.original_url}"

    @classmethod
    def parse(cls, entry: bytes | None) -> Link | None:
        """The cached link; None for none, and for a text that is no link."""
        try:
            text = entry.decode() if entry else ""
            state, version, url_id, original_url = text.split(" ", 3)
            link = cls(state, int(version), int(url_id), original_url)
            known = state in (ACTIVE, INACTIVE, DELETED)
            return link if known and 0 < link.url_id < 2**63 else None
        except ValueError:
            return None


parse_link = lru_cache(maxsize=2000)(Link.parse)  # saves 2 us of a redirect's 30


def link_key(short_code: str) -> str:
    return f"link:{short_code}"


_ids: list[Iterator[str]] = []


def _renew_ids() -> None:
    """Click ids are unique over all processes, forked ones too: a random sender and a number."""
    _ids[:] = [map((secrets.token_hex(6) + "{:x}").format, itertools.count())]


_renew_ids()
os.register_at_fork(after_in_child=_renew_ids)


class Outcome(Enum):
    """What became of a click; app/redirects/recording.py has the table."""

    NOT_RECORDED = "not recorded"
    RECORDED = "recorded"
    UNKNOWN = "unknown"


def visitor(ip: str, user_agent: str, referrer: str) -> str:
    """Who followed a link, as the JSON object in the event's details; long values are cut."""
    ip, user_agent, referrer = quoted(ip[:64]), quoted(user_agent[:300]), quoted(referrer[:500])
    return f'{{"ip": {ip}, "user_agent": {user_agent}, "referrer": {referrer}}}'


@dataclass(slots=True)
class Click:
    """One request to follow `short_code`. `asked`: Redis has answered, `link` is what it holds."""

    short_code: str
    visitor: str
    id: str = field(default_factory=lambda: next(_ids[0]))
    ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    link: Link | None = None
    outcome: Outcome = Outcome.NOT_RECORDED
    asked: bool = False

    def line(self) -> str:
        """Its part of a stream entry; the cached link follows. One field is cheaper than many."""
        return f"{self.id} {self.ms} {self.short_code} {self.visitor}\n"

    def learn(self, held: bytes | None) -> None:
        """Takes the answer of follow.lua, which has recorded the click on an active link."""
        self.asked, self.link = True, parse_link(held)
        if self.link and self.link.state == ACTIVE:
            self.outcome = Outcome.RECORDED

    def details(self) -> str:
        """The event's details, one JSON object, put together by hand: it is done for each click."""
        code, url = quoted(self.short_code), quoted(self.link.original_url if self.link else "")
        return f'{{"short_code": {code}, "original_url": {url}, {self.visitor[1:]}'


CLICK_ID = re.compile(r"[0-9a-f]{12}(0|[1-9a-f][0-9a-f]{0,14})")
_TEXT = r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-f]{4})[^"\\\x00-\x1f]*)*"'
_VISITOR = re.compile(rf'\{{"ip": {_TEXT}, "user_agent": {_TEXT}, "referrer": {_TEXT}\}}')
_LATEST_MS = 250_000_000_000_000  # in the year 9892


def parse_click(raw: tuple[bytes, Sequence[bytes]]) -> Click | None:
    """The click of a stream entry; None, and a line in the log, for an entry that is no click."""
    try:
        line, held = raw[1][1].split(b"\n", 1)
        click_id, ms, short_code, who = line.decode().split(" ", 3)
        click = Click(short_code, load_visitor(who), click_id, int(ms))
        click.learn(held)
        sane = CLICK_ID.fullmatch(click_id) and 0 <= click.ms < _LATEST_MS
        if sane and click.outcome is Outcome.RECORDED and raw[1][0] == b"click":
            return click
    except (ValueError, RecursionError):
        pass
    log.error("the stream holds an entry that is no click: %.500r", raw)
    return None


def load_visitor(text: str) -> str:
    """`text`, if it is a JSON object with something in it; raises ValueError."""
    if _VISITOR.fullmatch(text):
        return text
    given = json.loads(text)
    if not isinstance(given, dict) or not given:
        raise ValueError("no visitor")
    return json.dumps(given)


class Cache:
    """Links in Redis. Without Redis the answer is a miss, and nothing fails."""

    ttl_seconds = 1

    def bind(self, ttl_seconds: int) -> None:
        self.ttl_seconds = ttl_seconds

    def put_links(self, entries: Sequence[tuple[str, str]], insist: bool = False) -> bool:
        """Caches (short_code, entry) pairs unless Redis holds newer ones; whether it did."""
        try:
            redis_connection.call_all(put_commands(entries), insist)
            return True
        except RedisUnavailable:
            return False

    def get_link(self, short_code: str) -> Link | None:
        """The cached link; None for none, and for a text that is no link."""
        try:
            return Link.parse(redis_connection.call("GET", link_key(short_code)))
        except RedisUnavailable:
            return None


cache = Cache()


def put_commands(entries: Iterable[tuple[str, str]]) -> list[Command]:
    """The commands that cache (short_code, entry) pairs, on a Redis without the script too."""
    ttl = cache.ttl_seconds
    puts: list[Command] = [
        ("EVALSHA", PUT.sha, 1, link_key(code), entry, ttl) for code, entry in entries
    ]
    return [("SCRIPT", "LOAD", PUT.text), *puts] if puts else []


def add_pending(changes: Sequence[tuple[str, Link]]) -> list[CacheUpdate]:
    """Writes changes of links within the running transaction; `deliver` them after it."""
    if not redis_connection.url:
        return []
    added: list[CacheUpdate] = []
    for batch in _batches(changes):
        rows = [{"short_code": short_code, "entry": link.entry()} for short_code, link in batch]
        added += CacheUpdate.insert_many(rows).returning(CacheUpdate).execute()
    return added


def deliver(updates: Sequence[CacheUpdate]) -> int:
    """Sends updates to Redis, also while the circuit breaker is open; returns how many it has.

    The others stay pending.
    """
    delivered = 0
    for batch in _batches(updates):
        entries = [(update.short_code, update.entry) for update in batch]
        if not cache.put_links(entries, insist=True) or not _forget(batch):
            break  # after a failed delete deliver_pending would never end
        delivered += len(batch)
    return delivered


def _forget(updates: Sequence[CacheUpdate]) -> bool:
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
    """What a new connection sends first: all pending updates; none while the database is away."""
    was_closed = db.is_closed()
    try:
        pending = CacheUpdate.select().order_by(CacheUpdate.id)
        return put_commands([(update.short_code, update.entry) for update in pending])
    except DatabaseUnavailable:
        if db.in_transaction():
            raise  # it has failed with this query
        return []
    finally:
        if was_closed:
            release()


def count_pending() -> int:
    return int(CacheUpdate.select().count())
