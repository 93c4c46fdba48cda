"""Upgrades a large installation under redirects: `make bench-upgrade OLD=<commit>`.

`make test-upgrade`: a small one, from the last release, and back to it.

The old commit's three replicas and worker serve LINKS links and EVENTS events behind Nginx. This
tree's migrations run meanwhile; then its worker and replicas take their places, one by one.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg2
import redis as redis_client

from benchmarks.compare import checkout
from benchmarks.releases import last_release
from benchmarks.rows import ROWS, fill
from benchmarks.watching import Locks, Visitors
from testkit.load import Client
from testkit.servers import ROOT, Missing, free_port, wait_for
from testkit.service import (
    REPLICAS,
    BoundedRedis,
    SafePostgres,
    front_door,
    replica_settings,
)
from testkit.stack import PYTHON, Stack

LINKS = int(os.environ.get("LINKS", "1000000"))
EVENTS = int(os.environ.get("EVENTS", "5000000"))
RATE = int(os.environ.get("RATE", "200"))
_HOT = 100  # so many links get half of the redirects
_STEADY_SECONDS = float(os.environ.get("STEADY_SECONDS", "10"))
_GOES_BACK = os.environ.get("GOES_BACK", "")
_CLICKS = "event_type IN ('clicked', 'click', 'redirect')"
_COUNTS = f"SELECT (SELECT count(*) FROM events WHERE {_CLICKS}), sum(click_count) FROM urls"
_LOGGED = re.compile(r"duration: ([\d.]+) ms  statement: (.*?)(?=\n\d{4}-\d\d-\d\d |\Z)", re.DOTALL)


class Installation:
    """PostgreSQL, Redis, Nginx, and replicas and a worker of any tree; ports stay the same."""

    def __init__(self, cleanup: ExitStack, tree: Path) -> None:
        self.stack, self.postgres, self.redis = Stack(cleanup), SafePostgres(), BoundedRedis()
        for server in (self.postgres, self.redis):
            cleanup.callback(server.destroy)
            server.start()
        self.shared = {
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.redis.url,
            "LOG_FILE": str(self.stack.folder / "holdfast.log"),
            "CACHE_TTL_SECONDS": "20",  # so that the database is asked all the time
            "BASE_URL": "",
        }
        self.settings = [
            {**replica_settings(self.stack.folder, self.shared, number), **self.shared}
            for number in range(1, REPLICAS + 1)
        ]
        self.stack.replica_ports = [free_port() for _ in range(REPLICAS)]
        self.migrate(tree)
        self.worker = self._start_worker(tree)
        self.replicas = [self._start_replica(tree, number) for number in range(REPLICAS)]
        front_door(self.stack)

    @property
    def address(self) -> dict[str, Any]:
        """The database, for psycopg2."""
        host = {"host": "127.0.0.1", "port": self.postgres.port}
        return {**host, "user": "holdfast", "dbname": "holdfast"}

    def migrate(self, tree: Path) -> None:
        """PostgreSQL logs each statement of it."""
        logged = f"{self.postgres.url}?options=-c%20log_min_duration_statement%3D0"
        environment = {**os.environ, **self.shared, "DATABASE_URL": logged}
        command = [PYTHON, "-m", "app", "migrate"]
        subprocess.run(command, check=True, cwd=tree, env=environment, stdout=subprocess.DEVNULL)

    def statements(self) -> list[tuple[float, str]]:
        """Milliseconds and text of what the migrations ran, in order."""
        log = (self.postgres.folder / "log").read_text()
        return [(float(ms), " ".join(sql.split())) for ms, sql in _LOGGED.findall(log)]

    def _start_worker(self, tree: Path) -> subprocess.Popen[bytes]:
        settings = {**self.shared, "INSTANCE": "worker"}
        return self.stack.run("worker", [PYTHON, "-m", "app", "worker"], settings, tree)

    def _start_replica(self, tree: Path, number: int) -> subprocess.Popen[bytes]:
        port = self.stack.replica_ports[number]
        command = [PYTHON, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "-c", "python:app.serving"]
        settings = {**self.settings[number], "APP_PORT": str(port)}
        process = self.stack.run("app", command, settings, tree)
        wait_for(lambda: _is_ready(port), what=f"replica {number} (logs in {self.stack.folder})")
        return process

    def replace(self, tree: Path) -> None:
        """Worker first, as the old one keeps no statistics."""
        _end(self.worker)
        self.worker = self._start_worker(tree)
        for number, replica in enumerate(self.replicas):
            _end(replica)
            self.replicas[number] = self._start_replica(tree, number)

    def counts(self) -> tuple[int, int]:
        """Stored clicks and the sum of the links' counters, once the stream is empty."""
        with redis_client.Redis.from_url(self.redis.url) as held:
            wait_for(lambda: held.xlen("clicks") == 0, 60, "the end of the stream")
        with closing(psycopg2.connect(**self.address)) as connection:
            cursor = connection.cursor()
            cursor.execute(_COUNTS)
            events, counters = cursor.fetchone()
            return int(events), int(counters)


def _is_ready(port: int) -> bool:
    with closing(Client(port)) as client:
        return client.request("GET", "/health/ready")[0] == 200


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(60)


def _pick() -> tuple[str, str]:
    """An active link, which is one of a few in every second redirect."""
    number = random.randrange(1, LINKS - 1 if random.random() < 0.5 else _HOT)
    number += number % 6 == 0
    return f"/g{number:09}", f"https://example.com/page/{number}"


def _by_migration(statements: list[tuple[float, str]]) -> list[str]:
    """A line for each migration, and one for each index that was built after them."""
    lines, total = [], 0.0
    for ms, sql in statements:
        total += ms
        applied = re.search(r"INSERT INTO \S*schema_migration.*?'(\d{4}_\w+)'", sql)
        built = re.match(r"CREATE INDEX CONCURRENTLY (\w+)", sql)
        if applied or built:
            name = applied[1] if applied else f"index {built and built[1]}, concurrently"
            lines.append(f"{name:44}{total / 1000:10.3f} s")
            total = 0.0
    return lines


def _upgrade(installation: Installation, old: Path) -> int:
    """Prints what happened; returns how many redirects failed or were counted wrongly."""
    before = installation.counts()
    earlier = len(installation.statements())
    marks = [time.monotonic()]
    with Visitors(installation.stack.port, RATE, _pick) as visitors:
        time.sleep(_STEADY_SECONDS)
        marks.append(time.monotonic())
        with Locks(installation.address) as locks:
            installation.migrate(ROOT)
        marks.append(time.monotonic())
        time.sleep(_STEADY_SECONDS)  # the old replicas on the new schema
        marks.append(time.monotonic())
        installation.replace(ROOT)
        marks.append(time.monotonic())
        time.sleep(_STEADY_SECONDS)
        marks.append(time.monotonic())
        if _GOES_BACK:
            installation.replace(old)
            time.sleep(_STEADY_SECONDS)
            marks.append(time.monotonic())
    events, counters = (now - then for now, then in zip(installation.counts(), before, strict=True))
    statements = installation.statements()[earlier:]
    print("Migrations:", *_by_migration(statements), sep="\n  ")
    print("Slowest statements:", *_slowest(statements), sep="\n  ")
    _print_locks(locks, visitors, marks)
    failed, right = _print_failures(visitors)
    print(f"{right:,} clicks answered, {events:,} stored, {counters:,} counted")
    return failed + abs(events - right) + abs(counters - right)


def _print_locks(locks: Locks, visitors: Visitors, marks: list[float]) -> None:
    print("Locks on large tables:", *locks.lines(), sep="\n  ")
    _print_phases(visitors, marks)
    if locks.closed:
        during = visitors.under_way(min(locks.closed), max(locks.closed))
        longest = max((each.seconds for each in during), default=0) * 1000
        print(f"{len(during)} redirects during ACCESS EXCLUSIVE, longest {longest:,.0f} ms")


def _print_failures(visitors: Visitors) -> tuple[int, int]:
    """Returns how many redirects failed, and how many did not."""
    failed, answered = visitors.failed(), len(visitors.answers)
    print(f"{len(failed)} of {answered:,} redirects failed", *failed[:10], sep="\n  ")
    wrong = [each for each in visitors.writes if each]
    print(f"{len(wrong)} of {len(visitors.writes):,} writes failed", *wrong[:10], sep="\n  ")
    return len(failed), answered - len(failed)


def _slowest(statements: list[tuple[float, str]]) -> list[str]:
    return [f"{ms:10,.1f} ms  {sql[:80]}" for ms, sql in sorted(statements, reverse=True)[:8]]


def _print_phases(visitors: Visitors, marks: list[float]) -> None:
    names = ["before", "while the migrations ran", "old replicas on the new schema"]
    names += ["while worker and replicas were replaced", "afterwards", "the old ones again"]
    print(f"\n{'':42}{'seconds':>9}{'redirects':>11}{'longest ms':>12}")
    for name, began, ended in zip(names, marks, marks[1:], strict=False):
        seconds = [each.seconds for each in visitors.between(began, ended)]
        longest = max(seconds, default=0) * 1000
        print(f"{name:42}{ended - began:9.1f}{len(seconds):11,}{longest:12,.0f}")
    print()


def main() -> int:
    if len(sys.argv) != 2:
        print("make bench-upgrade OLD=<commit>", file=sys.stderr)
        return 1
    name, commit = last_release() if sys.argv[1] == "--last" else ("", sys.argv[1])
    if not commit:
        print(f"make test-upgrade did not run: this clone does not have {name}")
        return 0
    with ExitStack() as cleanup:
        tree = cleanup.enter_context(checkout(commit))
        try:
            installation = Installation(cleanup, tree)
        except Missing as missing:
            print(missing, file=sys.stderr)
            return 1
        port = installation.postgres.port
        dsn = f"host=127.0.0.1 port={port} user=holdfast dbname=holdfast"
        seconds = fill(dsn, LINKS, EVENTS, ROWS)
        print(f"{LINKS:,} links and {EVENTS:,} events made in {seconds:,.0f} s", flush=True)
        return 1 if _upgrade(installation, tree) else 0


if __name__ == "__main__":
    sys.exit(main())
