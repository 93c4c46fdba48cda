"""Old clicks are removed by the worker while redirects run; a part of benchmarks/growth.py."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import closing
from statistics import median

import psycopg2

from testkit.stack import PYTHON, Stack

OLD = int(os.environ.get("OLD", "1000000"))
_SECONDS_BEFORE, _PAUSE_SECONDS = 10, 0.005
_MOST_SECONDS = 3600
_OLD_CLICKS = """
INSERT INTO events (url_id, event_type, timestamp, details)
SELECT 1, 'clicked', now() - interval '400 days', '{{"short_code": "g", "original_url":
    "https://example.com/page", "ip": "127.0.0.0", "user_agent": "probe", "referrer": ""}}'
FROM generate_series(1, {old}::bigint)
"""
_LEFT = "SELECT count(*) FROM events WHERE timestamp < now() - interval '30 days'"


def measure(
    stack: Stack, dsn: str, environment: dict[str, str], redirect: Callable[[], None]
) -> None:
    """Prints how long it takes, and the times of redirects before and meanwhile."""
    with closing(psycopg2.connect(dsn)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(_OLD_CLICKS.format(old=OLD))
        cursor.execute("ANALYZE events")

        def left() -> int:
            cursor.execute(_LEFT)
            return int(cursor.fetchone()[0])

        end = time.monotonic() + _SECONDS_BEFORE
        before = _redirect_while(lambda: time.monotonic() < end, redirect)
        given = {**environment, "EVENT_RETENTION_DAYS": "30", "LOG_FILE": ""}
        began = time.monotonic()
        stack.run("worker", [PYTHON, "-m", "app", "worker"], given)
        meanwhile = _redirect_while(_until_none(left, began + _MOST_SECONDS), redirect)
        took = time.monotonic() - began
    print(f"\n{OLD:,} old clicks removed by the worker in {took:,.0f} s")
    for name, times in (("before", before), ("meanwhile", meanwhile)):
        print(f"{len(times):,} redirects {name}: {_summary(times)}")


def _until_none(left: Callable[[], int], end: float) -> Callable[[], bool]:
    """Whether there are some left; looks every second."""
    looked_at = time.monotonic()

    def goes_on() -> bool:
        nonlocal looked_at
        if time.monotonic() > end:
            sys.exit("the old clicks are still there")
        if time.monotonic() - looked_at < 1:
            return True
        looked_at = time.monotonic()
        return left() > 0

    return goes_on


def _redirect_while(goes_on: Callable[[], bool], redirect: Callable[[], None]) -> list[float]:
    """Milliseconds of each redirect; one that fails ends the benchmark."""
    times = []
    while goes_on():
        began = time.perf_counter()
        redirect()
        times.append((time.perf_counter() - began) * 1e3)
        time.sleep(_PAUSE_SECONDS)
    return times


def _summary(times: list[float]) -> str:
    ordered = sorted(times)
    return (
        f"median {median(ordered):.2f}, p99 {ordered[len(ordered) * 99 // 100]:.2f}, "
        f"slowest {ordered[-1]:.2f} ms"
    )
