"""CPU time and rate of a redirect, beside constant answers of the same servers: `make bench`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psycopg2
import redis as redis_client

from testkit.floors import LOCATION
from testkit.servers import Missing, Postgres, Redis, wait_for
from testkit.stack import PYTHON, SERVING, Stack, need

ROUNDS = int(os.environ.get("ROUNDS", "5"))
REQUESTS = int(os.environ.get("REQUESTS", "32000"))
SECONDS = 120  # at most, for one run
CONNECTIONS = 32
REPLICAS = 3
_LUA = Path(__file__).with_name("random_codes.lua")
_LINKS = """
INSERT INTO urls (short_code, original_url, is_active, created_at, updated_at)
SELECT 'c' || lpad(n::text, 5, '0'), 'https://example.com/page/' || lpad(n::text, 5, '0'), true,
    now(), now()
FROM generate_series(0, 999) AS n
"""


class Run(NamedTuple):
    """One run of wrk: CPU microseconds per request of each part, requests/s, latencies in us."""

    parts: dict[str, float]
    rate: float
    p50: float
    p99: float

    def cpu(self) -> float:
        return sum(self.parts.values())


@dataclass
class Contender:
    name: str
    stack: Stack
    port: int
    constant: str = ""
    settle: Callable[[], None] = lambda: (
        None
    )  # waits for what is left to do, and belongs to the cost
    verify: Callable[[int], None] = lambda _answered: None  # looks at the result, and does not

    def run(self, requests: int) -> Run:
        """Sends so many requests; checks that each answer is the right 302, each click stored."""
        before = self.stack.cpu_seconds()
        answered, wrong, errors, microseconds, p50, p99 = _wrk(
            self.port, self.constant, requests // CONNECTIONS
        )
        if wrong or errors or answered != requests // CONNECTIONS * CONNECTIONS:
            sys.exit(
                f"{self.name}: {answered} answers, {wrong} wrong, {errors} errors "
                f"(logs in {self.stack.folder})"
            )
        self.settle()
        after = self.stack.cpu_seconds()
        self.verify(answered)
        parts = {part: (after[part] - before[part]) / answered * 1e6 for part in after}
        return Run(parts, answered / (microseconds / 1e6), p50, p99)


def _wrk(port: int, constant: str, each: int) -> list[int]:
    with tempfile.NamedTemporaryFile() as finished:
        environment = {
            **os.environ,
            "REQUESTS": str(each),
            "FINISHED": finished.name,
            **({"CONSTANT": constant} if constant else {}),
        }
        sizes = [
            "-t",
            str(CONNECTIONS),
            "-c",
            str(CONNECTIONS),
            "-d",
            f"{SECONDS}s",
            "--timeout",
            "10s",
        ]
        command = [need("wrk", "wrk"), *sizes, "-s", str(_LUA), f"http://127.0.0.1:{port}"]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        with suppress(TimeoutError):  # it would sleep on until its time is over
            wait_for(
                lambda: os.path.getsize(finished.name) == CONNECTIONS or process.poll() is not None,
                SECONDS,
                "the last answer",
            )
        process.send_signal(signal.SIGINT)
        output = process.communicate()[0]
    return [int(number) for number in output.split("RESULT ")[1].split()]


class Holdfast:
    """Three replicas, the worker, Redis and PostgreSQL, with 1,000 links."""

    def __init__(self, cleanup: ExitStack, front: bool) -> None:
        self.stack = Stack(cleanup)
        self.postgres, self.redis = Postgres(), Redis()
        for server in (self.postgres, self.redis):
            cleanup.callback(server.destroy)
            server.start()
        environments = [self._environment(number, front) for number in range(REPLICAS)]
        self.stack.replicas(["-c", "python:app.serving"], environments)
        with psycopg2.connect(self._dsn()) as connection, connection.cursor() as cursor:
            cursor.execute(_LINKS)
        self.stack.run("worker", [PYTHON, "-m", "app", "worker"], environments[0])
        self.stack.watch("postgres", self.postgres.process.pid)
        self.stack.watch("redis", self.redis.process.pid)
        self.stored = 0
        self.client = redis_client.Redis.from_url(self.redis.url)
        wait_for(lambda: self.client.exists("link:c00999") == 1, what="the cache's warm-up")
        self.stack.nginx()

    def _environment(self, number: int, front: bool) -> dict[str, str]:
        metrics = self.stack.folder / f"metrics-{number}"
        metrics.mkdir()
        return {
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.redis.url,
            "FRONT": str(front),
            "LOG_FILE": str(self.stack.folder / "holdfast.log"),
            "PROMETHEUS_MULTIPROC_DIR": str(metrics),
            "TRUSTED_PROXIES": "1",
        }

    def _dsn(self) -> str:
        return f"host=127.0.0.1 port={self.postgres.port} user=holdfast dbname=holdfast"

    def settle(self) -> None:
        """Waits until the worker has stored every click of the run.

        It asks rarely: a query costs the database as much as many clicks.
        """
        wait_for(lambda: self.client.xlen("clicks") == 0, 60, "the last click in the database")

    def verify(self, answered: int) -> None:
        self.stored += answered
        if self._clicks() != self.stored:
            sys.exit(
                f"{self._clicks()} clicks stored, {self.stored} answered "
                f"(logs in {self.stack.folder})"
            )

    def _clicks(self) -> int:
        with psycopg2.connect(self._dsn()) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT sum(click_count), "
                "(SELECT count(*) FROM events WHERE event_type = 'clicked') FROM urls"
            )
            counted, stored = cursor.fetchone()
        if counted != stored:
            return -1
        return int(stored)


def _holdfast(cleanup: ExitStack, front: bool) -> list[Contender]:
    service = Holdfast(cleanup, front)
    name = "Holdfast" if front else "Holdfast, front off"
    return [
        Contender(
            f"{name}, Nginx and {REPLICAS} replicas",
            service.stack,
            service.stack.port,
            settle=service.settle,
            verify=service.verify,
        ),
        Contender(
            f"{name}, direct",
            service.stack,
            service.stack.replica_ports[0],
            settle=service.settle,
            verify=service.verify,
        ),
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


_OWN = ["-k", "asgi", *SERVING[2:]]
_FLOOR, _FLOOR_DIRECT = (
    f"constant 302, ASGI worker, Nginx and {REPLICAS} replicas",
    "constant 302, ASGI worker, direct",
)


def _contenders(cleanup: ExitStack) -> list[Contender]:
    return [
        *_floor(cleanup, "constant 302, ASGI worker", [*SERVING, "testkit.floors:constant_asgi"]),
        *_holdfast(cleanup, front=True),
        *_holdfast(cleanup, front=False),
        *_floor(cleanup, "constant 302, Gunicorn's own", [*_OWN, "testkit.floors:constant_asgi"]),
        *_floor(cleanup, "constant 302, Flask", [*SERVING, "testkit.floors:threaded_flask()"]),
        *_nginx_alone(cleanup),
    ]


def _round() -> dict[str, Run]:
    """One run of each contender, in turn, by new processes: these differ by a tenth."""
    with ExitStack() as cleanup:
        contenders = _contenders(cleanup)
        for contender in contenders:
            contender.run(
                max(REQUESTS // 4, CONNECTIONS)
            )  # the first requests of a process are dearer than all others
        return {contender.name: contender.run(REQUESTS) for contender in contenders}


def _report(rounds: list[dict[str, Run]]) -> None:
    print(
        f"\n{REQUESTS:,} redirects over {CONNECTIONS} connections, medians of {ROUNDS} rounds "
        "in turn, each with new processes; CPU microseconds per request"
    )
    print(
        "x floor: of each round's ratio to the ASGI worker's constant answer in the same round, "
        "lowest and highest in brackets\n"
    )
    print(f"{'':46}{'CPU us':>8}{'x floor':>20}{'req/s':>9}{'p50 ms':>8}{'p99 ms':>8}  parts")
    for name in rounds[0]:
        floor = _FLOOR_DIRECT if name.endswith("direct") else _FLOOR
        ratios = [each[name].cpu() / each[floor].cpu() for each in rounds]
        print(
            f"{name:46}"
            + _line(
                [each[name] for each in rounds],
                f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
            )
        )


def _line(runs: list[Run], ratio: str) -> str:
    parts = ", ".join(
        f"{part} {median(run.parts[part] for run in runs):.0f}" for part in runs[0].parts
    )
    rate, p50, p99 = (
        median(run.rate for run in runs),
        median(run.p50 for run in runs) / 1000,
        median(run.p99 for run in runs) / 1000,
    )
    cpu = median(run.cpu() for run in runs)
    return f"{cpu:8.0f}{ratio:>20}{rate:9,.0f}{p50:8.2f}{p99:8.2f}  {parts}"


def main() -> int:
    rounds = []
    for number in range(ROUNDS):
        try:
            rounds.append(_round())
        except Missing as missing:
            print(missing, file=sys.stderr)
            return 1
        print(f"round {number + 1} of {ROUNDS}", file=sys.stderr, flush=True)
    _report(rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
