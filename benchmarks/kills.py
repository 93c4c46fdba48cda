"""Counts every click while each part is killed during 20,000 redirects: `make bench-kills`."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import sys
import time
from array import array
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psycopg2
import redis as redis_client
import uvloop

from testkit.load import Client
from testkit.rollups import miscounted
from testkit.servers import App, ClickWorker, Missing, Postgres, Redis, Server, wait_for

RUNS = int(os.environ.get("RUNS", "20"))
REQUESTS = int(os.environ.get("REQUESTS", "20000"))
ONLY = os.environ.get("ONLY", "")  # the kinds whose names contain this
CONNECTIONS, REPLICAS, LINKS = 30, 3, 1000
CUT_OFF, WRONG = 0, 1
"""In place of a status: the connection broke before the answer; the 302 had another target."""

_LINKS = f"""
INSERT INTO urls (short_code, original_url, is_active, created_at, updated_at)
SELECT 'c' || lpad(n::text, 5, '0'), 'https://example.com/page/' || lpad(n::text, 5, '0'), true,
    now(), now() FROM generate_series(0, {LINKS - 1}) AS n
"""
_STORED = (
    "SELECT details::json->>'user_agent', details::json->>'short_code' FROM events WHERE event_type"
    " = 'clicked' AND details LIKE %s"
)
_MISCOUNTED = (
    "SELECT count(*) FROM urls WHERE click_count <> (SELECT count(*) FROM events WHERE url_id ="
    " urls.id AND event_type = 'clicked')"
)


class SyncsEverySecond(Redis):
    """Redis as it comes: it answers before a write is on the disk.

    For comparison: it may lose clicks.
    """

    def command(self) -> list[str]:
        return [*super().command(), "--appendfsync", "everysec"]


class Installation:
    """PostgreSQL, Redis, three replicas and the worker, with 1,000 links, all of them cached."""

    def __init__(self, cleanup: ExitStack, redis: type[Redis]) -> None:
        self.postgres, self.redis = Postgres(), redis()
        self._start(cleanup, self.postgres, self.redis)
        environ = {"DATABASE_URL": self.postgres.url, "REDIS_URL": self.redis.url}
        self.apps = [App(**environ) for _ in range(REPLICAS)]
        self._start(cleanup, *self.apps)
        client = Client(self.apps[0].port)
        wait_for(lambda: client.request("GET", "/health/ready")[0] == 200, what="the schema")
        client.close()
        self.query(_LINKS)
        self.worker = ClickWorker(**environ)
        self._start(cleanup, self.worker)

    def _start(self, cleanup: ExitStack, *servers: Server) -> None:
        for server in servers:
            cleanup.callback(server.destroy)
            server.start()

    def query(self, sql: str, *values: str) -> list[Any]:
        with (
            closing(psycopg2.connect(self.postgres.url.replace("+pool", ""))) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(sql, values)
            return list(cursor.fetchall()) if cursor.description else []

    def settle(self) -> None:
        """Waits until every click has left the stream for the database."""
        with redis_client.Redis.from_url(self.redis.url) as held:
            wait_for(lambda: held.xlen("clicks") == 0, 60, "the end of the stream")


class Load:
    """REQUESTS redirects at full speed.

    The User-Agent of each is its number, by which its click is found.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.links = [random.randrange(LINKS) for _ in range(REQUESTS)]
        self.statuses = array("H", [CUT_OFF]) * REQUESTS
        self.slowest, self.seconds, self.meanwhile = 0.0, 0.0, 0
        self._numbers = iter(range(REQUESTS))
        self.done = 0

    async def follow(self, port: int) -> None:
        """One client, with one connection that is opened again when it breaks."""
        loop, line = asyncio.get_running_loop(), None
        for number in self._numbers:
            began = loop.time()
            line = line or _connected(port)
            self.statuses[number] = await self._ask(line, number)
            if self.statuses[number] != 302:
                line.close()
                line = None
            self.slowest = max(self.slowest, loop.time() - began)
            self.done += 1
        if line is not None:
            line.close()

    async def _ask(self, line: socket.socket, number: int) -> int:
        loop, link = asyncio.get_running_loop(), self.links[number]
        answer = b""
        try:
            agent = f"{self.name}-{number}"
            head = f"GET /c{link:05} HTTP/1.1\r\nHost: x\r\nUser-Agent: {agent}\r\n\r\n"
            await loop.sock_sendall(line, head.encode())
            while b"\r\n\r\n" not in answer:
                chunk = await loop.sock_recv(line, 4096)
                if not chunk:
                    return CUT_OFF
                answer += chunk
        except ConnectionError:
            return CUT_OFF
        status = int(answer[9:12])
        return (
            WRONG
            if status == 302
            and f"\r\nlocation: https://example.com/page/{link:05}\r\n".encode()
            not in answer.lower()
            else status
        )

    async def reach(self, share: float) -> None:
        """Waits until that share of the redirects is done."""
        while self.done < share * REQUESTS:
            await asyncio.sleep(0.01)


def _connected(port: int) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", port))
    line.setblocking(False)
    return line


class Kind(NamedTuple):
    """The part to kill and to start again.

    None: a worker process, which its master replaces.
    """

    name: str
    part: Callable[[Installation], Server] | None = None
    redis: type[Redis] = Redis

    def kill(self, installation: Installation) -> None:
        if self.part:
            self.part(installation).kill()
        else:
            os.kill(random.choice(installation.apps).children()[0], signal.SIGKILL)

    def start(self, installation: Installation) -> None:
        if self.part:
            self.part(installation).start()


KINDS = [
    Kind("application process"),
    Kind("worker", lambda one: one.worker),
    Kind("PostgreSQL", lambda one: one.postgres),
    Kind("Redis, appendfsync always", lambda one: one.redis),
    Kind("Redis, appendfsync everysec", lambda one: one.redis, SyncsEverySecond),
]


@dataclass
class Total:
    """What became of all requests of one kind."""

    kind: Kind
    found: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    seconds: float = 0.0

    def add(self, load: Load, installation: Installation) -> None:
        rows = installation.query(_STORED, f'%"{load.name}-%')
        stored = Counter((int(agent.rpartition("-")[2]), code) for agent, code in rows)
        clicks = [stored.pop((number, f"c{link:05}"), 0) for number, link in enumerate(load.links)]
        for status, count in zip(load.statuses, clicks, strict=True):
            self.found[{302: "answered", CUT_OFF: "cut off"}.get(status, "refused")] += 1
            self.found["lost"] += status == 302 and not count
            self.found["double"] += max(0, count - 1)
            self.found["unanswered"] += status == CUT_OFF and count > 0
            self.found["astray"] += status not in (302, CUT_OFF) and count > 0
        self.found["astray"] += sum(stored.values()) + installation.query(_MISCOUNTED)[0][0]
        wrong = miscounted(installation.query)
        self.found["miscounted"] += len(wrong)
        print(*wrong[:3], sep="\n", end="\n" * bool(wrong), file=sys.stderr)
        self.found["runs"] += 1
        self.found["meanwhile"] += load.meanwhile
        self.seconds += load.seconds
        self.slowest = max(self.slowest, load.slowest)

    def wrong(self) -> bool:
        """Requests may be cut off that the killed process had.

        Clicks may be lost only by a Redis that does not sync each write.
        """
        most = 0 if self.kind.part else self.found["runs"] * CONNECTIONS // REPLICAS
        lost = ("lost",) if self.kind.redis is Redis else ()
        wrong = ("double", "astray", "refused", "miscounted", *lost)
        return self.found["cut off"] > most or any(self.found[name] for name in wrong)

    def line(self) -> str:
        figures = "".join(f"{self.found[name]:>{len(name) + 3},}" for name in COLUMNS)
        rate = self.found["runs"] * REQUESTS / self.seconds
        return f"{self.kind.name:28}{figures}{self.slowest:10.2f}{rate:8,.0f}"


COLUMNS = (
    "runs",
    "answered",
    "meanwhile",
    "refused",
    "cut off",
    "lost",
    "double",
    "unanswered",
    "astray",
    "miscounted",
)
_LEGEND = """
meanwhile: redirects until the part was back
refused: any other answer than the right 302
cut off: in flight when their process died
unanswered: clicks of those
astray: clicks of refused requests or of none, and links whose counter is not that of their events
miscounted: roll-ups that are not those of the events
slowest: seconds of the longest redirect
"""


async def _run(kind: Kind, installation: Installation, name: str) -> Load:
    load, began = Load(name), time.monotonic()
    clients = asyncio.gather(
        *(load.follow(installation.apps[number % REPLICAS].port) for number in range(CONNECTIONS))
    )
    share = random.uniform(0.2, 0.6)
    await load.reach(share)
    await asyncio.to_thread(kind.kill, installation)
    killed = load.done
    await load.reach(share + random.uniform(0, 0.3))
    await asyncio.to_thread(kind.start, installation)
    load.meanwhile = load.done - killed
    await clients
    load.seconds = time.monotonic() - began
    return load


def _total(kind: Kind) -> Total:
    total = Total(kind)
    with ExitStack() as cleanup:
        installation = Installation(cleanup, kind.redis)
        for number in range(RUNS):
            load = uvloop.run(_run(kind, installation, f"run-{number}"))
            installation.settle()
            total.add(load, installation)
            print(f"{number + 1} of {RUNS}: {total.line()}", file=sys.stderr, flush=True)
    return total


def main() -> int:
    kinds = [kind for kind in KINDS if ONLY.lower() in kind.name.lower()]
    if not kinds:
        sys.exit(f"no kind has {ONLY!r} in its name")
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit("told to stop")
    )  # so that what was started is stopped, too
    try:
        totals = [_total(kind) for kind in kinds]
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 1
    print(
        f"\n{REQUESTS:,} redirects over {CONNECTIONS} connections to {REPLICAS} replicas in each"
        " run, one kill -9 in the middle\n"
    )
    print(f"{'':28}" + "".join(f"   {name}" for name in COLUMNS) + "   slowest   per s")
    print(*(total.line() for total in totals), _LEGEND, sep="\n")
    return int(any(total.wrong() for total in totals))


if __name__ == "__main__":
    sys.exit(main())
