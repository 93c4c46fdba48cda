"""Moves clicks from Redis' stream into the database: rows, counters and position at once.

A process that dies before the commit has stored nothing: the next drain begins at the stored
position. After the commit the stream is trimmed, up to that position.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from app import bulk, database
from app.database import db
from app.models import KeyValue
from app.redirects.claims import KEEP_FOR_REQUEST, claim, claimed
from app.redirects.clicks import CANARY, Click, parse_click
from app.redirects.connection import STREAM, RedisUnavailable, Script, redis_connection
from app.redirects.counting import Lines, count, line_of
from app.redirects.unreadable import keep_copies

log = logging.getLogger(__name__)

BATCH = 2000
EPOCH = "clicks:epoch"
_LAST, _READ, _TRIM, _BACKLOG = map(Script, ("last", "read", "trim", "backlog"))
_TRIES, _PAUSE_SECONDS = 20, 0.25
_LOCK_TIMEOUT_MS = 200  # short: requests that read clicks drain first, and fail within 1 s

Position = dict[str, Any]
"""How far the stream was drained: `epoch`, and the `last` id in it that was drained.

The epoch is a random name. A stream that begins anew, in a new or emptied Redis, gets another one.
`drained`: how many entries were drained ever; of them, `unreadable` ones were no click, and
`canary` ones a canary's.
"""


class Drain:
    """The drain of this process; its threads share one batch at a time, and its failure."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batch: Future[tuple[Position, int]] | None = None
        self._first_seen = b"", 0.0  # the stream's oldest entry, and when it was seen first

    def run(self) -> int:
        """Drains all clicks that Redis had before this call; returns how many this thread moved.

        0 does not mean that the stream is empty. If Redis is unavailable it returns what it moved
        before; clicks may still be waiting there, and `run_wholly` raises. Within a transaction
        it moves none: Redis would forget clicks that a rollback may take out of the database.
        Raises DatabaseUnavailable.
        """
        if db.in_transaction():
            return 0
        drained = 0
        with suppress(RedisUnavailable):
            for moved in self._batches():
                drained += moved
        return drained

    def run_wholly(self) -> int:
        """As run, but raises RedisUnavailable when clicks may still be waiting.

        Within a transaction it raises RuntimeError. Without a Redis there are none: 0.
        """
        if db.in_transaction():
            raise RuntimeError("clicks are drained in transactions of their own")
        return sum(self._batches()) if redis_connection.url else 0

    def _batches(self) -> Iterator[int]:
        """Drains batch after batch; yields how many clicks of each this thread moved."""
        epoch, last = _newest()
        while last:
            position, moved = self._share_batch(epoch, last)
            yield moved or 0
            if moved == 0 or _is_past(position, epoch, last):
                break

    def _share_batch(self, epoch: bytes, last: bytes) -> tuple[Position, int | None]:
        """Moves one batch, or waits while another thread of this process moves one.

        Returns the position after it, and how many entries this thread moved; None: another did.
        """
        with self._lock:
            batch, is_mine = self._batch, self._batch is None
            if batch is None:
                batch = self._batch = Future()
        if is_mine:
            self._move(batch, epoch, last)
        position, moved = batch.result()
        return position, moved if is_mine else None

    def _move(self, batch: Future[tuple[Position, int]], epoch: bytes, last: bytes) -> None:
        try:
            batch.set_result(self._drain_batch(epoch, last))
        except BaseException as error:  # noqa: BLE001 - it is for all who wait for the batch
            batch.set_exception(error)
        with self._lock:
            self._batch = None

    def _drain_batch(self, epoch: bytes, last: bytes) -> tuple[Position, int]:
        position, moved = get_position(), 0
        if not _is_past(position, epoch, last):
            with db.atomic():
                database.lock_briefly("drain", _LOCK_TIMEOUT_MS)
                position = get_position()
                if not _is_past(position, epoch, last):  # another process may have drained them
                    position, moved = _store_next(position)
        # A process that dies before this leaves the trim to the next drain.
        redis_connection.run(_TRIM, (STREAM, EPOCH), position["epoch"], position["last"])
        return position, moved

    def backlog(self) -> tuple[int, float]:
        """How many clicks wait, and the oldest one's age in seconds; raises RedisUnavailable."""
        length, oldest = redis_connection.run(_BACKLOG, (STREAM,))
        first = oldest[0][0] if oldest else b""
        if first != self._first_seen[0]:
            self._first_seen = first, time.monotonic()
        if not first:
            return int(length), 0.0
        by_its_id = time.time() - int(first.split(b"-")[0]) / 1000
        # After the clock was set back ids are in the future; an entry is as old as it was seen.
        return int(length), max(by_its_id, time.monotonic() - self._first_seen[1])

    def waiting(self) -> int:
        """How many clicks wait. A Redis that is just starting is asked for some seconds.

        0 when it stays unavailable.
        """
        for _ in range(_TRIES if redis_connection.url else 0):
            with suppress(RedisUnavailable):
                return int(redis_connection.run(_BACKLOG, (STREAM,), insist=True)[0])
            time.sleep(_PAUSE_SECONDS)
        return 0


drain = Drain()


def _newest() -> tuple[bytes, bytes]:
    """The stream's epoch and last id; the id is empty when no click waits.

    Each read of links and events asks this. A script would cost Redis 20 us more of 55, and a
    stream that is emptied between the two commands has nothing to drain.
    """
    newest, epoch = redis_connection.call_all(
        [("XREVRANGE", STREAM, "+", "-", "COUNT", 1), ("GET", EPOCH)]
    )
    if newest and not epoch:
        epoch, last = redis_connection.run(_LAST, (STREAM, EPOCH), secrets.token_hex(8))
        return epoch or b"", last or b""
    return epoch or b"", newest[0][0] if newest else b""


def _store_next(position: Position) -> tuple[Position, int]:
    """Stores the clicks after `position`, and the new position, in the running transaction."""
    epoch, entries = redis_connection.run(
        _READ, (STREAM, EPOCH), position["epoch"], position["last"], BATCH
    )
    if entries:
        clicks = list(map(parse_click, entries))
        unreadable = [entry[0] for entry, click in zip(entries, clicks, strict=True) if not click]
        store([click for click in clicks if click])
        position = {
            "epoch": epoch.decode(),
            "last": entries[-1][0].decode(),
            "drained": position["drained"] + len(entries),
            "unreadable": position["unreadable"] + len(unreadable),
            "canary": position["canary"] + sum(c.id.startswith(CANARY) for c in clicks if c),
        }
        _keep_position(position)
        if unreadable:  # last: what fails before is tried again, and would copy them again
            keep_copies(unreadable)
    return position, len(entries)


def _is_past(position: Position, epoch: bytes, last: bytes) -> bool:
    """Whether all entries up to the id `last` of this epoch are in the database."""
    return bool(
        position["epoch"] == epoch.decode()
        and _numbers(position["last"]) >= _numbers(last.decode())
    )


def _numbers(stream_id: str) -> list[int]:
    return [int(number) for number in stream_id.split("-")]


def get_position() -> Position:
    stored = KeyValue.get_or_none(KeyValue.name == "clicks")
    nowhere = {"epoch": "", "last": "0-0", "drained": 0, "unreadable": 0, "canary": 0}
    return nowhere | json.loads(stored.value) if stored else nowhere


def _keep_position(position: Position) -> None:
    value = json.dumps(position)
    KeyValue.insert(name="clicks", value=value).on_conflict(
        conflict_target=[KeyValue.name], update={KeyValue.value: value}
    ).execute()


def store(batch: Sequence[Click]) -> None:
    """Stores clicks, each id once, in the running transaction, which holds the lock `drain`.

    Clicks on links that are gone for good are dropped.
    """
    by_id = {click.id: click for click in batch}
    known = claimed(by_id)
    clicks = [click for click in by_id.values() if click.id not in known]
    clicks.sort(key=lambda click: click.ms)  # those of one millisecond stay as Redis has them
    owners = count(Lines(map(line_of, (click for click in clicks if click.link))))
    rows = (
        (url_id, owners[url_id], "clicked", moment(click.ms), click.details())
        for click in clicks
        if (url_id := click.link.url_id if click.link else 0) in owners
    )
    database.trust_references()  # count() holds the links' rows, and with them their owners
    bulk.insert("events", ("url_id", "user_id", "event_type", "timestamp", "details"), rows)
    claim([click.id for click in clicks], KEEP_FOR_REQUEST)


def moment(ms: int) -> datetime:
    """The second of a click, in UTC without a zone."""
    return _moment(ms // 1000)


@lru_cache(maxsize=1000)
def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
