"""States which errors of both drivers mean that the database is unavailable; others are bugs."""

from __future__ import annotations

import re
import sqlite3

import psycopg2


class DatabaseUnavailable(Exception):
    """The database is lost, slow, full, damaged, or refuses; peewee passes this on unchanged.

    `refuses`: why it would refuse the next request too, in few words; "" when it does not answer.
    """

    def __init__(self, message: str, refuses: str = "") -> None:
        super().__init__(" ".join(message.split()))
        self.refuses = refuses


class LockedTooLong(DatabaseUnavailable):
    """Another transaction held a lock for too long; the database answers."""


class Refusal:
    """Why the last write was refused, until one succeeds (app/services/health.py)."""

    why = ""


refusal = Refusal()


class DatabaseUnusable(DatabaseUnavailable):
    """The settings or the database must be changed first."""


DAMAGED, FULL, FAILING = "it is damaged", "its disk is full", "its disk fails"
MISSING = "tables are missing"
READ_ONLY = "it is read only"
_FOUND_BY_WRITING = {DAMAGED, FULL, FAILING}

# SQLSTATEs, by class or whole (https://www.postgresql.org/docs/current/errcodes-appendix.html)
_AGAIN = (
    "08",  # connection lost
    "25P",  # the transaction was idle or open for too long
    "28",  # login refused
    "3D",  # no such database
    "40",  # deadlock, serialization failure
    "53",  # out of memory, connections or disk
    "55006",  # object in use
    "57",  # cancelled by a timeout, shutting down, starting up
    "58",  # the server's own disk or files
    "XX",  # the server's internal errors; XX001 and XX002 are damage
)
_REFUSES = {
    "25006": READ_ONLY,
    "42501": "no permission",
    "42P01": MISSING,  # it came back without what was in it
    "3F000": MISSING,
    "53100": FULL,
    "58030": FAILING,
    "XX001": DAMAGED,
    "XX002": DAMAGED,
}

# SQLite's result codes (https://www.sqlite.org/rescode.html), without what extends them
_SQLITE_AGAIN = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_SCHEMA,
}
_SQLITE_REFUSES = {
    sqlite3.SQLITE_PERM: "no permission",
    sqlite3.SQLITE_AUTH: "no permission",
    sqlite3.SQLITE_READONLY: READ_ONLY,
    sqlite3.SQLITE_IOERR: FAILING,
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_NOLFS: FULL,
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened",
}


def of_postgres(error: psycopg2.Error) -> DatabaseUnavailable | None:
    """What an error of psycopg2 means, unless it is a bug."""
    code = error.pgcode or ""
    if code in _REFUSES:
        return DatabaseUnavailable(str(error), _REFUSES[code])
    if code == "55P03":
        return LockedTooLong(str(error))
    lost = not code and type(error) in _WITHOUT_CODE
    return DatabaseUnavailable(str(error)) if lost or code.startswith(_AGAIN) else None


# The connection broke, so there is no code. A plain DatabaseError: in the middle of an answer.
_WITHOUT_CODE = (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.DatabaseError)


def of_sqlite(error: sqlite3.Error) -> DatabaseUnavailable | None:
    """What an error of sqlite3 means, unless it is a bug."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return DatabaseUnusable("the file is not a SQLite database", "its file is no database")
    if "no such table" in str(error):
        return DatabaseUnavailable(str(error), MISSING)
    if code in _SQLITE_REFUSES:
        return DatabaseUnavailable(str(error), _SQLITE_REFUSES[code])
    ended = _ENDED.search(str(error))
    return DatabaseUnavailable(str(error)) if ended or code in _SQLITE_AGAIN else None


_ENDED = re.compile("no such savepoint|no transaction is active")  # it rolled back by itself


def meaning(error: psycopg2.Error | sqlite3.Error) -> Exception:
    """What to raise for a driver's error: DatabaseUnavailable, or itself when it is a bug."""
    found = of_postgres(error) if isinstance(error, psycopg2.Error) else of_sqlite(error)
    if found is not None and found.refuses in _FOUND_BY_WRITING:
        refusal.why = found.refuses
    return found or error
