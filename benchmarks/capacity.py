"""The figures of docs/capacity.md: bytes of a link and a click, the rate of a core and of a drain.

`make bench-capacity`; LINKS (1,000,000) and EVENTS (5,000,000) in PostgreSQL, CLICKS
(200,000) for the drain, CACHED (1,000,000) links in Redis. It needs about 4 GB of disk for a while.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import islice
from statistics import median
from typing import Any

import psycopg2
import redis as redis_client

from app.redirects.clicks import Click, visitor
from app.redirects.connection import STREAM
from app.redirects.links import ACTIVE, Link, cache, put_commands
from benchmarks.redirects import REQUESTS, Contender, Holdfast
from benchmarks.rows import ROWS, fill
from testkit.servers import ClickWorker, Missing, Redis, wait_for
from testkit.service import SafePostgres
from testkit.stack import Stack, need

LINKS = int(os.environ.get("LINKS", "1000000"))
EVENTS = int(os.environ.get("EVENTS", "5000000"))
CLICKS = int(os.environ.get("CLICKS", "200000"))
CACHED = int(os.environ.get("CACHED", "1000000"))
FEW = 1000
_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0"
    " Safari/537.36"
)
_SIZES = """
SELECT relname, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class
WHERE relkind = 'r' AND relname IN ({}) ORDER BY 1
"""
_WRITTEN = "SELECT pg_current_wal_lsn() - '0/0'"
_CLICKED = ("events", "click_claims", "click_journal", "click_hours", "click_values", "click_days")


class Stores:
    """PostgreSQL that syncs each commit, and Redis that syncs each write, with the schema."""

    def __init__(self, cleanup: ExitStack) -> None:
        self.stack = Stack(cleanup)
        self.postgres, self.redis = SafePostgres(), Redis()
        for server in (self.postgres, self.redis):
            cleanup.callback(server.destroy)
            server.start()
            assert server.process is not None
            self.stack.watch(type(server).__name__, server.process.pid)
        self.environ = {"DATABASE_URL": self.postgres.url, "REDIS_URL": self.redis.url}
        schema = [sys.executable, "-m", "app", "migrate"]
        subprocess.run(schema, check=True, env={**os.environ, **self.environ}, capture_output=True)
        self.dsn = f"host=127.0.0.1 port={self.postgres.port} user=holdfast dbname=holdfast"
        self.client = redis_client.Redis.from_url(self.redis.url)

    def query(self, sql: str) -> list[Any]:
        with closing(psycopg2.connect(self.dsn)) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []

    def used(self) -> int:
        return int(self.client.info("memory")["used_memory"])

    def sizes(self, *tables: str) -> dict[str, tuple[int, int]]:
        """Bytes of rows and of indexes."""
        names = ", ".join(f"'{table}'" for table in tables)
        return {name: (rows, indexes) for name, rows, indexes in self.query(_SIZES.format(names))}


def say(what: str, figure: str) -> None:
    print(f"| {what} | {figure} |", flush=True)


def measure_rows(stores: Stores) -> None:
    """Bytes of a link and an event in PostgreSQL, and seconds of a dump."""
    seconds = fill(stores.dsn, LINKS, EVENTS, ROWS)
    say(f"{LINKS:,} links and {EVENTS:,} events made in PostgreSQL", f"{seconds:,.0f} s")
    for table, number in (("urls", LINKS), ("events", EVENTS)):
        rows, indexes = stores.sizes(table)[table]
        say(
            f"PostgreSQL, bytes of a row of `{table}`",
            f"{rows / number:.0f} and {indexes / number:.0f} of indexes",
        )
    began = time.monotonic()
    dump = ["pg_dump", "--format=custom", f"--dbname={stores.dsn}"]
    subprocess.run(
        [need(dump[0], "postgresql-client"), *dump[1:]], check=True, stdout=subprocess.DEVNULL
    )
    say("seconds of a dump, per million events", f"{(time.monotonic() - began) / EVENTS * 1e6:.1f}")


class Unwritten(Redis):
    """Redis without its file: it needs no disk, and the same memory."""

    def command(self) -> list[str]:
        return [*super().command(), "--appendonly", "no"]


def measure_cache(cleanup: ExitStack) -> None:
    """Bytes of a cached link in Redis."""
    redis = Unwritten()
    cleanup.callback(redis.destroy)
    redis.start()
    cache.bind(86400)
    with redis_client.Redis.from_url(redis.url) as client:
        before, began = client.info("memory")["used_memory"], time.monotonic()
        links = ((f"g{number:09}", _link(number).text()) for number in range(1, CACHED + 1))
        while batch := list(islice(links, 1000)):
            with client.pipeline(transaction=False) as pipeline:
                for command in put_commands(batch):
                    pipeline.execute_command(*command)
                pipeline.execute()
        used = client.info("memory")["used_memory"] - before
        held, seconds = client.dbsize(), time.monotonic() - began
    say(f"{held:,} links put into Redis", f"{seconds:,.0f} s; {used / 2**20:,.0f} MiB")
    say("Redis, bytes of a cached link", f"{used / held:.0f}")


def _link(number: int) -> Link:
    return Link(ACTIVE, 1, number, f"https://example.com/page/{number}")


def start_worker(stores: Stores, cleanup: ExitStack) -> ClickWorker:
    """A worker that has put the active links into Redis, as far as Redis answered in time."""
    worker = ClickWorker(**stores.environ)
    cleanup.callback(worker.destroy)
    with (worker.folder / "output").open("wb") as output:
        command, options = worker.command(), worker.options()
        worker.process = subprocess.Popen(command, stdout=output, stderr=output, **options)
    wait_for(worker.answers, 3600, "the cache's warm-up")
    stores.stack.watch("worker", worker.process.pid)
    return worker


def measure_ids(stores: Stores) -> None:
    """What one event costs that is found by its id."""
    plan = stores.query(f"EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM events WHERE id = {EVENTS // 2}")
    say(f"one of {EVENTS:,} events by its id", "; ".join(line.strip() for (line,) in plan[:2]))


def clicks(links: int) -> Iterator[str]:
    """What the front appends to the stream, for clicks on so many links in turn."""
    for number in range(CLICKS):
        url_id = 1 + number % links
        url_id -= url_id % 6 == 0  # each sixth is not active
        code = f"g{url_id:09}"
        yield Click(code, visitor("203.0.113.0", _AGENT, "")).line() + _link(url_id).text()


def fill_stream(stores: Stores, links: int) -> None:
    waiting = clicks(links)
    while batch := list(islice(waiting, 1000)):
        with stores.client.pipeline(transaction=False) as pipeline:
            for click in batch:
                pipeline.xadd(STREAM, {"click": click})
            pipeline.execute()


def measure_drain(stores: Stores, worker: ClickWorker, links: int) -> None:
    """How fast one worker empties the stream, and the CPU time of each part."""
    before, memory = stores.sizes(*_CLICKED), stores.used()
    with worker.frozen():
        fill_stream(stores, links)
        waiting = (stores.used() - memory) / CLICKS
        cpu, [(written,)] = stores.stack.cpu_seconds(), stores.query(_WRITTEN)
    began = time.monotonic()
    wait_for(lambda: stores.client.xlen(STREAM) == 0, 600, "the drain")
    seconds = time.monotonic() - began
    used = {name: now - cpu[name] for name, now in stores.stack.cpu_seconds().items()}
    shares = ", ".join(f"{name} {each / CLICKS * 1e6:.0f}" for name, each in used.items())
    said = f"{CLICKS / seconds:,.0f} clicks a second; CPU us per click: {shares}"
    say(f"one drain, clicks on {links:,} links in turn", said)
    wait_for(lambda: not stores.query("SELECT 1 FROM click_journal LIMIT 1"), 300, "the fold")
    logged = (int(stores.query(_WRITTEN)[0][0]) - int(written)) / CLICKS
    grown = _growth(before, stores.sizes(*_CLICKED)) / CLICKS
    said = (
        f"{waiting:.0f} in Redis while it waits; {grown:.0f} in PostgreSQL; {logged:.0f} of its log"
    )
    say("bytes of such a click", said)


def _growth(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> int:
    return sum(sum(sizes) - sum(before[name]) for name, sizes in after.items())


def measure_front() -> None:
    """CPU time of cached redirects, as `make bench` has it: the median of three runs."""
    with ExitStack() as cleanup:
        service = Holdfast(cleanup, front=True)
        ways = (
            ("Nginx and 3 replicas", service.stack.port),
            ("one replica", service.stack.replica_ports[0]),
        )
        for name, port in ways:
            contender = Contender(name, service.stack, port, "", service.settle, service.verify)
            contender.run(REQUESTS // 4)  # the first requests of a process are dearer
            runs = [contender.run(REQUESTS).parts for _ in range(3)]
            used = {part: median(run[part] for run in runs) for part in runs[0]}
            parts = ", ".join(f"{part} {each:.0f}" for part, each in used.items())
            say(f"cached redirect, {name}, CPU us", f"{sum(used.values()):.0f}: {parts}")
            say("one core of replicas bears", f"{1e6 / used['app']:,.0f} redirects a second")


def main() -> int:
    # So that what was started is stopped, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))
    try:
        print("| | |\n|---|---|")
        with ExitStack() as cleanup:
            measure_cache(cleanup)
        with ExitStack() as cleanup:
            stores = Stores(cleanup)
            measure_rows(stores)
            measure_ids(stores)
            worker = start_worker(stores, cleanup)
            for links in (FEW, LINKS):
                measure_drain(stores, worker, links)
        measure_front()
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
