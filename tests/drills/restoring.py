"""The drill that loses the database under load and restores its newest dump.

Prints what was lost, and for how long: `python -m tests.drills.restoring`.
"""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import redis

from testkit.rollups import miscounted
from testkit.servers import ROOT
from tests.drills.drill import Drill, Ground
from tests.drills.outcome import Outcome
from tests.stack import links
from tests.stack.compose import Stack, docker, fetch
from tests.stack.load import Answer, Steady
from tests.stack.pace import wait_for
from tests.stack.report import require

_BEHIND_SECONDS = 2
"""The newest clicks are still in Redis when the dump is made, and leave it afterwards."""

_REHEARSAL_SECONDS = 300

# What may have changed since the dump, and nothing else: clicks that were replayed, and bookkeeping
# that comes to its end.
_AS_DUMPED = {
    "urls": (
        "SELECT id, user_id, short_code, original_url, title, is_active, created_at, updated_at,"
        " deleted_at, version, click_count - (SELECT count(*) FROM events WHERE url_id = urls.id"
        " AND event_type = 'clicked' AND id > {events}) FROM urls"
    ),
    "events": "SELECT * FROM events WHERE id <= {events}",
    "click_claims": (
        "SELECT * FROM click_claims WHERE id <= {click_claims} AND extract(epoch FROM forget_at) >"
        " {due}"
    ),
    "facts": "SELECT * FROM facts WHERE name <> 'clicks'",
}
_MOVING = ("cache_updates", "click_journal", "click_days", "click_hours", "click_values")
"""Pending updates come to their end meanwhile; what is counted is compared with the events."""
_SUM = (
    "SELECT count(*), md5(string_agg(line, E'\\n' ORDER BY line COLLATE \"C\")) FROM (SELECT"
    " given::text AS line FROM ({}) AS given) AS lines"
)
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"

State = dict[str, tuple[int, str]]
"""Of each table the number of its rows, and the checksum of all of them."""


class View:
    """The database as one transaction sees it; `last` are the largest ids, after which rows came
    later, and `due`, the second until which
    claims may come to their end meanwhile."""

    def __init__(self, connection: Any, last: dict[str, int] | None = None) -> None:
        self._cursor = connection.cursor()
        self.last = last or {
            table: self.ask(f"SELECT coalesce(max(id), 0) FROM {table}")
            for table in ("events", "click_claims")
        }
        self.last.setdefault("due", int(time.time()) + _REHEARSAL_SECONDS)

    def ask(self, sql: str) -> Any:
        self._cursor.execute(sql)
        return self._cursor.fetchone()[0]

    def state(self) -> State:
        self._cursor.execute(_TABLES)
        found: State = {}
        for table in (table for (table,) in self._cursor.fetchall() if table not in _MOVING):
            self._cursor.execute(
                _SUM.format(_AS_DUMPED.get(table, f"SELECT * FROM {table}").format(**self.last))
            )
            found[table] = self._cursor.fetchone()
        return found


@contextmanager
def view(stack: Stack, last: dict[str, int] | None = None) -> Iterator[View]:
    login = {
        "host": stack.address("postgres"),
        "user": "holdfast",
        "dbname": "holdfast",
        "password": stack.secret("database_password"),
    }
    with closing(psycopg2.connect(**login)) as connection:
        connection.set_session("REPEATABLE READ")
        yield View(connection, last)


def run_script(stack: Stack, name: str, *arguments: str) -> tuple[float, str]:
    """After how many seconds it was done, and what it said."""
    began = time.monotonic()
    environ = {**stack.environ, "COMPOSE_PROJECT_NAME": stack.project}
    done = subprocess.run(
        [str(ROOT / "deploy" / name), *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=environ,
        timeout=150,
    )
    require(done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"[-2000:])
    return time.monotonic() - began, done.stdout


@dataclass
class Links:
    """Made before the dump, and what became of them after it."""

    base: str
    changed: Any
    deleted: Any
    later: list[str] = field(default_factory=list)

    @classmethod
    def make(cls, base: str) -> Links:
        changed, deleted = (
            links.call(base, "POST", "/urls", {"original_url": f"https://example.com/{name}"})
            for name in ("changed", "deleted")
        )
        return cls(base, changed, deleted)

    def go_on(self) -> None:
        links.call(
            self.base,
            "PUT",
            f"/urls/{self.changed['id']}",
            {"original_url": "https://example.com/newer"},
        )
        links.call(self.base, "DELETE", f"/urls/{self.deleted['id']}")
        self.later = links.make(self.base, 5)

    def check(self) -> None:
        """They are as dumped, although Redis had newer entries."""
        require(
            links.follow(self.base, self.changed["short_code"])
            == (302, "https://example.com/changed"),
            "a change that is lost is still followed",
        )
        require(
            links.follow(self.base, self.deleted["short_code"])[0] == 302,
            "a link whose deletion is lost does not work",
        )
        require(
            {links.follow(self.base, code)[0] for code in self.later} == {404},
            "links that are lost are still followed",
        )
        again = links.call(
            self.base, "POST", "/urls", {"original_url": "https://example.com/again"}
        )
        require(
            links.call(self.base, "GET", f"/urls/{again['id']}")["click_count"] == 0,
            "a new link has the clicks of a lost one",
        )


@dataclass
class Rehearsal:
    """What happened when, and what there was."""

    load: Steady
    targets: dict[str, str]
    dumped: float = 0.0
    destroyed: float = 0.0
    dump_seconds: float = 0.0
    restore_seconds: float = 0.0
    restore_said: str = ""
    waiting: int = 0
    tables: list[tuple[str, tuple[int, str], tuple[int, str]]] = field(default_factory=list)
    stored: Counter[str] = field(default_factory=Counter)
    miscounted: list[str] = field(default_factory=list)

    def answered(self) -> list[Answer]:
        return [answer for answer in self.load.answers if answer.status == 302]

    def lost(self) -> list[Answer]:
        return [answer for answer in self.answered() if answer.name not in self.stored]

    def away(self) -> float:
        """For how long not every redirect was answered."""
        bad = [
            answer.at
            for answer in self.load.answers
            if "?" not in answer.path and answer.status != 302
        ]
        return max(bad) - min(bad) if bad else 0.0

    def wrong(self) -> list[str]:
        since, until = self.dumped - _BEHIND_SECONDS, self.destroyed
        told = {
            "tables that differ from the dump": [
                name for name, before, after in self.tables if before != after
            ],
            "redirects to a wrong place": [
                answer.name
                for answer in self.answered()
                if answer.location != self.targets[answer.path]
            ],
            "clicks stored twice": [name for name, times in self.stored.items() if times > 1],
            "roll-ups that differ from the events": self.miscounted,
            "clicks lost that were answered before the dump, or after the end of the database": [
                answer.name for answer in self.lost() if not since <= answer.at <= until
            ],
        }
        return [
            f"{len(names)} {words}: {', '.join(names[:3])}"
            for words, names in told.items()
            if names
        ]

    def report(self) -> str:
        after = {answer.name for answer in self.answered() if answer.at > self.destroyed}
        lines = [
            f"{name:16}{rows:>8,} rows {'equal' if (rows, digest) == restored else 'DIFFERENT'}"
            for name, (rows, digest), restored in self.tables
        ]
        return "\n".join(
            [
                self.restore_said,
                *lines,
                (
                    "recovery point: links and users as of the dump,"
                    f" {self.destroyed - self.dumped:.1f} s before the database was lost; of"
                    f" {len(self.answered())} clicks {len(self.lost())} are lost"
                ),
                (
                    f"of the {len(after)} clicks answered since the database was lost,"
                    f" {len(after & self.stored.keys())} are stored; {self.waiting} waited in Redis"
                    " when the restore began"
                ),
                (
                    f"recovery time: {self.restore_seconds:.1f} s for deploy/restore.sh; not every"
                    f" redirect was answered for {self.away():.1f} s; the dump took"
                    f" {self.dump_seconds:.1f} s"
                ),
            ]
        )


def rehearse(stack: Stack) -> Rehearsal:
    """Dumps under load, goes on, destroys PostgreSQL with its volume, lets it come back empty,
    restores, and compares.
    """
    codes, own = links.make(stack.url(), 30), Links.make(stack.url())
    with (
        tempfile.TemporaryDirectory() as folder,
        Steady(stack.url(), links.mixed(codes), 100, label="restore") as load,
    ):
        done, dump = (
            Rehearsal(
                load,
                {f"/{code}": f"https://example.com/{number}" for number, code in enumerate(codes)},
            ),
            f"{folder}/holdfast.dump",
        )
        _wait_answers(load, 300)
        with view(stack) as at_dump:
            done.dumped = time.monotonic()
            done.dump_seconds, _ = run_script(
                stack, "backup.sh", dump, f"--snapshot={at_dump.ask('SELECT pg_export_snapshot()')}"
            )
            before, last = at_dump.state(), at_dump.last
        own.go_on()
        _wait_answers(load, 300)
        _destroy(stack, done)
        _wait_answers(load, 300)
        _come_back_without(stack)
        _wait_answers(load, 300)
        done.waiting = _waiting(stack)
        done.restore_seconds, done.restore_said = run_script(stack, "restore.sh", dump)
        _wait_answers(load, 300)
    wait_for(lambda: _waiting(stack) == 0, what="an empty stream")
    with view(stack, last) as restored:
        after = restored.state()
    done.tables = [(name, state, after.get(name, (0, ""))) for name, state in before.items()]
    done.stored = _stored(stack, load.label)
    done.miscounted = miscounted(stack.rows)
    own.check()
    return done


def _wait_answers(load: Steady, count: int) -> None:
    """So many redirects more."""
    wanted = sum(answer.status == 302 for answer in list(load.answers)) + count
    wait_for(
        lambda: sum(answer.status == 302 for answer in list(load.answers)) >= wanted,
        60,
        f"{count} redirects",
    )


def _destroy(stack: Stack, done: Rehearsal) -> None:
    docker("rm", "-f", f"{stack.project}-postgres-1")
    done.destroyed = time.monotonic()
    docker("volume", "rm", f"{stack.project}_postgres")


def _come_back_without(stack: Stack) -> None:
    """As a host does whose disk is lost: PostgreSQL starts on a new one, and so do a replica and
    the worker. They must not make it theirs, for clicks wait.
    """
    stack.compose("up", "-d", "--no-deps", "--wait", "postgres")
    docker("restart", f"{stack.project}-app1-1", f"{stack.project}-worker-1")
    stack.wait_healthy("app1")
    wait_for(
        lambda: "it has no tables" in stack.compose("logs", "--since", "1m", "worker"),
        what="the worker's complaint that the tables are gone",
    )
    status, body, _ = fetch(f"http://{stack.address('app1', 'front')}:8000/health/ready")
    require(
        (status, b"tables are missing" in body, b"schema not applied" in body) == (503, True, True),
        f"a replica on an empty database says {body!r}",
    )
    require(
        stack.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").strip() == "0",
        "tables were made in the place of the lost ones",
    )


def _waiting(stack: Stack) -> int:
    with closing(redis.Redis.from_url(stack.redis_url(), socket_timeout=5)) as client:
        return int(client.xlen("clicks"))


def _stored(stack: Stack, label: str) -> Counter[str]:
    agent = "(details::json)->>'user_agent'"
    rows = stack.sql(
        f"SELECT {agent}, count(*) FROM events WHERE event_type = 'clicked' AND details LIKE"
        f" '%\"{label}-%' GROUP BY 1"
    )
    return Counter(
        {name: int(count) for name, count in (row.rsplit("|", 1) for row in rows.splitlines())}
    )


def _restore(ground: Ground) -> None:
    done = rehearse(ground.stack)
    print(done.report(), flush=True)
    failed = sum(answer.status not in (200, 302, 503) for answer in done.load.answers)
    refused = sum(answer.status == 503 for answer in done.load.answers)
    answered, stored = len(done.answered()), len(done.answered()) - len(done.lost())
    line = Outcome(
        "database-lost",
        len(done.load.answers),
        failed,
        refused,
        answered,
        stored,
        recovered=done.restore_seconds,
        wrong=done.wrong(),
    )
    ground.outcomes.append(line)


DRILLS = [Drill("database-lost", _restore)]


@contextmanager
def serving() -> Iterator[Stack]:
    """A stack without those who watch it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))  # so that it is stopped, too
    stack = Stack(f"hf{secrets.token_hex(3)}", AUTO_SEED="true")
    try:
        stack.compose("up", "--build", "-d", "--wait", "nginx", "worker", timeout=300)
        yield stack
    finally:
        stack.down()


def main() -> int:
    with serving() as stack:
        done = rehearse(stack)
    print(done.report(), *done.wrong(), sep="\n")
    return 1 if done.wrong() else 0


if __name__ == "__main__":
    sys.exit(main())
