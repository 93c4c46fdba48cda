"""The database in one file, and the way back: into an empty database, after which Redis is told what is true now."""

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
    """It was not done; the text says why, and what to do."""


def dump(path: Path) -> None:
    """Writes the whole database as it is at one moment; the file is there once it is complete, and not before."""
    with (
        written_atomically(path) as part,
        released(),
    ):  # for its owner only: there are people's addresses in it
        _ENGINES[type(db.obj)].dump(part)


def restore(path: Path) -> None:
    """Loads a dump into the database, all of it or nothing; refuses when there are tables already."""
    with released():
        if db.get_tables():
            raise Refused(
                "The database is not empty, and nothing was changed: a dump is restored into a new one only"
            )
        _ENGINES[type(db.obj)].load(path)


class Settled(NamedTuple):
    """What was done after a restore."""

    applied: list[str]
    forgotten: int
    replayed: int
    warmed: int


def settle() -> Settled:
    """Makes everything fit the restored rows: the schema, what Redis believes of links, and the clicks that it still keeps.

    Redis may have newer versions of links than the database has now, and links that nobody knows any more: it must forget them all, or they
    would be followed until their time is over. The clicks come next, before a new link can be given the id of a lost one.
    """
    try:
        with released():
            forgotten = (
                sum(map(_forget, ("link:*", "answer:*"))) if redis_connection.url else 0
            )  # first: without Redis nothing is done
            applied = apply()
            return Settled(applied, forgotten, drain.run(), urls.warm_up())
    except RedisUnavailable:
        raise Refused(
            "Redis does not answer, and may hold links that are no more: start it, then settle again"
        ) from None


def _forget(pattern: str) -> int:
    cursor, forgotten = "0", 0
    while True:
        step = redis_connection.call("SCAN", cursor, "MATCH", pattern, "COUNT", 1000, insist=True)
        cursor, keys = step[0].decode(), step[1]
        if keys:
            forgotten += int(redis_connection.call("UNLINK", *keys, insist=True))
        if cursor == "0":
            return forgotten


class _Engine(NamedTuple):
    dump: Callable[[Path], None]
    load: Callable[[Path], None]


def _dump_postgres(part: Path) -> None:
    _run("pg_dump", "--format=custom", f"--file={part}")


def _load_postgres(path: Path) -> None:
    _run("pg_restore", "--single-transaction", "--exit-on-error", str(path))


_NOT_FOR_PROGRAMS = (
    "password",
    "options",
    "connection_factory",
    "cursor_factory",
)  # the options end what takes longer than a request may


def _run(name: str, *arguments: str) -> None:
    """One of PostgreSQL's own programs, on our database; its password is not on the command line, where everybody sees it."""
    program = shutil.which(name)
    if program is None:
        raise Refused(
            f"{name} is not installed (Debian: postgresql-client); in the Compose stack, use deploy/backup.sh and deploy/restore.sh"
        )
    server = {
        name: value
        for name, value in db.obj.connect_params.items()
        if name not in _NOT_FOR_PROGRAMS
    }
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
