"""Loses PostgreSQL's leader in four ways under load, and counts each click: `make drill-ha`."""

from __future__ import annotations

import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any, NamedTuple

import psycopg2
import redis

from testkit.beside import Beside
from testkit.load import Client
from testkit.patroni import LOOP_WAIT, TTL, Cluster, Node
from testkit.poolers import HAProxy, PgBouncer
from testkit.rollups import miscounted
from testkit.servers import App, ClickWorker, Missing, Redis, Server, wait_for
from tests.drills.counted import Line, table
from tests.stack.load import Steady

ROUNDS = int(os.environ.get("ROUNDS", "1"))
ONLY = os.environ.get("ONLY", "")  # the lines whose names contain this
VIA = os.environ.get("VIA", "")  # haproxy, or pgbouncer before it; else libpq's list of hosts
LINKS, REDIRECTS_PER_SECOND, WRITERS = 100, 50, 5
_CALM_SECONDS, _LONGEST_SECONDS = 5, 300
_TAKEN_OVER = TTL + 2 * LOOP_WAIT + 10  # the key runs out, the standby sees it and is promoted
_STORED = (
    "SELECT details::json->>'user_agent', count(*) FROM events WHERE event_type = 'clicked'"
    " AND details LIKE %s GROUP BY 1"
)

_BETWEEN = {
    "": "Holdfast has the list of all servers:",
    "haproxy": "Holdfast has HAProxy's address:",
    "pgbouncer": "Holdfast has PgBouncer's address (transaction mode), and that HAProxy's:",
}


class Writes(Beside):
    """Makes links, one after the other in each of WRITERS threads; remembers the answers."""

    def __init__(self, port: int) -> None:
        super().__init__(*[self._work] * WRITERS)
        self._port, self._numbers = port, itertools.count()
        self._name = f"https://example.com/{time.time_ns()}"
        self.acknowledged: list[tuple[float, str]] = []  # monotonic time, original URL
        self.slowest = 0.0

    def _work(self) -> None:
        client = Client(self._port)
        while not self.over.wait(0.2):
            url, began = f"{self._name}/{next(self._numbers)}", time.monotonic()
            status, _, _ = client.request("POST", "/urls", {"original_url": url})
            ended = time.monotonic()
            self.slowest = max(self.slowest, ended - began)
            if status == 201:
                self.acknowledged.append((ended, url))
        client.close()

    def since(self, moment: float) -> int:
        return sum(at > moment for at, _ in self.acknowledged)

    def outage(self, since: float) -> float:
        """The longest time without an acknowledged write, in seconds."""
        times = [since, *sorted(at for at, _ in self.acknowledged if at > since)]
        return max((after - before for before, after in itertools.pairwise(times)), default=0.0)


class EasyOnTheDisk(Redis):
    """It is not lost here; on a slow disk it would answer too late with each sync."""

    def command(self) -> list[str]:
        return [*super().command(), "--appendfsync", "everysec"]


class Installation:
    """The cluster, Redis, a replica and the worker, with links that are cached."""

    def __init__(self, cleanup: ExitStack) -> None:
        self.redis = EasyOnTheDisk()
        _start(cleanup, self.redis)
        self.cluster = Cluster(cleanup)
        environ = {"DATABASE_URL": self._url(cleanup), "REDIS_URL": self.redis.url}
        self.app, self.worker = App(**environ), ClickWorker(**environ)
        _start(cleanup, self.app, self.worker)
        with closing(Client(self.app.port)) as client:
            bodies = [{"original_url": f"https://example.com/{n}"} for n in range(LINKS)]
            self.codes = [client.json("POST", "/urls", body)["short_code"] for body in bodies]

    def _url(self, cleanup: ExitStack) -> str:
        if not VIA:
            return self.cluster.url
        between: Any = HAProxy([(node.port, node.rest_port) for node in self.cluster.nodes])
        _start(cleanup, between)
        if VIA == "pgbouncer":
            between = PgBouncer(between)
            _start(cleanup, between)
        return str(between.url)

    def query(self, sql: str, *values: str) -> list[Any]:
        url = f"{self.cluster.url}?target_session_attrs=read-write"
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute(sql, values or None)
            return list(cursor.fetchall())

    def settle(self) -> None:
        """Waits until every click has left the stream for the database."""
        with redis.Redis.from_url(self.redis.url) as held:
            wait_for(lambda: held.xlen("clicks") == 0, what="the end of the stream")


def _start(cleanup: ExitStack, *servers: Server) -> None:
    for server in servers:
        cleanup.callback(server.destroy)
        server.start()


class Loss(NamedTuple):
    """A way to lose the leader; what it yields to is done while it is lost."""

    name: str
    lose: Callable[[Cluster, Node], Any]
    most_seconds: float  # without writes


@contextmanager
def _killed(_cluster: Cluster, leader: Node) -> Iterator[None]:
    leader.kill()
    yield
    leader.start()


@contextmanager
def _frozen(_cluster: Cluster, leader: Node) -> Iterator[None]:
    with leader.frozen():
        yield


@contextmanager
def _switched_over(cluster: Cluster, _leader: Node) -> Iterator[None]:
    cluster.switch_over()
    yield


@contextmanager
def _cut_off(_cluster: Cluster, leader: Node) -> Iterator[None]:
    leader.cut()
    try:
        yield
    finally:
        leader.mend()


LOSSES = [
    Loss("killed (-9), as its machine", _killed, _TAKEN_OVER),
    Loss("frozen (SIGSTOP)", _frozen, _TAKEN_OVER),
    Loss("switched over", _switched_over, 15),
    Loss("cut off the network", _cut_off, _TAKEN_OVER),
]


def run(place: Installation, loss: Loss) -> Line:
    """One loss under load, and its line of the table."""
    cluster, url = place.cluster, f"http://127.0.0.1:{place.app.port}"
    cluster.wait_whole()
    paths = [f"/{code}" for code in place.codes]
    with Steady(url, paths, REDIRECTS_PER_SECOND, 10, "ha") as load, Writes(place.app.port) as made:
        time.sleep(_CALM_SECONDS)
        began, leader = time.monotonic(), cluster.leader
        with loss.lose(cluster, leader):
            wait_for(lambda: cluster.has_leader_beside(leader), what="another leader")
            promoted = time.monotonic()
            wait_for(lambda: made.since(promoted) > WRITERS, what="writes")
            time.sleep(_CALM_SECONDS)
        cluster.wait_whole()
        time.sleep(_CALM_SECONDS)
    place.settle()
    line = Line(loss.name, made.outage(began), loss.most_seconds, made.slowest)
    stored = place.query(_STORED, f'%"{load.label}-%')
    targets = {f"/{code}": f"https://example.com/{n}" for n, code in enumerate(place.codes)}
    line.count_redirects(load.answers, targets, dict(stored))
    rows = place.query("SELECT original_url, count(*) FROM urls GROUP BY 1")
    line.count_writes([address for _, address in made.acknowledged], dict(rows))
    line.miscounted = len(miscounted(place.query))
    line.worker_lives = place.worker.running
    return line


def main() -> int:
    losses = [loss for loss in LOSSES if ONLY in loss.name]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("it took too long"))
    signal.alarm(_LONGEST_SECONDS * (1 + ROUNDS * len(losses)))
    try:
        with ExitStack() as cleanup:
            place, lines = Installation(cleanup), []
            for loss in losses * ROUNDS:
                lines.append(run(place, loss))
                print(lines[-1].row(), file=sys.stderr, flush=True)
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 1
    print(f"{_BETWEEN[VIA]}\n\n{table(lines)}")
    return int(not all(line.as_expected() for line in lines))


if __name__ == "__main__":
    sys.exit(main())
