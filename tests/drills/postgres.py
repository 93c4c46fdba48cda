"""Drills on PostgreSQL: killed, stopped, out of connections, slow, and away together with Redis."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import psycopg2

from tests.drills.drill import Drill, Ground
from tests.drills.outcome import slowest_beside
from tests.stack.compose import Stack
from tests.stack.load import Steady
from tests.stack.report import require

_UNAVAILABLE = frozenset((503,))
_FULL_SECONDS = 10
_LOCKED_SECONDS = 10
_REFUSAL_SECONDS = 1
_TRIES = 8
_OTHERS = (
    "FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name <> 'drill'"
)


def connect(stack: Stack) -> Any:
    """As the stack's own superuser, from the host."""
    connection = psycopg2.connect(stack.database_url())
    connection.autocommit = True
    return connection


def query(connection: Any, sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def _killed(ground: Ground) -> None:
    with ground.strike("postgres-killed") as hit:
        hit.allowed = _UNAVAILABLE
        with hit.fault():
            os.kill(ground.stack.pid("postgres"), signal.SIGKILL)
        ground.stack.wait_healthy("postgres")


def _stopped(ground: Ground) -> None:
    with ground.strike("postgres-stopped") as hit:
        hit.allowed = _UNAVAILABLE
        try:
            with hit.fault("PostgresDown"):
                ground.stack.stop("postgres")
                time.sleep(30)
        finally:
            ground.stack.start("postgres")
        hit.mended()
        ground.stack.wait_healthy("postgres")


def _full(ground: Ground) -> None:
    with ground.strike("postgres-full") as hit:
        hit.allowed = _UNAVAILABLE
        with hit.fault(), _all_connections_taken(ground.stack):
            time.sleep(_FULL_SECONDS)
    require(hit.outcome.refused, "nobody noticed that there was no connection left")


@contextmanager
def _all_connections_taken(stack: Stack) -> Iterator[None]:
    """Somebody holds every connection that PostgreSQL gives, and takes those of the pools away as
    well, also from a pool that is faster for once.
    """
    with ExitStack() as held:
        first = _take_all(stack, held)
        for _ in range(_TRIES):
            query(first, f"SELECT pg_terminate_backend(pid) {_OTHERS}")
            _take_all(stack, held)
            if not query(first, f"SELECT pid {_OTHERS}"):
                break
        yield


def _take_all(stack: Stack, held: ExitStack) -> Any:
    """The last connection of those that were still to be had."""
    url = stack.database_url()
    last: Any = None
    refused = 0
    while refused < 100:
        try:
            last = held.enter_context(closing(psycopg2.connect(url, application_name="drill")))
            last.autocommit = True
        except psycopg2.OperationalError:
            refused += 1
            time.sleep(0.01)  # those that were sent away take a moment to go
    return last


def _slow(ground: Ground) -> None:
    """Reads of the locked table wait for as long as they may wait for their locks.

    Cached redirects do not even notice.
    """
    paths = [f"/{code}" for code in ground.codes]
    with (
        ground.strike("postgres-slow", paths=paths) as hit,
        closing(connect(ground.stack)) as connection,
    ):
        connection.autocommit = False
        with hit.fault():
            query(connection, "LOCK TABLE urls IN ACCESS EXCLUSIVE MODE")
            with Steady(ground.stack.url(), ["/urls?per_page=5"], rate=4, clients=4) as reads:
                time.sleep(_LOCKED_SECONDS)
            connection.rollback()
    refused = [each for each in reads.answers if each.status == 503]
    require(refused, "nobody noticed the lock")
    require(
        {each.status for each in reads.answers} <= {200, 503},
        f"reads of the locked table: {reads.failed()}",
    )
    for each in refused:
        late = each.seconds - _REFUSAL_SECONDS
        excused = late < 0 or late < slowest_beside(each, hit.load.answers, ground.targets)
        require(excused, f"a read of the locked table was refused after {each.seconds:.1f} s")


def _both_away(ground: Ground) -> None:
    away = ("redis", "postgres")
    with ground.strike("redis-and-postgres-away") as hit:
        hit.allowed, hit.redirects_too = _UNAVAILABLE, True
        try:
            with hit.fault("PostgresDown", "RedisDown"):
                for service in away:
                    ground.stack.stop(service)
                time.sleep(10)
        finally:
            for service in away:
                ground.stack.start(service)
        hit.mended()
        ground.stack.wait_healthy(*away)


DRILLS = [
    Drill("postgres-killed", _killed, short=True),
    Drill("postgres-stopped", _stopped),
    Drill("postgres-full", _full),
    Drill("postgres-slow", _slow),
    Drill("redis-and-postgres-away", _both_away, short=True),
]
