"""Every Prometheus instrument, and the exposition over all worker processes of a replica."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter as Counts
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    multiprocess,
    values,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from app.config import metrics_directory
from app.process import replica

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"))
# The limits of alerts are among them, so that a percentile beside one is exact.
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)

__all__ = ["CONTENT_TYPE"]

disable_created_metrics()
# The library would read the variable itself, and take a blank one for the current directory.
values.ValueClass = values.MultiProcessValue() if metrics_directory() else values.MutexValue
registry = CollectorRegistry()
_LABELS = ("method", "endpoint", "status")
_requests = Counter("http_requests_total", "Requests answered.", _LABELS, registry=registry)
_durations = Histogram(
    "http_request_duration_seconds",
    "Time from the request's arrival to its answer.",
    _LABELS,
    buckets=_BUCKETS,
    registry=registry,
)
urls_created = Counter("urls_created_total", "Short links made.", registry=registry)
redirects = Counter(
    "redirects_total", "Short links followed, each of them one click.", registry=registry
)
clicks_direct = Counter(
    "clicks_direct_total",
    "Clicks that went into the database at once, without the stream.",
    registry=registry,
)
cache_hits = Counter("cache_hits_total", "Links and answers found in the cache.", registry=registry)
cache_misses = Counter(
    "cache_misses_total", "Links and answers that the cache did not have.", registry=registry
)
cache_failures = Counter("cache_failures_total", "Calls of Redis that failed.", registry=registry)
limits_unchecked = Counter(
    "limits_unchecked_total",
    "Requests that no limit was counted for, because Redis did not answer.",
    registry=registry,
)

connections_in_use = Gauge(
    "database_connections_in_use",
    "Pooled connections taken.",
    registry=registry,
    multiprocess_mode="livesum",
)

Reading = tuple[str, str, float]
"""Name, help and value of a figure that is read for each scrape, such as the stream's length."""


_Labels = tuple[str, str, str]
_noted: deque[tuple[_Labels, float]] = deque()
_MOST_NOTED = 1000


def observe_request(method: str, endpoint: str, status: int, seconds: float) -> None:
    """Notes an answer; `write` counts it, at the latest when there are many."""
    labels = method if method in _METHODS else "OTHER", endpoint, str(status)
    _noted.append((labels, seconds))
    if len(_noted) >= _MOST_NOTED:
        write()


def write() -> None:
    """Counts the answers noted so far, at once for all of one moment."""
    seconds_of = defaultdict(list)
    with suppress(IndexError):  # another thread may take them too
        while True:
            labels, seconds = _noted.popleft()
            seconds_of[labels].append(seconds)
    for labels, all_seconds in seconds_of.items():
        requests, durations = _counters(labels)
        requests.inc(len(all_seconds))
        _observe_all(durations, all_seconds)


@cache
def _counters(labels: _Labels) -> tuple[Counter, Histogram]:
    return _requests.labels(*labels), _durations.labels(*labels)


def observe_cached_redirects(seconds: Sequence[float]) -> None:
    """Counts redirects of the front as those of Flask."""
    labels = ("GET", "redirects.follow_code", "302")
    for counter in (_requests.labels(*labels), redirects, cache_hits):
        counter.inc(len(seconds))
    _observe_all(_durations.labels(*labels), seconds)


def _observe_all(histogram: Histogram, seconds: Sequence[float]) -> None:
    """As histogram.observe for each, with one write per bucket instead of two for each."""
    for bucket, count in Counts(bisect_left(_BUCKETS, each) for each in seconds).items():
        histogram._buckets[bucket].inc(count)
    histogram._sum.inc(sum(seconds))


class _Process:
    """process_* over the master and all workers."""

    _STARTED = time.time()  # the master imports this module, and its workers inherit it

    def collect(self) -> Iterator[Metric]:
        resident = replica.resident_bytes()
        cpu, workers = replica.cpu_seconds(), max(1, len(resident) - 1)
        readings: list[Reading] = [
            ("process_cpu_seconds_total", "User and system CPU time of all processes.", cpu),
            ("process_resident_memory_bytes", "Physical memory of all processes.", sum(resident)),
            (
                "process_resident_memory_max_bytes",
                "Physical memory of the largest process.",
                max(resident),
            ),
            ("process_workers", "Worker processes alive.", workers),
            (
                "process_start_time_seconds",
                "When the server started, in seconds since 1970.",
                self._STARTED,
            ),
            (
                "process_newest_start_seconds",
                "When the newest of all processes started, in seconds since the machine did.",
                replica.newest_start_seconds(),
            ),
        ]
        return _Readings(readings).collect()


class _Readings:
    """Figures that live in the database or in Redis."""

    def __init__(self, readings: Iterable[Reading]) -> None:
        self.readings = readings

    def collect(self) -> Iterator[Metric]:
        for name, text, value in self.readings:
            family = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            yield family(name, text, value=value)


class _Workers(multiprocess.MultiProcessCollector):
    """What all workers counted, those that died too."""

    def collect(self) -> Iterable[Metric]:
        files = [str(file) for file in Path(self._path).glob("*.db") if _is_begun(file)]
        return self.merge(files, accumulate=True)  # type: ignore[no-any-return, no-untyped-call]


def _is_begun(file: Path) -> bool:
    """Whether the file has content: a new worker's may be empty, a dead worker's may be gone."""
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False


def exposition(readings: Iterable[Reading], directory: str) -> bytes:
    """Prometheus' text of the files in `directory` ("": this process alone) and `readings`."""
    write()
    gathered = CollectorRegistry()
    if directory:
        _Workers(gathered, path=directory)  # type: ignore[no-untyped-call]
    else:
        gathered.register(registry)
    gathered.register(_Process())
    gathered.register(_Readings(readings))
    return generate_latest(gathered)


def wipe(directory: str) -> None:
    """Deletes the workers' files before the first worker starts, and no others."""
    for file in Path(directory).glob("*.db"):
        file.unlink(missing_ok=True)


def forget_worker(pid: int, directory: str) -> None:
    """Drops the gauges of a dead worker; its counters stay."""
    multiprocess.mark_process_dead(pid, directory)
