"""Drills on killed imports and migrations: repeated, each is complete, and nothing is double."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from typing import Any

import psycopg2

from tests.drills.drill import Drill, Ground
from tests.drills.hostile import upload
from tests.drills.postgres import connect, query
from tests.stack.compose import REPLICAS, Stack, docker
from tests.stack.pace import wait_for
from tests.stack.report import require

_ROWS = 150_000  # 8 MB
_COUNT = "SELECT count(*), count(DISTINCT username) FROM users WHERE username LIKE '{name}-%'"

_DATABASE = "drill_migration"
_GATE = 20_005
"""The advisory lock that a migration waits for in its middle."""


def _csv(name: str) -> bytes:
    return b"username,email\n" + b"".join(
        b"%s-%d,%s-%d@example.com\n" % (name.encode(), number, name.encode(), number)
        for number in range(_ROWS)
    )


# ---- imports ----


def _bulk_import(ground: Ground, drill: str, moment: str) -> None:
    """The replica that imports is killed as soon as the database is busy with a statement that
    begins like `moment`.
    """
    stack, name = ground.stack, f"bulk-{secrets.token_hex(4)}"
    with (
        ground.strike(drill) as hit,
        _rows_of(stack, name) as count,
        ThreadPoolExecutor(1) as sender,
    ):
        with hit.fault():
            answer = sender.submit(_status_of_upload, stack, _csv(name))
            os.kill(stack.pid(_importer(stack, moment)), signal.SIGKILL)
        require(answer.result(60) != 201, "the import was answered although its replica was killed")
        stack.wait_healthy(*REPLICAS)
        require(count() in (0, _ROWS), f"half an import: {count()} rows")
        status, body, _ = upload(stack, _csv(name))
        require(
            status == 201 and json.loads(body)["imported"] == _ROWS == count(),
            f"the second time: {status} {body[:300]!r}",
        )


def _status_of_upload(stack: Stack, content: bytes) -> int:
    with suppress(OSError):
        return upload(stack, content)[0]
    return 0


def _importer(stack: Stack, moment: str) -> str:
    """The replica whose statement begins like `moment`, once there is one."""
    of = {stack.address(replica): replica for replica in REPLICAS}
    found: list[str] = []
    with closing(connect(stack)) as connection:

        def busy() -> bool:
            sql = (
                "SELECT host(client_addr) FROM pg_stat_activity WHERE state = 'active' AND query"
                f" LIKE '{moment}%'"
            )
            found.extend(of[address] for (address,) in query(connection, sql) if address in of)
            return bool(found)

        wait_for(busy, what=f"a replica at {moment}")
    return found[0]


def _load_csv(ground: Ground) -> None:
    """The same for the command."""
    stack, name = ground.stack, f"file-{secrets.token_hex(4)}"
    with ground.strike("load-csv-killed") as hit, _rows_of(stack, name) as count:
        with hit.fault(), ThreadPoolExecutor(1) as loader:
            done = loader.submit(_run_load_csv, stack, _csv(name))
            _importer(stack, "INSERT INTO users")
            os.kill(_process(stack, "app2", "load_csv.py"), signal.SIGKILL)
            require(done.result(60).returncode == 137, "load_csv.py was not killed")
        require(count() in (0, _ROWS), f"half an import: {count()} rows")
        again = _run_load_csv(stack, _csv(name))
        require(
            again.returncode == 0 and count() == _ROWS,
            f"the second time: {again.stderr[-300:]!r}, {count()} rows",
        )


def _run_load_csv(stack: Stack, content: bytes) -> subprocess.CompletedProcess[bytes]:
    command = ["docker", "exec", "-i", f"{stack.project}-app2-1", "python", "load_csv.py", "-"]
    return subprocess.run(command, input=content, capture_output=True, check=False, timeout=120)


def _process(stack: Stack, service: str, words: str) -> int:
    """The host's number of the process in the service's container whose command has these words."""
    lines = docker("top", f"{stack.project}-{service}-1", "-eo", "pid,args").splitlines()
    return next(int(line.split()[0]) for line in lines if words in line)


@contextmanager
def _rows_of(stack: Stack, name: str) -> Iterator[Callable[[], int]]:
    """Counts the users of an import, none of whom may be there twice; in the end they go."""
    with closing(connect(stack)) as connection:

        def count() -> int:
            ((rows, different),) = query(connection, _COUNT.format(name=name))
            require(rows == different, f"{rows - different} users are there twice")
            return int(rows)

        try:
            yield count
        finally:
            query(connection, f"DELETE FROM users WHERE username LIKE '{name}-%'")


# ---- a migration ----


def _migration(ground: Ground) -> None:
    """The one-shot `migrate` is killed on a database of its own, some of whose tables it has made.

    Done again, it makes all of them.
    """
    stack = ground.stack
    with ground.strike("migration-killed") as hit, _new_database(stack) as (gate, url):
        with hit.fault():
            query(gate, f"SELECT pg_advisory_lock({_GATE})")
            first = _migrate(stack)
            wait_for(
                lambda: bool(
                    query(
                        gate,
                        f"SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = {_GATE}"
                        " AND NOT granted",
                    )
                ),
                60,
                "the migration's middle",
            )
            os.kill(int(docker("inspect", "-f", "{{.State.Pid}}", first)), signal.SIGKILL)
            second = _migrate(stack)
            query(gate, f"SELECT pg_advisory_unlock({_GATE})")
        require(docker("wait", first) == "137", "the first migration was not killed")
        require(
            docker("wait", second) == "0",
            f"the second migration failed: {docker('logs', second)[-500:]}",
        )
        for container in (first, second):
            docker("rm", container)
        with closing(psycopg2.connect(url)) as migrated, closing(connect(stack)) as own:
            require(
                _schema(migrated) == _schema(own),
                "the schema is not what it is in the stack's own database",
            )


@contextmanager
def _new_database(stack: Stack) -> Iterator[tuple[Any, str]]:
    """Somebody to hold the gate, and the address of an empty database in which it stands: every
    statement that makes something after the table
    `urls` waits there."""
    url = f"{stack.database_url().rpartition('/')[0]}/{_DATABASE}"
    with closing(connect(stack)) as own:
        query(own, f"DROP DATABASE IF EXISTS {_DATABASE} WITH (FORCE)")
        query(own, f"CREATE DATABASE {_DATABASE} OWNER holdfast")
        try:
            with closing(psycopg2.connect(url)) as gate:
                gate.autocommit = True
                query(gate, _GATE_FUNCTION)
                yield gate, url
        finally:
            query(own, f"DROP DATABASE {_DATABASE} WITH (FORCE)")


_GATE_FUNCTION = f"""
CREATE FUNCTION pass_the_gate() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
    IF to_regclass('urls') IS NOT NULL THEN PERFORM pg_advisory_xact_lock_shared({_GATE}); END IF;
END $$;
CREATE EVENT TRIGGER gate ON ddl_command_start EXECUTE FUNCTION pass_the_gate()
"""


def _migrate(stack: Stack) -> str:
    """A container of the one-shot service, on that database.

    Without Redis, which would tell it of clicks that wait for the stack's own.
    """
    return stack.compose(
        "run",
        "-d",
        "--no-deps",
        "-e",
        f"DATABASE_NAME={_DATABASE}",
        "-e",
        "REDIS_HOST=",
        "-e",
        "AUTO_SEED=false",
        "migrate",
    ).splitlines()[-1]


def _schema(connection: Any) -> list[Any]:
    columns = (
        "SELECT table_name, column_name, data_type, is_nullable, column_default FROM"
        " information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
    )
    indexes = (
        "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY"
        " 1, 2"
    )
    return [query(connection, columns), query(connection, indexes)]


DRILLS = [
    Drill(
        "import-killed-reading",
        partial(_bulk_import, drill="import-killed-reading", moment="COPY staged_users"),
    ),
    Drill(
        "import-killed-storing",
        partial(_bulk_import, drill="import-killed-storing", moment="INSERT INTO users"),
        short=True,
    ),
    Drill("load-csv-killed", _load_csv),
    Drill("migration-killed", _migration, short=True),
]
