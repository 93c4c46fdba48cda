"""What every endpoint costs, beside plain Flask answering the same: `make bench-endpoints`."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import psycopg2
import redis as redis_client

from benchmarks.cases import CASES, Case
from benchmarks.senders import CONNECTIONS, Answer, Sender
from testkit import service
from testkit.servers import Missing, wait_for
from testkit.stack import SERVING, Stack

ROUNDS = int(os.environ.get("ROUNDS", "5"))
REQUESTS = int(os.environ.get("REQUESTS", "400"))
_COUNTED, _COUNTS = 16, 5
_WARM_UP = 100  # the first requests of a process are dearer
_PARTS = ("app", "worker", "postgres", "redis", "nginx")
_FLASK = [*SERVING, "testkit.floors:constant_answers()"]
_NOT_OURS = frozenset(("date", "server", "connection", "content-length", "transfer-encoding"))
_ROWS = """
INSERT INTO users (username, email, created_at) VALUES ('bench', 'bench@example.com', now());
INSERT INTO urls (short_code, original_url, is_active, created_at, updated_at)
SELECT 'D' || lpad(n::text, 5, '0'), 'https://example.com/dead', false, now(), now()
FROM generate_series(0, 99) AS n;
INSERT INTO api_keys (name, scope, hash, created_at)
SELECT 'k' || n, 'read', n::text, now() FROM generate_series(1, 2) AS n;
"""
_DELETABLE = {
    "users": """INSERT INTO users (username, email, created_at)
        SELECT 'd' || n, n || '@example.com', now()""",
    "urls": """INSERT INTO urls (short_code, original_url, is_active, created_at, updated_at)
        SELECT 'X' || n, 'https://example.com/', true, now(), now()""",
    "events": "INSERT INTO events (event_type, timestamp, details) SELECT 'shared', now(), '{}'",
}


class Counts(NamedTuple):
    """PostgreSQL's statements and new sessions, and Redis' reads, for one request."""

    statements: float
    sessions: float
    redis: float


class Ground:
    """The stack of docker-compose.yml with its settings, and rows that may be deleted."""

    def __init__(self, cleanup: ExitStack) -> None:
        self.served = service.Served(cleanup)
        self.stack = self.served.stack
        self.redis = redis_client.Redis.from_url(self.served.redis.url)
        cleanup.callback(self.redis.close)
        self._sql(_ROWS)
        rows = _WARM_UP + REQUESTS * ROUNDS + _COUNTED * _COUNTS
        self.deletable = {table: self._add(table, sql, rows) for table, sql in _DELETABLE.items()}

    def _add(self, table: str, sql: str, rows: int) -> int:
        """The first id of so many new rows."""
        return int(self._sql(f"{sql} FROM generate_series(1, {rows}) AS n RETURNING id")[0][0])

    def _sql(self, sql: str) -> list[tuple[int]]:
        connection = psycopg2.connect(**self.served.address)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(sql)
            found = cursor.fetchall() if cursor.description else []
        connection.close()
        return found

    def cpu_seconds(self) -> dict[str, float]:
        """After the last click is in the database, as storing it belongs to the cost."""
        wait_for(lambda: self.redis.xlen("clicks") == 0, 60, "the last click in the database")
        return self.stack.cpu_seconds()

    def end_worker(self) -> None:
        """It asks by itself; its last turn ends first, so that it leaves no lock behind."""
        worker = self.stack.parts["worker"][0].master_pid or 0
        os.kill(worker, signal.SIGTERM)
        state = Path(f"/proc/{worker}/stat")
        wait_for(lambda: ") Z " in state.read_text(), what="the end of the worker")

    def count(self, sender: Sender) -> tuple[Counts, list[str]]:
        """The medians of some counts, and how the statements begin that were counted.

        One count may have more: where Redis is slow on a busy machine, PostgreSQL does its part.
        """
        counts, statements = [], list[str]()
        for _ in range(_COUNTS):
            count, more = self._count(sender)
            counts.append(count)
            statements += more
        return Counts(*map(median, zip(*counts, strict=True))), statements

    def _count(self, sender: Sender) -> tuple[Counts, list[str]]:
        """PostgreSQL's log has a line for each statement and each session."""
        log, reads = self.served.postgres.folder / "log", self._reads()
        seen = log.stat().st_size
        sender.send(_COUNTED)
        more_reads, text = self._reads(), log.read_bytes()[seen:].decode(errors="replace")
        statements, sessions = re.findall(_STATEMENT, text), text.count("connection received")
        numbers = len(statements), sessions, more_reads - reads - 1
        return Counts(*(number / _COUNTED for number in numbers)), statements

    def _reads(self) -> int:
        return int(self.redis.info("stats")["total_reads_processed"])

    def log_statements(self) -> None:
        self._sql("ALTER SYSTEM SET log_statement = 'all'")
        self._sql("ALTER SYSTEM SET log_connections = on")
        self._sql("SELECT pg_reload_conf()")
        wait_for(lambda: self._sql("SHOW log_statement")[0] == ("all",), what="PostgreSQL's log")


# Not counted: bans, which each process reads from time to time, however many requests there are,
# and the first statement of a session, which is counted as that.
_STATEMENT = (
    r"LOG:  statement: (?!SELECT host FROM banned_hosts|\s*SELECT set_config\(name)\s*(.{,80})"
)


class Measured(NamedTuple):
    case: Case
    counts: Counts
    statements: list[str]  # how those began that were counted
    costs: list[tuple[dict[str, float], float]]  # of each round: our parts, and plain Flask

    def line(self) -> str:
        parts = [median(ours[part] for ours, _ in self.costs) for part in _PARTS]
        cost = median(sum(ours.values()) for ours, _ in self.costs)
        plain = median(plain for _, plain in self.costs)
        ratio = median(sum(ours.values()) / (plain or math.inf) for ours, plain in self.costs)
        figures = "".join(f"{part:9,.0f}" for part in parts)
        counts = "".join(f"{count:7.1f}" for count in self.counts)
        return f"{self.case.name:28}{cost:7,.0f}{plain:7,.0f}{ratio:7.1f}{figures}{counts}"


_SERVERS = "".join(f"{part:>9}" for part in _PARTS)
_HEADING = f"{'':28}{'CPU us':>7}{'Flask':>7}{'ratio':>7}{_SERVERS}{'SQL':>7}{'new':>7}{'Redis':>7}"


def _flask(cleanup: ExitStack, answers: list[Answer]) -> Stack:
    """The same answer for each case, by as many replicas behind the same Nginx."""
    stack = Stack(cleanup)
    kept = stack.folder / "answers"
    kept.write_text(json.dumps([_kept(*answer) for answer in answers]))
    stack.replicas(_FLASK, [{"ANSWERS": str(kept)}] * service.REPLICAS)
    service.front_door(stack)
    return stack


def _kept(status: int, headers: list[tuple[str, str]], body: bytes) -> tuple[int, Any, str]:
    ours = [(name, value) for name, value in headers if name.lower() not in _NOT_OURS]
    return status, ours, body.decode("latin-1")


def _cost(stack: Stack | Ground, sender: Sender) -> dict[str, float]:
    before = stack.cpu_seconds()
    sender.send(REQUESTS)
    after = stack.cpu_seconds()
    return {part: (after[part] - before[part]) / REQUESTS * 1e6 for part in after}


def measure(cases: list[Case], cleanup: ExitStack) -> list[Measured]:
    ground = Ground(cleanup)
    port, deletable = ground.stack.port, ground.deletable
    ours = [Sender(case, number, port, deletable) for number, case in enumerate(cases)]
    flask = _flask(cleanup, [sender.send(_WARM_UP) for sender in ours])
    plain = [Sender(case, number, flask.port, deletable) for number, case in enumerate(cases)]
    for sender in plain:
        sender.send(_WARM_UP)
    costs: list[list[tuple[dict[str, float], float]]] = [[] for _ in cases]
    for number in range(ROUNDS):
        for cost, sender, beside in zip(costs, ours, plain, strict=True):
            cost.append((_cost(ground, sender), sum(_cost(flask, beside).values())))
        print(f"round {number + 1} of {ROUNDS}", file=sys.stderr, flush=True)
    ground.end_worker()
    ground.log_statements()
    counts = [ground.count(sender) for sender in ours]
    return [
        Measured(case, *count, cost) for case, count, cost in zip(cases, counts, costs, strict=True)
    ]


_WORDS = """{requests} requests over {connections} connections to Nginx and three replicas,
medians of {rounds} rounds in turn; CPU microseconds per request
Flask: plain Flask with the same answers, as many replicas, the same Nginx
SQL and Redis: round trips of one request, the median of {counts} counts
new: sessions that PostgreSQL began for it
"""


def main() -> int:
    wanted = os.environ.get("ONLY", "")
    with ExitStack() as cleanup:
        try:
            measured = measure([case for case in CASES if wanted in case.name], cleanup)
        except Missing as missing:
            print(missing, file=sys.stderr)
            return 1
    print(_WORDS.format(requests=REQUESTS, connections=CONNECTIONS, rounds=ROUNDS, counts=_COUNTS))
    print(_HEADING, *(each.line() for each in measured), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
