"""How this replica is: asked in the background, so that a dependency that hangs never makes the answer late."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from app import database
from app.cache import Away, cache
from app.clicks import clicks, drained_total
from app.database import AWAY, db, released
from app.migrations import schema
from app.services import freshness, urls

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 0.2


class Probe:
    """Asks one question at a time on a thread of its own; who asks waits a moment for the answer, no longer."""

    def __init__(self, ask: Callable[[], str], silent: str) -> None:
        self._ask, self._silent = ask, silent
        self._lock = threading.Lock()
        self._thread: ThreadPoolExecutor | None = None  # made by the first question, which comes after the fork
        self._pending: Future[str] | None = None

    def start(self) -> Future[str]:
        with self._lock:
            self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="probe")
            if self._pending is None or self._pending.done():
                self._pending = self._thread.submit(self._ask)
            return self._pending

    def answer(self, deadline: float) -> str:
        try:
            return self.start().result(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            return self._silent


def _ask_database() -> str:
    try:
        with released():
            schema.ensure()
            database.ping()
        return "connected"
    except AWAY:
        return "disconnected"


_database = Probe(_ask_database, "disconnected")
_cache = Probe(lambda: cache.store.state(), "disconnected")


def _state() -> dict[str, str]:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    for probe in (_database, _cache):
        probe.start()
    return {"database": _database.answer(deadline), "cache": _cache.answer(deadline)}


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

    def __init__(self) -> None:
        self._count, self._again_at = 0, 0.0

    def count(self) -> int:
        began = time.monotonic()
        if began >= self._again_at:
            self._count = urls.count_active()
            ended = time.monotonic()
            self._again_at = ended + 50 * (ended - began)
        return self._count


_active_urls = ActiveUrls()


def readings() -> list[Callable[[], list[tuple[str, str, float]]]]:
    """Figures for /metrics that live outside of the process."""
    return [_database_readings, _stream_readings, _pool_readings]


def _database_readings() -> list[tuple[str, str, float]]:
    try:
        return [
            ("active_urls", "Links that work.", _active_urls.count()),
            ("cache_updates_due", "Changes of links that Redis has yet to be told.", freshness.count_due()),
            ("clicks_drained_total", "Clicks moved from the stream into the database, by all replicas, ever.", drained_total()),
        ]
    except AWAY:
        return []


def _stream_readings() -> list[tuple[str, str, float]]:
    try:
        length, age = clicks.backlog()
    except Away:
        return []
    return [
        ("click_backlog", "Clicks that wait in the stream.", length),
        ("click_backlog_age_seconds", "For how long the oldest of them has waited.", age),
    ]


def _pool_readings() -> list[tuple[str, str, float]]:
    return [("database_connections_in_use", "Pooled connections taken by this worker's threads.", len(db.obj._in_use))]
