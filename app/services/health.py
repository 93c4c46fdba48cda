"""How this replica is: asked in the background, so that a dependency that hangs never makes the answer late."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

from peewee import DatabaseError

from app import database, metrics
from app.cache import Away, cache
from app.clicks import clicks, drained_total
from app.database import AWAY, db, released
from app.metrics import Reading
from app.migrations import schema
from app.services import freshness, urls

_PATIENCE_SECONDS = 0.2
_METRICS_PATIENCE_SECONDS = 1.0
_UNUSABLE = (*AWAY, DatabaseError)
"""Away, or there and unwilling: no such table, no permission, read only."""

T = TypeVar("T")


class Probe(Generic[T]):
    """Asks one question at a time on a thread of its own; who asks need not wait for the answer."""

    def __init__(self, ask: Callable[[], T], silent: T) -> None:
        self._ask, self.silent = ask, silent
        self._lock = threading.Lock()
        self._thread: ThreadPoolExecutor | None = None  # made by the first question, which comes after the fork
        self._pending: Future[T] | None = None

    def start(self) -> Future[T]:
        """Asks, unless that was done and is not answered yet."""
        with self._lock:
            self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="probe")
            if self._pending is None or self._pending.done():
                self._pending = self._thread.submit(self._ask)
            return self._pending


def ask(probes: list[Probe[T]], patience_seconds: float) -> list[T]:
    """The answer of each that answers in time, else its `silent`; waits for all together."""
    pending = [probe.start() for probe in probes]
    due = time.monotonic() + patience_seconds
    wait(pending, patience_seconds)
    # Awake too late, this process was not run for a while, and maybe those asked were not either: they get as long again.
    wait(pending, min(patience_seconds, max(0.0, time.monotonic() - due)))
    return [answer.result() if answer.done() else probe.silent for probe, answer in zip(probes, pending, strict=True)]


def _ask_database() -> str:
    try:
        with released():
            if not schema.check():  # which has asked the database, when all is well
                database.ping()
            clicks.take_back()
        return "connected"
    except _UNUSABLE:
        return "disconnected"


_database = Probe(_ask_database, "disconnected")
_cache = Probe(lambda: cache.store.state(), "disconnected")


def _state() -> dict[str, str]:
    database_state, cache_state = ask([_database, _cache], _PATIENCE_SECONDS)
    return {"database": database_state, "cache": cache_state}


def alive() -> dict[str, str]:
    state = _state()
    return {"status": "degraded" if "disconnected" in state.values() else "ok", **state}


def ready() -> dict[str, Any]:
    """`status` is "ready" when this replica can serve every request: the database answers and its schema is there."""
    state = _state()
    able = state["database"] == "connected" and schema.ready
    return {"status": "ready" if able else "not ready", **state, "schema_applied": schema.ready}


class ActiveUrls:
    """Counting takes longer the more links there are, so it is done at most every now and then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._count, self._again_at = 0, 0.0

    def count(self) -> int:
        began = self._clock()
        if began >= self._again_at:
            self._count = urls.count_active()
            ended = self._clock()
            self._again_at = ended + 50 * (ended - began)
        return self._count


_active_urls = ActiveUrls()


def _database_figures() -> list[Reading]:
    try:
        with released():
            return [
                ("active_urls", "Links that work.", _active_urls.count()),
                ("cache_updates_due", "Changes of links that Redis has yet to be told.", freshness.count_due()),
                ("clicks_drained_total", "Clicks moved from the stream into the database, by all replicas, ever.", drained_total()),
            ]
    except _UNUSABLE:
        return []


def _stream_figures() -> list[Reading]:
    try:
        length, age = clicks.backlog()
    except Away:
        return []
    return [
        ("click_backlog", "Clicks that wait in the stream.", length),
        ("click_backlog_age_seconds", "For how long the oldest of them has waited.", age),
    ]


_figures: list[Probe[list[Reading]]] = [Probe(_database_figures, []), Probe(_stream_figures, [])]


def readings() -> list[Reading]:
    """Figures for /metrics that live outside of the process; a source that does not answer is left out, never waited for."""
    return [reading for source in ask(_figures, _METRICS_PATIENCE_SECONDS) for reading in source]


def note_connections(_error: BaseException | None = None) -> None:
    """At the end of a request, when its own connection is about to be given back."""
    metrics.connections_in_use.set(len(db.obj._in_use) - (not db.is_closed()))
