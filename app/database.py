"""The database handle, connections and locks."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from flask import Flask
from peewee import PeeweeException
from playhouse.db_url import connect as open_url
from playhouse.db_url import parse, register_database

from app.addresses import each_host, several_hosts
from app.dialects import DIALECTS, Dialect
from app.pooling import MARK
from app.postgres import CONNECT_SECONDS, Postgres
from app.savepoints import Handle
from app.sqlite import Connection as SqliteConnection
from app.sqlite import Sqlite
from app.unavailable import DatabaseUnavailable, DatabaseUnusable, refusal
from app.watch import STATEMENT_SECONDS

db: Any = Handle()  # bound once, by create_app

__all__ = ["DatabaseUnavailable", "DatabaseUnusable", "Postgres", "Sqlite", "refusal"]

_LOCK_MS = 800  # a request that waits longer for a lock fails, within a second
_POSTGRES = {
    "connect_timeout": CONNECT_SECONDS,
    "timeout": 5,
    "max_connections": 20,
    # A machine that is gone, or cut off, is noticed in long statements too.
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
# A role, a database or the environment may have set these otherwise. The URL's own options win.
_OPTIONS = (
    f"-c statement_timeout={STATEMENT_SECONDS * 1000} -c lock_timeout={_LOCK_MS} "
    "-c idle_in_transaction_session_timeout=0 "
    r"-c default_transaction_isolation=read\ committed "
    r"-c search_path=\"$user\",public -c datestyle=ISO,MDY "
    "-c standard_conforming_strings=on -c exit_on_error=off "
    f"{MARK}"
)
_AT = ("host", "port")  # of all hosts, which the first one's are not
_SQLITE = {
    # `full`: an answered click survives a power cut.
    "pragmas": [
        ("busy_timeout", 10_000),
        ("journal_mode", "wal"),
        ("synchronous", "full"),
        ("foreign_keys", 1),
    ],
    "max_connections": 300,
    "lock_type": "IMMEDIATE",  # a reader that becomes a writer would fail instead of waiting
    "check_same_thread": False,
    "factory": SqliteConnection,
}


def now() -> datetime:
    """The one clock: UTC, whole seconds, without a zone."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


register_database(Postgres, "postgresql", "postgresql+pool")
register_database(Sqlite, "sqlite", "sqlite+pool")


def connect(url: str) -> Postgres | Sqlite:
    """The pool for `url`, whose query overrides the defaults; opens no connection."""
    if url.startswith("sqlite"):
        _make_private(Path(parse(url)["database"]))
        return cast("Sqlite", open_url(url, **_SQLITE))
    hosts = each_host(url)
    given = parse(hosts[0])
    options = _POSTGRES | (several_hosts(hosts) if len(hosts) > 1 else {})
    options |= {name: value for name, value in given.items() if name in options and name not in _AT}
    options |= {"options": f"{_OPTIONS} {given.get('options', '')}", "client_encoding": "UTF8"}
    return cast("Postgres", open_url(hosts[0], unquote_password=True, unquote_user=True, **options))


def _make_private(file: Path) -> None:
    """Creates a missing file for its owner only; SQLite gives its other files the same mode."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = f"the folder {file.parent} cannot be made: {error.strerror}"
        raise DatabaseUnusable(why) from None
    with suppress(OSError):  # the first query says why
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))


def exit_if_unusable(url: str) -> None:
    """Ends the process when its database can never be used; waits for an unavailable one."""
    try:
        handle: Any = connect(url)
        try:
            handle.trouble()
        finally:
            handle.close_all()
    except DatabaseUnusable as error:
        sys.exit(f"DATABASE_URL cannot be used: {error}")
    except DatabaseUnavailable:
        pass


def dialect() -> Dialect:
    return DIALECTS[type(db.obj)]


def lock(*names: str) -> None:
    """Takes the named locks, one after the other, until the running transaction ends."""
    for name in names[:-1]:
        db.execute_later(dialect().lock.format(name=name), ())
    db.execute_sql(dialect().lock.format(name=names[-1]))


def share_lock(name: str) -> None:
    """Takes a named lock together with others who share it, with the next statement."""
    db.execute_later(dialect().share.format(name=name), ())


def lock_briefly(name: str, then_ms: int = _LOCK_MS) -> None:
    """As `lock`, waiting up to 4 s; `then_ms` is the lock timeout of the statements after it."""
    db.execute_sql(dialect().briefly.format(name=name, then_ms=then_ms))


def trust_references() -> None:
    """Skips foreign key checks in this transaction; docs/decisions/0009: when that is safe."""
    db.execute_sql(dialect().trusting)


def has_tables() -> bool:
    return bool(db.execute_sql(dialect().has_tables).fetchone()[0])


@contextmanager
def without_timeouts() -> Iterator[None]:
    """No statement or lock timeouts inside the block."""
    db.lift_timeouts(True)
    try:
        yield
    finally:
        with suppress(PeeweeException, DatabaseUnavailable):
            if not db.is_closed():
                db.lift_timeouts(False)


def one_session() -> AbstractContextManager[Any]:
    """A block in which temporary tables last, whatever is between us and PostgreSQL.

    SQLite needs no transaction for that, and one would lock its database.
    """
    return (
        cast("AbstractContextManager[Any]", db.atomic()) if dialect().locks_rows else nullcontext()
    )


def clean_up(*statements: str) -> None:
    """Runs them unless the connection is lost or its transaction failed, which undoes as much."""
    with suppress(PeeweeException, DatabaseUnavailable):
        if not db.is_closed():
            for statement in statements:
                db.execute_sql(statement)


@contextmanager
def released() -> Iterator[None]:
    """Returns the thread's connection to the pool at the end; for work outside of requests."""
    try:
        yield
    finally:
        release()


def release(_error: BaseException | None = None) -> None:
    if db.obj is not None and not db.is_closed():
        db.close()


def install(app: Flask) -> None:
    """A request's first query takes a connection; the end of the request returns it."""
    app.teardown_appcontext(release)
