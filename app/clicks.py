"""Clicks: recorded in Redis in the same round trip that finds the link, or at once in the database; drained exactly once."""

from __future__ import annotations

import itertools
import os
import secrets
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii as quoted

from app import database, ledger, metrics
from app.cache import Away, Link, NoStore, Store, link_key
from app.database import DatabaseUnavailable, db
from app.ledger import Entry, Position
from app.repeating import UntilDone

STREAM, EPOCH = "clicks", "clicks:epoch"
BATCH = 2000
_MOST_REGRETTED, _MOST_TAKEN_BACK = 100_000, 200
_TIMES_ASKED, _ASKED_AGAIN_SECONDS = 20, 0.25
_HELD_UP_MS = 200  # who has the turn while a table is locked gives it up so soon, that all others hear of it within a second

# An entry of the stream is one text, a click's line and the link's entry, because a field costs more than its content.
# In one round trip: what the link is and, when it is active, one click more. A key of another type holds no link.
FOLLOW = """
local entry = redis.pcall('GET', KEYS[1])
if type(entry) ~= 'string' then return false end
if string.byte(entry) == 97 then
  redis.call('XADD', KEYS[2], '*', 'click', ARGV[1] .. entry)
end
return entry
"""
_APPEND = "return redis.call('XADD', KEYS[1], '*', 'click', ARGV[1])"

# An epoch names one life of the stream: after FLUSHALL, or on another Redis, ids may begin anew at any height.
_READ = """
local epoch = redis.call('GET', KEYS[2])
if not epoch then return {false, {}} end
local from = '-'
if epoch == ARGV[1] then from = '(' .. ARGV[2] end
return {epoch, redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', ARGV[3])}
"""

_TRIM = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
local ms, seq = string.match(ARGV[2], '(%d+)-(%d+)')
return redis.call('XTRIM', KEYS[1], 'MINID', ms .. '-' .. string.format('%.0f', seq + 1))
"""

_LAST = """
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
if not last then return {false, false} end
redis.call('SET', KEYS[2], ARGV[1], 'NX')
return {redis.call('GET', KEYS[2]), last[1]}
"""
_BACKLOG = (
    "return {redis.call('XLEN', KEYS[1]), redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)}"
)


class _Ids:
    """Ids that no other process gives, also not one that was forked from this one."""

    def __init__(self) -> None:
        self._renew()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._sender, self._numbers = secrets.token_hex(6), itertools.count()

    def next(self) -> str:
        return f"{self._sender}{next(self._numbers):x}"


_ids = _Ids()


def visitor(ip: str, user_agent: str, referrer: str) -> str:
    """Who followed a link, as the JSON object that the event's details keep; long values are cut, never refused."""
    return f'{{"ip": {quoted(ip[:64])}, "user_agent": {quoted(user_agent[:300])}, "referrer": {quoted(referrer[:500])}}}'


@dataclass(slots=True)
class Click:
    """One request to follow `short_code`; `unsure` once a call that may have recorded it got no answer."""

    short_code: str
    visitor: str
    id: str = field(default_factory=_ids.next)
    ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    unsure: bool = False

    def line(self) -> str:
        """What is written down of it; the link's entry follows."""
        return f"{self.id} {self.ms} {self.short_code} {self.visitor}\n"


class Clicks:
    """The handle that create_app binds."""

    def __init__(self) -> None:
        self.store: Store = NoStore()
        self._regretted: deque[Click] = deque(maxlen=_MOST_REGRETTED)
        self._taking_back = UntilDone(self.take_back, "taking clicks back")
        self._lock = threading.Lock()
        self._batch: Future[tuple[Position, int]] | None = (
            None  # the one that is being moved by a thread of this process
        )
        self._first_seen = b"", 0.0  # the oldest entry of the stream, and when it was first met

    def bind(self, store: Store) -> None:
        self.store = store

    def follow(self, click: Click) -> Link | None:
        """The link from the cache; when it is active, the click is recorded. None: the cache cannot tell."""
        if click.unsure:
            return None  # it must not be recorded a second time
        try:
            link = Link.parse(
                self.store.run(FOLLOW, (link_key(click.short_code), STREAM), click.line())
            )
        except Away as away:
            click.unsure = away.unsure
            link = None
        (metrics.cache_hits if link else metrics.cache_misses).inc()
        return link

    def follow_patiently(self, click: Click) -> Link | None:
        """As follow, when nobody else can be asked: also while Redis is being left alone, and a second time for an unsure click, whose id counts once."""
        try:
            return Link.parse(
                self.store.run(
                    FOLLOW, (link_key(click.short_code), STREAM), click.line(), insist=True
                )
            )
        except Away:
            return None

    def record(self, click: Click, link: Link) -> None:
        """Records a click on an active link that the cache did not have; raises when nobody can take it."""
        if not click.unsure:
            try:
                self.store.run(_APPEND, (STREAM,), click.line() + link.entry())
                return
            except Away as away:
                click.unsure = away.unsure
        ledger.write(Entry(click.id, click.ms, click.short_code, click.visitor, link), click.unsure)

    def refuse(self, click: Click) -> None:
        """Takes back what Redis may have recorded, or may still record, of a request that is not answered with the link."""
        if click.unsure:
            ledger.void(click.id, click.ms, click.short_code, click.visitor)

    def regret(self, click: Click) -> None:
        """As refuse, when nobody can be told now: done as soon as the database can be asked."""
        if click.unsure:
            self._regretted.append(click)
            self._taking_back.start()

    def take_back(self) -> bool:
        """Refuses what was regretted, some at a time; whether there is more. Raises DatabaseUnavailable while it is."""
        for _ in range(min(len(self._regretted), _MOST_TAKEN_BACK)):
            with suppress(IndexError):  # another thread was faster
                click = self._regretted.popleft()
                try:
                    self.refuse(click)
                except DatabaseUnavailable:
                    self._regretted.append(click)
                    raise
        return bool(self._regretted)

    def drain(self) -> int:
        """Moves all clicks that Redis has taken before this call into the database, unless others do; returns how many it moved."""
        drained = 0
        self.take_back()
        with suppress(Away):
            epoch, last = self.store.run(_LAST, (STREAM, EPOCH), secrets.token_hex(8))
            while last:
                reached, moved = self._drain_together(epoch, last)
                drained += moved or 0
                if moved == 0 or _is_past(reached, epoch, last):
                    break
        return drained

    def _drain_together(self, epoch: bytes, last: bytes) -> tuple[Position, int | None]:
        """One batch for all threads that ask meanwhile; they share its failure too, rather than wait in turn for the same lock. None moved: not by this one."""
        with self._lock:
            batch, is_mine = self._batch, self._batch is None
            if batch is None:
                batch = self._batch = Future()
        if is_mine:
            self._move(batch, epoch, last)
        reached, moved = batch.result()
        return reached, moved if is_mine else None

    def _move(self, batch: Future[tuple[Position, int]], epoch: bytes, last: bytes) -> None:
        try:
            batch.set_result(self._drain_batch(epoch, last))
        except BaseException as error:  # noqa: BLE001 - it is for all who wait for the batch
            batch.set_exception(error)
        with self._lock:
            self._batch = None

    def _drain_batch(self, epoch: bytes, last: bytes) -> tuple[Position, int]:
        reached, entries = ledger.position(), []
        if not _is_past(reached, epoch, last):
            with db.atomic():
                database.take_turn("drain", _HELD_UP_MS)
                reached = ledger.position()
                if not _is_past(
                    reached, epoch, last
                ):  # whoever held the lock before may have moved them all
                    now, entries = self.store.run(
                        _READ, (STREAM, EPOCH), reached["epoch"], reached["last"], BATCH
                    )
                if entries:
                    reached = {
                        "epoch": now.decode(),
                        "last": entries[-1][0].decode(),
                        "drained": reached["drained"] + len(entries),
                    }
                    ledger.store([click for click in map(ledger.parse, entries) if click])
                    ledger.keep_position(reached)
        # Whoever died before this leaves it to the next one, who finds nothing new to read.
        self.store.run(_TRIM, (STREAM, EPOCH), reached["epoch"], reached["last"])
        return reached, len(entries)

    def backlog(self) -> tuple[int, float]:
        """How many clicks wait in the stream, and for how many seconds the oldest has; raises Away."""
        length, oldest = self.store.run(_BACKLOG, (STREAM,))
        first = oldest[0][0] if oldest else b""
        if first != self._first_seen[0]:
            self._first_seen = first, time.monotonic()
        if not first:
            return int(length), 0.0
        by_its_id = time.time() - int(first.split(b"-")[0]) / 1000
        # After the clock was set back ids lie in the future: what has been seen here for a while is at least that old.
        return int(length), max(by_its_id, time.monotonic() - self._first_seen[1])

    def waiting(self) -> int:
        """How many clicks wait. A Redis that is just starting is asked again for some seconds; one that stays away keeps none as far as can be told."""
        for _ in range(_TIMES_ASKED if self.store.shared else 0):
            with suppress(Away):
                return int(self.store.run(_BACKLOG, (STREAM,), insist=True)[0])
            time.sleep(_ASKED_AGAIN_SECONDS)
        return 0


def _is_past(reached: Position, epoch: bytes, last: bytes) -> bool:
    """Whether all entries up to the id `last` of this epoch are in the database."""
    return bool(
        reached["epoch"] == epoch.decode() and _numbers(reached["last"]) >= _numbers(last.decode())
    )


def _numbers(stream_id: str) -> list[int]:
    return [int(number) for number in stream_id.split("-")]


def drained_total() -> int:
    """Clicks that came into the database by way of the stream, ever."""
    return int(ledger.position()["drained"])


clicks = Clicks()
