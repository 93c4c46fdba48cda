"""Compares a canary with the stable replicas in Prometheus, and prints a table of the figures.

    judge.py --prometheus URL --seconds 60 [--since T] [--began T] [--requests 300] ...

Needs nothing but Python. It ends with 0: no worse; 1: worse, at the first look that shows it; 2:
too few requests to tell; 3: Prometheus has no answer. Only 0 is a pass. docs/canary.md has more.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import urlencode
from urllib.request import urlopen

PASS, WORSE, TOO_FEW, NO_ANSWER = range(4)
_LOOK_SECONDS = 2.0
_TAIL = 5  # so many requests must be slower than a percentile, or it says nothing
_ERRORS, _MISSING = (0.01, 3), (0.01, 5)  # shares, and numbers: fewer may be chance
_SLOWER = {0.95: (2.0, 0.001), 0.99: (3.0, 0.005)}  # times as slow as stable, and seconds more
_MEMORY = 1.5, 64e6  # times as much as stable, and bytes more
_TRAFFIC = 'endpoint!~"ops.show_(health|readiness|metrics)"'
_UNITS = {"%": 100, "ms": 1000, "MB": 1e-6}
_REDIRECTS = 'endpoint=~"redirects.follow_(code|url)"'

Series = dict[tuple[tuple[str, str], ...], float]
"""Values of series, by their labels."""


class Row(NamedTuple):
    """`texts`: the canary's figure, stable's, the limit. `verdict`: ok, worse, too few; -: none."""

    name: str
    texts: tuple[str, ...]
    verdict: str


class Prometheus:
    """Asks for figures of the replicas that `select` names, scraped every `scrape` seconds."""

    def __init__(self, url: str, select: str, scrape: int = 5) -> None:
        self.url, self.select, self.scrape = url.rstrip("/"), select, scrape

    def ask(self, query: str, at: float) -> Series:
        """The value of each series at a time in seconds since 1970."""
        asked = urlencode({"query": query, "time": f"{at:.3f}"})
        with urlopen(f"{self.url}/api/v1/query?{asked}", timeout=5) as answer:
            found = json.load(answer)["data"]["result"]
        return {tuple(each["metric"].items()): float(each["value"][1]) for each in found}

    def last(self, series: str) -> str:
        """Their newest values, also when a scrape has failed: then there are none at the moment."""
        return f"last_over_time({series}[{6 * self.scrape}s])"

    def grown(self, query: str, since: float, until: float) -> Series:
        """How much each counter has grown; one that began anew counts from 0."""
        before, after = self.ask(query, since), self.ask(query, until)
        return {
            labels: value - (then if (then := before.get(labels, 0.0)) <= value else 0.0)
            for labels, value in after.items()
        }


class Side(NamedTuple):
    """What replicas of one track did in a time: counts, seconds by percentile, bytes."""

    requests: float
    errors: float
    redirects: float
    percentiles: dict[float, float]
    memory: float


def side(prometheus: Prometheus, track: str, since: float, until: float) -> Side:
    of = f'{prometheus.select}, track="{track}"'
    last = prometheus.last
    counted, failed = (
        f"sum by (instance) ({last(f'http_requests_total{{{of}, {_TRAFFIC}{only}}}')})"
        for only in ("", ', status=~"5.."')
    )
    buckets = last(f"http_request_duration_seconds_bucket{{{of}, {_REDIRECTS}}}")
    grown = prometheus.grown(f"sum by (le, instance) ({buckets})", since, until)
    held: dict[float, float] = {}
    for labels, value in grown.items():
        bound = float(dict(labels)["le"])
        held[bound] = held.get(bound, 0.0) + value
    memory = last(f"process_resident_memory_max_bytes{{{of}}}")
    return Side(
        sum(prometheus.grown(counted, since, until).values()),
        sum(prometheus.grown(failed, since, until).values()),
        held.get(float("inf"), 0.0),
        {each: percentile(held, each) for each in _SLOWER},
        sum(prometheus.ask(f"max({memory})", until).values()),
    )


def percentile(held: dict[float, float], share: float) -> float:
    """Seconds, as Prometheus' histogram_quantile; `held` is cumulative, by upper bound. 0: none."""
    wanted, low, below = share * held.get(float("inf"), 0.0), 0.0, 0.0
    for bound in sorted(held):
        if held[bound] >= wanted and held[bound] > below:
            inside = (wanted - below) / (held[bound] - below)
            return low if bound == float("inf") else low + (bound - low) * inside
        low, below = bound, held[bound]
    return 0.0


class Judge:
    """Judges the replicas of track `of`; `stable`: between which times others are looked at."""

    def __init__(self, prometheus: Prometheus, given: argparse.Namespace) -> None:
        self.prometheus, self.given = prometheus, given
        self.track = f'{prometheus.select}, track="{given.of}"'

    def rows(self, now: float) -> list[Row]:
        """All figures of one look; raises OSError or ValueError without an answer."""
        given = self.given
        canary = side(self.prometheus, given.of, given.since, now)
        stable = side(self.prometheus, "stable", *(given.stable or (given.since, now)))
        return [
            self._requests(canary, stable),
            _errors(canary, stable),
            *(_slowness(canary, stable, share) for share in _SLOWER),
            _memory(canary, stable),
            self._restarts(now),
            self._missing(now),
        ]

    def _requests(self, canary: Side, stable: Side) -> Row:
        enough = min(canary.requests, stable.requests) >= self.given.requests
        counts = f"{canary.requests:,.0f}", f"{stable.requests:,.0f}"
        least = f">= {self.given.requests:,}"
        return Row("requests", (*counts, least), "ok" if enough else "too few")

    def _restarts(self, now: float) -> Row:
        """Starts of processes since the canary began, and replicas that do not answer."""
        scrape = self.prometheus.scrape
        seconds = max(2 * scrape, int(now - self.given.began))
        started = f"changes(process_newest_start_seconds{{{self.track}}}[{seconds}s])"
        silent = f"(1 - max_over_time(up{{{self.track}}}[{4 * scrape}s]))"
        found = self.prometheus.ask(f"sum({started}) + sum({silent})", now)
        count = sum(found.values())
        verdict = "too few" if not found else "worse" if count else "ok"
        return Row("restarts", (f"{count:.0f}", "-", "0"), verdict)

    def _missing(self, now: float) -> Row:
        """Clicks that were answered and are not on record, of all since the canary began."""
        asks, given, last = self.prometheus, self.given, self.prometheus.last
        canary = "_canary" if given.of == "canary" else ""
        drained = last(f"clicks_drained{canary}_total{{{asks.select}}}")
        direct = last(f"clicks_direct_total{{{self.track}}}")
        redirects = last(f"redirects_total{{{self.track}}}")
        offset = f"sum({redirects}) - sum({direct}) - max({drained})"
        # A click on its way is not missing: those of all replicas that wait are taken off.
        lost = f"{offset} - (max({last(f'click_backlog{{{asks.select}}}')}) or vector(0))"
        window = f"[{max(10, 3 * asks.scrape)}s:1s]"
        known = asks.ask(f"quantile_over_time(0.5, ({lost}){window})", now)
        began = asks.ask(f"min_over_time(({offset}){window})", given.began)
        grown = asks.grown(f"sum by (instance) ({redirects})", given.began, now)
        missing = max(0.0, sum(known.values()) - sum(began.values()))
        share, (limit, least) = missing / max(1.0, sum(grown.values())), _MISSING
        worse = "worse" if share > limit and missing >= least else "ok"
        verdict = worse if known and began else "too few"
        return Row("clicks missing", (*_in("%", share), "-", *_in("%", limit)), verdict)


def _errors(canary: Side, stable: Side) -> Row:
    share, base = (each.errors / max(1.0, each.requests) for each in (canary, stable))
    limit, least = base + _ERRORS[0], _ERRORS[1]
    verdict = "worse" if share > limit and canary.errors >= least else "ok"
    return Row("5xx", _in("%", share, base, limit), verdict)


def _slowness(canary: Side, stable: Side, share: float) -> Row:
    factor, more = _SLOWER[share]
    seconds, base = canary.percentiles[share], stable.percentiles[share]
    limit = max(factor * base, base + more)
    is_known = min(canary.redirects, stable.redirects) * (1 - share) >= _TAIL - 1e-9
    verdict = "-" if not is_known else "worse" if seconds > limit else "ok"
    return Row(f"p{share * 100:.0f}", _in("ms", seconds, base, limit), verdict)


def _memory(canary: Side, stable: Side) -> Row:
    """Of the largest process: a leak shows before it ends one."""
    factor, more = _MEMORY
    limit = max(factor * stable.memory, stable.memory + more)
    is_known = stable.memory > 0 and canary.memory > 0
    verdict = "too few" if not is_known else "worse" if canary.memory > limit else "ok"
    return Row("memory", _in("MB", canary.memory, stable.memory, limit), verdict)


def _in(unit: str, *values: float) -> tuple[str, ...]:
    return tuple(f"{value * _UNITS[unit]:,.1f} {unit}" for value in values)


def watch(given: argparse.Namespace, say: Callable[[str], None] = print) -> int:
    """Looks every two seconds until it is worse, or the time is over and there is enough."""
    judge = Judge(Prometheus(given.prometheus, given.select, given.scrape), given)
    ends = time.time() + given.seconds
    while True:
        began = time.time()
        try:
            verdict = verdict_of(rows := judge.rows(began))
        except (OSError, ValueError, LookupError) as error:
            rows, verdict = [], NO_ANSWER
            reason = f"Prometheus has no answer: {error}"
        is_over = began >= ends if verdict == PASS else began >= ends + given.patience
        if verdict == WORSE or is_over:
            say("\n".join(table(rows)) if rows else reason)
            return verdict
        time.sleep(_LOOK_SECONDS)


def verdict_of(rows: list[Row]) -> int:
    """A figure that is worse decides alone; a percentile that cannot be judged decides nothing."""
    verdicts = {row.verdict for row in rows}
    return WORSE if "worse" in verdicts else TOO_FEW if "too few" in verdicts else PASS


def table(rows: list[Row]) -> Iterator[str]:
    for row in (Row("figure", ("canary", "stable", "limit"), "verdict"), *rows):
        yield f"{row.name:16}{''.join(f'{text:>12}' for text in row.texts)}  {row.verdict}"


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="judge.py")
    parser.add_argument("--prometheus", required=True, help="its address")
    parser.add_argument("--select", default='job="holdfast"', help="labels of all replicas")
    parser.add_argument(
        "--of", default="canary", choices=("canary", "stable"), help="who is judged"
    )
    parser.add_argument("--stable", type=float, nargs=2, help="between which times stable counts")
    parser.add_argument("--since", type=float, default=time.time(), help="when the step began")
    parser.add_argument("--began", type=float, help="when the canary began; --since")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to look")
    parser.add_argument("--patience", type=float, default=0.0, help="seconds more for requests")
    parser.add_argument("--scrape", type=int, default=5, help="seconds between two scrapes")
    parser.add_argument("--requests", type=int, default=300, help="fewer say nothing")
    given = parser.parse_args(arguments)
    if given.began is None:
        given.began = given.since
    return given


if __name__ == "__main__":
    sys.exit(watch(parsed(None)))
