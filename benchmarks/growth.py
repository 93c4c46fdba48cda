"""The cost of the same requests on 10,000 and on millions of links, and of an idle process.

LINKS and EVENTS set the large size (10,000,000 and 50,000,000), which takes a while to make; the
script says how long. OLD is how many old clicks are removed at the end (1,000,000).
"""

from __future__ import annotations

import http.client
import os
import random
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median

from benchmarks.removing import measure
from benchmarks.rows import ROWS, fill
from testkit.servers import Missing, Postgres, Redis
from testkit.stack import Stack

LINKS = int(os.environ.get("LINKS", "10000000"))
EVENTS = int(os.environ.get("EVENTS", "50000000"))
SMALL_LINKS, SMALL_EVENTS = 10_000, 50_000
REQUESTS = int(os.environ.get("REQUESTS", "400"))
ROUNDS = 5

_STATISTICS = (
    """INSERT INTO click_days (url_id, day, people, robots)
       SELECT 1 + n % {links}, extract(epoch FROM now())::int / 86400 - n / {links}, 3, 1
       FROM generate_series(0, 2 * {links} - 1) AS n
       UNION ALL SELECT 0, extract(epoch FROM now())::int / 86400 - n, 300, 100
       FROM generate_series(0, 400) AS n""",
    """INSERT INTO click_values (url_id, dimension, value, people, robots)
       SELECT n, dimension, 'value', 3, 1
       FROM generate_series(1, {links}) AS n, unnest({dimensions}) AS dimension
       UNION ALL SELECT 0, dimension, 'value ' || n, n, 1
       FROM generate_series(1, 1000) AS n, unnest({dimensions}) AS dimension""",
)


class Service:
    """One replica on PostgreSQL with so many links and events, and Redis."""

    def __init__(self, cleanup: ExitStack, links: int, events: int) -> None:
        self.links = links
        self.stack = Stack(cleanup)
        postgres, redis = Postgres(), Redis()
        for server in (postgres, redis):
            cleanup.callback(server.destroy)
            server.start()
        self.environment = {
            "DATABASE_URL": postgres.url,
            "REDIS_URL": redis.url,
            "LOG_FILE": str(self.stack.folder / "holdfast.log"),
        }
        began = time.monotonic()
        self.stack.replicas(["-c", "python:app.serving"], [self.environment])
        self.start_seconds = time.monotonic() - began
        self.dsn = f"host=127.0.0.1 port={postgres.port} user=holdfast dbname=holdfast"
        self.fill_seconds = fill(self.dsn, links, events, (*ROWS, *_STATISTICS))
        self.stack.watch("postgres", postgres.process.pid)
        self.stack.watch("redis", redis.process.pid)
        self.client = http.client.HTTPConnection("127.0.0.1", self.stack.replica_ports[0])

    def code(self) -> str:
        """An active link; of many, one that was hardly asked for before."""
        number = random.randrange(1, self.links)
        return f"g{number + (number % 6 == 0):09}"

    def ask(self, path: str) -> None:
        self.client.request("GET", path)
        response = self.client.getresponse()
        response.read()
        if response.status not in (200, 302):
            sys.exit(f"{path}: {response.status}")

    def cost(self, path: Callable[[Service], str], requests: int) -> tuple[float, float]:
        """CPU microseconds of all processes, and milliseconds until the answer, per request."""
        before, began = sum(self.stack.cpu_seconds().values()), time.perf_counter()
        for _ in range(requests):
            self.ask(path(self))
        took = time.perf_counter() - began
        return (
            sum(self.stack.cpu_seconds().values()) - before
        ) / requests * 1e6, took / requests * 1e3


_PAGE = 100_000
_ASKED: list[tuple[str, Callable[[Service], str], bool]] = [
    ("redirect, not cached", lambda service: f"/{service.code()}", True),
    ("redirect, cached", lambda _: "/g000000001", True),
    ("GET /urls/<id>", lambda service: f"/urls/{random.randrange(1, service.links)}", True),
    (
        "GET /urls/<id>/stats",
        lambda service: f"/urls/{random.randrange(1, service.links)}/stats",
        True,
    ),
    ("GET /stats", lambda _: "/stats", True),
    (
        "GET /events?url_id=",
        lambda service: f"/events?url_id={random.randrange(1, service.links)}",
        True,
    ),
    ("GET /events/<id>", lambda service: f"/events/{random.randrange(1, service.links)}", True),
    (
        "keyset page 100,000 of /urls",
        lambda service: f"/urls?after={min(_PAGE * 20, service.links // 2)}",
        True,
    ),
    ("GET /urls?count=true", lambda _: "/urls?count=true", False),
]


def _compare(small: Service, large: Service) -> int:
    """Prints each request's cost on both, in turn.

    Returns how many point queries grow by more than half.
    """
    too_much = 0
    print(
        f"\n{'CPU us and ms per request':34}{small.links:>12,} links{large.links:>18,} links  "
        " ratio of CPU"
    )
    for name, path, point in _ASKED:
        requests = REQUESTS if point else 5
        rounds = [(small.cost(path, requests), large.cost(path, requests)) for _ in range(ROUNDS)]
        (cpu, ms), (more_cpu, more_ms) = (
            [median(run[i][j] for run in rounds) for j in (0, 1)] for i in (0, 1)
        )
        too_much += point and more_cpu / cpu > 1.5
        print(
            f"{name:34}{cpu:10,.0f} {ms:7.2f}{more_cpu:16,.0f} {more_ms:7.2f}{more_cpu / cpu:12.2f}"
        )
    return too_much


def _idle(service: Service) -> None:
    before = service.stack.cpu_seconds()["app"]
    time.sleep(10)
    share = (service.stack.cpu_seconds()["app"] - before) / 10
    replica = service.stack.parts["app"][0]
    memory = ", ".join(f"{size / 2**20:.0f} MiB" for size in replica.resident_bytes())
    print(
        f"\nOne replica: ready {service.start_seconds:.1f} s after its start on an empty database;"
        f" idle {share:.2%} of a core"
    )
    print(f"memory of its master and its worker: {memory}")


def main() -> int:
    with ExitStack() as cleanup:
        try:
            small = Service(cleanup, SMALL_LINKS, SMALL_EVENTS)
            large = Service(cleanup, LINKS, EVENTS)
        except Missing as missing:
            print(missing, file=sys.stderr)
            return 1
        print(f"{LINKS:,} links and {EVENTS:,} events made in {large.fill_seconds:,.0f} s")
        too_much = _compare(small, large)
        _idle(small)
        measure(large.stack, large.dsn, large.environment, lambda: large.ask(f"/{large.code()}"))
    return 1 if too_much else 0


if __name__ == "__main__":
    sys.exit(main())
