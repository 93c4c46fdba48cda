"""CPU time and rate of a redirect, beside constant answers of the same servers: `make bench`."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import psycopg2
import redis as redis_client

from benchmarks.floors import LOCATION
from benchmarks.stack import PYTHON, Stack, need
from tests.servers import Missing, Postgres, Redis, wait_for

ROUNDS = int(os.environ.get("ROUNDS", "5"))
REQUESTS = int(os.environ.get("REQUESTS", "32000"))
SECONDS = 120  # at most, for one run
CONNECTIONS = 32
REPLICAS = 3
_LUA = Path(__file__).with_name("random_codes.lua")
_LINKS = """
INSERT INTO urls (short_code, original_url, is_active, created_at, updated_at)
SELECT 'c' || lpad(n::text, 5, '0'), 'https://example.com/page/' || lpad(n::text, 5, '0'), true, now(), now() FROM generate_series(0, 999) AS n
"""


class Run(NamedTuple):
    """One run of wrk: CPU microseconds per request of each part, requests per second, and latencies in microseconds."""

    cpu: dict[str, float]
    rate: float
    p50: float
    p99: float


@dataclass
class Contender:
    name: str
    stack: Stack
    port: int
    constant: str = ""
    settle: Callable[[int], None] = lambda _answered: None
    runs: list[Run] = field(default_factory=list)

    def run(self) -> None:
        """Sends REQUESTS requests; every answer must be the right 302, and afterwards every click must be stored."""
        before = self.stack.cpu_seconds()
        answered, wrong, errors, microseconds, p50, p99 = _wrk(self.port, self.constant)
        if wrong or errors or answered != REQUESTS // CONNECTIONS * CONNECTIONS:
            sys.exit(f"{self.name}: {answered} answers, {wrong} wrong, {errors} errors (logs in {self.stack.folder})")
        self.settle(answered)
        after = self.stack.cpu_seconds()
        cpu = {part: (after[part] - before[part]) / answered * 1e6 for part in after}
        self.runs.append(Run(cpu, answered / (microseconds / 1e6), p50, p99))

    def median(self, figure: Callable[[Run], float]) -> float:
        return statistics.median(figure(run) for run in self.runs)

    def cpu(self) -> float:
        return self.median(lambda run: sum(run.cpu.values()))


def _wrk(port: int, constant: str) -> list[int]:
    with tempfile.NamedTemporaryFile() as finished:
        environment = {**os.environ, "REQUESTS": str(REQUESTS // CONNECTIONS), "FINISHED": finished.name, **({"CONSTANT": constant} if constant else {})}
        sizes = ["-t", str(CONNECTIONS), "-c", str(CONNECTIONS), "-d", f"{SECONDS}s", "--timeout", "10s"]
        command = [need("wrk", "wrk"), *sizes, "-s", str(_LUA), f"http://127.0.0.1:{port}"]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        with suppress(TimeoutError):  # it would sleep on until its time is over
            wait_for(lambda: os.path.getsize(finished.name) == CONNECTIONS or process.poll() is not None, SECONDS, "the last answer")
        process.send_signal(signal.SIGINT)
        output = process.communicate()[0]
    return [int(number) for number in output.split("RESULT ")[1].split()]


class Holdfast:
    """Three replicas, the worker, Redis and PostgreSQL, with 1,000 links."""

    def __init__(self, cleanup: ExitStack, fast_lane: bool) -> None:
        self.stack = Stack(cleanup)
        self.postgres, self.redis = Postgres(), Redis()
        for server in (self.postgres, self.redis):
            cleanup.callback(server.destroy)
            server.start()
        environments = [self._environment(number, fast_lane) for number in range(REPLICAS)]
        self.stack.replicas(["-c", "python:app.serving"], environments)
        with psycopg2.connect(self._dsn()) as connection, connection.cursor() as cursor:
            cursor.execute(_LINKS)
        self.stack.run("worker", [PYTHON, "-m", "app.worker"], environments[0])
        self.stack.watch("postgres", self.postgres.process.pid)
        self.stack.watch("redis", self.redis.process.pid)
        self.stored = 0
        client = redis_client.Redis.from_url(self.redis.url)
        wait_for(lambda: client.exists("link:c00999") == 1, what="the cache's warm-up")
        self.stack.nginx()

    def _environment(self, number: int, fast_lane: bool) -> dict[str, str]:
        metrics = self.stack.folder / f"metrics-{number}"
        metrics.mkdir()
        return {
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.redis.url,
            "FAST_LANE": str(fast_lane),
            "LOG_FILE": str(self.stack.folder / "holdfast.log"),
            "PROMETHEUS_MULTIPROC_DIR": str(metrics),
            "TRUSTED_PROXIES": "1",
        }

    def _dsn(self) -> str:
        return f"host=127.0.0.1 port={self.postgres.port} user=holdfast dbname=holdfast"

    def settle(self, answered: int) -> None:
        """Waits until the worker has stored every click of the run; that is part of what a redirect costs."""
        self.stored += answered
        wait_for(lambda: self._clicks() >= self.stored, 60, "the last click in the database")
        if self._clicks() != self.stored:
            sys.exit(f"{self._clicks()} clicks stored, {self.stored} answered (logs in {self.stack.folder})")

    def _clicks(self) -> int:
        with psycopg2.connect(self._dsn()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT sum(click_count), (SELECT count(*) FROM events WHERE event_type = 'clicked') FROM urls")
            counted, stored = cursor.fetchone()
        if counted != stored:
            return -1
        return int(stored)


def _holdfast(cleanup: ExitStack, fast_lane: bool) -> list[Contender]:
    service = Holdfast(cleanup, fast_lane)
    name = "Holdfast" if fast_lane else "Holdfast, fast lane off"
    return [
        Contender(f"{name}, Nginx and {REPLICAS} replicas", service.stack, service.stack.port, settle=service.settle),
        Contender(f"{name}, direct", service.stack, service.stack.replica_ports[0], settle=service.settle),
    ]


def _floor(cleanup: ExitStack, name: str, application: list[str]) -> list[Contender]:
    stack = Stack(cleanup)
    stack.replicas(application, [{}] * REPLICAS)
    stack.nginx()
    return [
        Contender(f"{name}, Nginx and {REPLICAS} replicas", stack, stack.port, LOCATION),
        Contender(f"{name}, direct", stack, stack.replica_ports[0], LOCATION),
    ]


def _nginx_alone(cleanup: ExitStack) -> list[Contender]:
    stack = Stack(cleanup)
    stack.nginx(f"return 302 {LOCATION};")
    return [Contender("constant 302, Nginx alone", stack, stack.port, LOCATION)]


def _uvicorn(cleanup: ExitStack) -> list[Contender]:
    """Only where it is installed: Holdfast does not need it (docs/decisions/0007)."""
    if not find_spec("uvicorn_worker"):
        return []
    return _floor(cleanup, "constant 302, uvicorn's worker", ["-k", "uvicorn_worker.UvicornWorker", *_SERVING, "benchmarks.floors:constant_asgi"])


_SERVING = ["--workers", "1", "--keep-alive", "75", "--no-control-socket", "--log-level", "warning"]


def _contenders(cleanup: ExitStack) -> list[Contender]:
    return [
        *_floor(cleanup, "constant 302, ASGI worker", ["-k", "asgi", *_SERVING, "benchmarks.floors:constant_asgi"]),
        *_holdfast(cleanup, fast_lane=True),
        *_holdfast(cleanup, fast_lane=False),
        *_uvicorn(cleanup),
        *_floor(cleanup, "constant 302, Flask", ["-k", "gthread", "--threads", "8", *_SERVING, "benchmarks.floors:constant_flask"]),
        *_nginx_alone(cleanup),
    ]


def _report(contenders: list[Contender]) -> None:
    floor = {"Nginx": contenders[0], "direct": contenders[1]}
    print(f"\n{REQUESTS:,} redirects over {CONNECTIONS} connections, median of {ROUNDS} rounds in turn; CPU microseconds per request\n")
    print(f"{'':46}{'CPU us':>8}{'x floor':>9}{'req/s':>9}{'p50 ms':>8}{'p99 ms':>8}  parts")
    for one in contenders:
        base = floor["direct" if one.name.endswith("direct") else "Nginx"]
        parts = {part: one.median(lambda run, part=part: run.cpu[part]) for part in one.runs[0].cpu}  # type: ignore[misc]
        listed = ", ".join(f"{part} {cost:.0f}" for part, cost in parts.items())
        rate, p50, p99 = one.median(lambda run: run.rate), one.median(lambda run: run.p50) / 1000, one.median(lambda run: run.p99) / 1000
        print(f"{one.name:46}{one.cpu():8.0f}{one.cpu() / base.cpu():9.2f}{rate:9,.0f}{p50:8.2f}{p99:8.2f}  {listed}")


def main() -> int:
    with ExitStack() as cleanup:
        try:
            contenders = _contenders(cleanup)
        except Missing as missing:
            print(missing, file=sys.stderr)
            return 1
        for number in range(ROUNDS):
            for contender in contenders:
                contender.run()
            print(f"round {number + 1} of {ROUNDS}", file=sys.stderr, flush=True)
        _report(contenders)
    return 0


if __name__ == "__main__":
    sys.exit(main())
