"""The SQLite pool: connections to one file, whose errors say whether it is unavailable."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

from playhouse.pool import MaxConnectionsExceeded, PooledSqliteDatabase

from app.unavailable import DAMAGED, MISSING, DatabaseUnavailable, meaning


def _translated(method: Callable[..., Any]) -> Callable[..., Any]:
    """`method`, raising DatabaseUnavailable for the errors that mean it."""

    @wraps(method)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return method(*arguments, **options)
        except sqlite3.Error as error:
            raise meaning(error) from None

    return call


class Cursor(sqlite3.Cursor):
    """Rows are read from the file while they are fetched, so that fetching can fail as well."""

    execute = _translated(sqlite3.Cursor.execute)
    executemany = _translated(sqlite3.Cursor.executemany)
    fetchone = _translated(sqlite3.Cursor.fetchone)
    fetchall = _translated(sqlite3.Cursor.fetchall)
    fetchmany = _translated(sqlite3.Cursor.fetchmany)


class Connection(sqlite3.Connection):
    backup = _translated(sqlite3.Connection.backup)

    def cursor(self, factory: Any = Cursor) -> Any:
        return super().cursor(factory)


class Sqlite(PooledSqliteDatabase):  # type: ignore[misc]  # the pool is untyped
    """A pool of connections to one file."""

    def connect(self, reuse_if_open: bool = False) -> Any:
        try:
            return super().connect(reuse_if_open)
        except MaxConnectionsExceeded as error:
            raise DatabaseUnavailable(f"all connections are in use: {error}") from error

    def _connect(self) -> Any:
        try:
            return super()._connect()
        except sqlite3.Error as error:
            raise meaning(error) from None

    def rollback(self) -> None:
        """SQLite has done so by itself when the disk was full."""
        if self.connection().in_transaction:
            super().rollback()

    def execute_later(self, sql: str, values: Sequence[Any]) -> None:
        """At once: there is no round trip to save."""
        self.execute_sql(sql, values)

    def trouble(self) -> str:
        """Why nothing can be written, as far as that can be seen without writing."""
        has_tables = self.execute_sql("SELECT 1 FROM sqlite_master WHERE name = 'urls'").fetchone()
        file = Path(self.database)
        if not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)):
            return "it is read only"
        return "" if has_tables else MISSING

    def look_for_damage(self) -> None:
        found = self.execute_sql("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise DatabaseUnavailable(found, DAMAGED)

    def lift_timeouts(self, lifted: bool) -> None:
        """There is nobody to wait for but other writers."""
