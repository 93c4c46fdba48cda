"""Dumps the database into a file, restores it into an empty one, and then settles Redis."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from psycopg2.extensions import make_dsn

from app.database import Sqlite, db, released
from app.migrations import apply
from app.postgres import Postgres
from app.redirects.connection import RedisUnavailable, redis_connection
from app.redirects.drain import drain
from app.services import urls
from app.services.files import written_atomically


class Refused(Exception):
    """Nothing was done; the text says why, and what to do."""


def dump(path: Path) -> None:
    """Writes the database as of one moment; the file appears when it is complete."""
    with (
        written_atomically(path) as part,
        released(),
    ):  # readable for its owner only: it holds addresses
        _ENGINES[type(db.obj)].dump(part)


def restore(path: Path) -> None:
    """Loads a dump, all or nothing; raises Refused when the database has tables."""
    with released():
        if db.get_tables():
            raise Refused(
                "The database is not empty, and nothing was changed: "
                "a dump is restored into a new one only"
            )
        _ENGINES[type(db.obj)].load(path)


class Settled(NamedTuple):
    """What was done after a restore."""

    applied: list[str]
    deleted: int
    replayed: int
    warmed: int


def settle() -> Settled:
    """Fits schema, cached links and waiting clicks to the restored rows.

    Redis may hold newer versions of links, and links that no row has: all are deleted there.
    Then the clicks are drained, before a new link can get the id of a lost one.
    """
    try:
        with released():
            # First: when Redis does not answer, nothing is done.
            deleted = sum(map(_delete, ("link:*", "answer:*"))) if redis_connection.url else 0
            applied = apply()
            return Settled(applied, deleted, drain.run_wholly(), urls.warm_up())
    except RedisUnavailable:
        raise Refused(
            "Redis does not answer, and may hold links that are no more: "
            "start it, then settle again"
        ) from None


def _delete(pattern: str) -> int:
    cursor, deleted = "0", 0
    while True:
        step = redis_connection.call("SCAN", cursor, "MATCH", pattern, "COUNT", 1000, insist=True)
        cursor, keys = step[0].decode(), step[1]
        if keys:
            deleted += int(redis_connection.call("UNLINK", *keys, insist=True))
        if cursor == "0":
            return deleted


class _Engine(NamedTuple):
    dump: Callable[[Path], None]
    load: Callable[[Path], None]


def _dump_postgres(part: Path) -> None:
    _run("pg_dump", "--format=custom", f"--file={part}")


def _load_postgres(path: Path) -> None:
    _run("pg_restore", "--single-transaction", "--exit-on-error", str(path))


# The options set a request's timeouts.
_NOT_FOR_PROGRAMS = ("password", "options", "connection_factory", "cursor_factory")


def _run(name: str, *arguments: str) -> None:
    """Runs a program of PostgreSQL; the password goes by its environment, not its arguments."""
    program = shutil.which(name)
    if program is None:
        raise Refused(
            f"{name} is not installed (Debian: postgresql-client); "
            "in the Compose stack, use deploy/backup.sh and deploy/restore.sh"
        )
    if db.obj.is_pooled():
        raise Refused(
            "DATABASE_URL leads through a connection pooler, where this would change the sessions "
            "of others: give it the address of PostgreSQL itself (docs/high-availability.md)"
        )
    server = {
        name: value
        for name, value in db.obj.connect_params.items()
        if name not in _NOT_FOR_PROGRAMS
    }
    if db.obj.server[0]:
        server |= dict(zip(("host", "port"), db.obj.server, strict=True))  # of several the leader
    address = make_dsn(dbname=db.obj.database, **server)
    environ = {"PATH": os.defpath, "PGPASSWORD": db.obj.connect_params.get("password") or ""}
    done = subprocess.run(  # noqa: S603 - a fixed program, no shell
        [program, "--no-owner", "--no-privileges", f"--dbname={address}", *arguments],
        check=False,
        capture_output=True,
        env=environ,
    )
    if done.returncode:
        raise Refused(done.stderr.decode(errors="replace").strip())


def _dump_sqlite(part: Path) -> None:
    with closing(sqlite3.connect(part)) as copy:
        db.connection().backup(copy)


def _load_sqlite(path: Path) -> None:
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?immutable=1", uri=True)) as copy:
            if not copy.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise Refused(f"{path} has no tables in it")
            copy.backup(db.connection())
    except sqlite3.DatabaseError as error:
        raise Refused(f"{path} is not a dump of SQLite: {error}") from None


_ENGINES = {
    Postgres: _Engine(_dump_postgres, _load_postgres),
    Sqlite: _Engine(_dump_sqlite, _load_sqlite),
}
