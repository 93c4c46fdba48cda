"""State of this replica, read in the background: a hanging store never delays the answer."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Generic, NamedTuple, TypeVar

from app import metrics
from app.database import DatabaseUnavailable, db, refusal, released
from app.exposure import exposure
from app.metrics import Reading
from app.migrations import schema
from app.models import KeyValue
from app.redirects.connection import RedisUnavailable, redis_connection
from app.redirects.drain import drain, get_position
from app.redirects.links import count_pending
from app.repeating import UntilDone
from app.services import urls
from app.unavailable import DAMAGED, MISSING

_TIMEOUT_SECONDS = 0.2
_METRICS_TIMEOUT_SECONDS = 1.0
_TRIAL_BYTES = 100_000

T = TypeVar("T")


class Probe(Generic[T]):
    """Runs `ask` on a thread of its own, once at a time; no answer in time gives `timed_out`."""

    def __init__(self, ask: Callable[[], T], timed_out: T) -> None:
        self._ask, self.timed_out = ask, timed_out
        self._lock = threading.Lock()
        self._thread: ThreadPoolExecutor | None = None  # a thread does not survive the fork
        self._pending: Future[T] | None = None

    def start(self) -> Future[T]:
        """Asks, unless the last question is still open."""
        with self._lock:
            self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix="probe")
            if self._pending is None or self._pending.done():
                self._pending = self._thread.submit(self._ask)
            return self._pending


def ask(probes: list[Probe[T]], timeout_seconds: float) -> list[T]:
    """The answer of each probe, or its `timed_out` after `timeout_seconds` for all together."""
    pending = [probe.start() for probe in probes]
    due = time.monotonic() + timeout_seconds
    wait(pending, timeout_seconds)
    # The process was descheduled: wait as long again.
    wait(pending, min(timeout_seconds, max(0.0, time.monotonic() - due)))
    return [
        answer.result() if answer.done() else probe.timed_out
        for probe, answer in zip(probes, pending, strict=True)
    ]


class State(NamedTuple):
    """`word` is what /health says; `why` is for operators."""

    word: str
    why: str = ""


def _ask_database() -> State:
    """Reads only; a refused write is tried again in the background until it succeeds."""
    try:
        with released():
            why = db.trouble()
            if schema.check(why != MISSING) and why == MISSING:
                why = ""  # just made
    except DatabaseUnavailable as error:
        return State("refusing", error.refuses) if error.refuses else State("disconnected")
    if not why and refusal.why:
        _trial.start()
    return State("refusing", why or refusal.why) if why or refusal.why else State("connected")


def _try_to_write() -> None:
    """Clears the refusal when a write succeeds that is too large for the free space of pages."""
    if refusal.why == DAMAGED:
        db.look_for_damage()
    if refusal.why:
        with db.atomic():
            KeyValue.delete().where(KeyValue.name == "trial").execute()
            KeyValue.create(name="trial", value=secrets.token_hex(_TRIAL_BYTES // 2))
        KeyValue.delete().where(KeyValue.name == "trial").execute()
        refusal.why = ""


_trial = UntilDone(_try_to_write, "trying to write")
_database = Probe(_ask_database, State("disconnected"))
_cache = Probe(lambda: State(redis_connection.state()), State("disconnected"))


def _state() -> tuple[State, State]:
    database, cached = ask([_database, _cache], _TIMEOUT_SECONDS)
    return database, cached


def alive() -> dict[str, str]:
    database, cached = _state()
    well = database.word == "connected" and cached.word != "disconnected"
    return {"status": "ok" if well else "degraded", "database": database.word, "cache": cached.word}


class Readiness(NamedTuple):
    """`able`: it can serve every request. `report`: the answer. `trouble`: what is missing."""

    able: bool
    report: dict[str, Any]
    trouble: str


def ready() -> Readiness:
    """Ready when the database answers, takes writes, and its schema is there."""
    database, cached = _state()
    able = database.word == "connected" and schema.ready
    report: dict[str, Any] = {
        "status": "ready",
        "database": database.word,
        "cache": cached.word,
        "schema_applied": schema.ready,
    }
    if exposure.warnings:
        report["warnings"] = exposure.warnings
    why = f" ({database.why})" if database.why else ""
    applied = "applied" if schema.ready else "not applied"
    trouble = f"database {database.word}{why}, cache {cached.word}, schema {applied}"
    return Readiness(able, report, trouble)


class ActiveUrls:
    """Counts links at most so often that counting takes 2 % of the time."""

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
            position = get_position()
            return [
                ("active_urls", "Links that work.", _active_urls.count()),
                (
                    "cache_updates_due",
                    "Pending cache updates: changes of links that Redis has not confirmed.",
                    count_pending(),
                ),
                (
                    "clicks_drained_total",
                    "Clicks moved from the stream into the database, by all replicas, ever.",
                    position["drained"],
                ),
                (
                    "clicks_drained_canary_total",
                    "Those of them that a canary recorded (TRACK=canary).",
                    position["canary"],
                ),
                (
                    "clicks_unreadable_total",
                    "Entries of the stream among them that were no click, and were not stored.",
                    position["unreadable"],
                ),
            ]
    except DatabaseUnavailable:
        return []


def _writable_figure() -> list[Reading]:
    state = _ask_database()
    if state.word == "disconnected":
        return []
    writable = float(state.word == "connected")
    return [
        ("database_writable", "Whether the database that answers takes writes.", writable),
    ]


def _stream_figures() -> list[Reading]:
    try:
        length, age = drain.backlog()
    except RedisUnavailable:
        return []
    return [
        ("click_backlog", "Clicks that wait in the stream.", length),
        ("click_backlog_age_seconds", "For how long the oldest of them has waited.", age),
    ]


_figures: list[Probe[list[Reading]]] = [
    Probe(figures, []) for figures in (_database_figures, _writable_figure, _stream_figures)
]


def readings() -> list[Reading]:
    """Figures of database and Redis for /metrics, without those that come too late."""
    return [reading for source in ask(_figures, _METRICS_TIMEOUT_SECONDS) for reading in source]


def note_connections() -> None:
    """Says how many connections requests have, but for the caller's own."""
    metrics.connections_in_use.set(len(db.obj._in_use) - (not db.is_closed()))
