"""Appends many rows at once, the fastest way that each engine has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from io import StringIO
from itertools import islice
from typing import Any

from peewee import __exception_wrapper__  # type: ignore[attr-defined]

from app.database import Sqlite, db

_COPY_BYTES = 65_536


def insert(table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Appends many rows within the running transaction, the fastest way the engine has; returns how many. None of the texts may be empty."""
    names = ", ".join(columns)
    with __exception_wrapper__:
        cursor = db.connection().cursor()
        if isinstance(db.obj, Sqlite):
            marks = ", ".join("?" * len(columns))
            cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", _plain(rows))  # noqa: S608 - names are ours
        else:
            _copy(cursor, f"COPY {table} ({names}) FROM STDIN", _CopyText(rows))
        return int(cursor.rowcount)


def _copy(cursor: Any, sql: str, text: _CopyText) -> None:
    try:
        cursor.copy_expert(sql, text, size=_COPY_BYTES)
    except Exception:
        if text.failure is not None:
            raise text.failure from None  # the driver would tell us of it as an error of the server's
        raise


def _plain(rows: Iterable[Sequence[Any]]) -> Iterator[list[Any]]:
    for row in rows:
        yield [str(value) if isinstance(value, (datetime, Decimal)) else value for value in row]


class _CopyText:
    """Rows as the text that PostgreSQL's COPY reads, made while it is read, so that memory does not grow with their number."""

    def __init__(self, rows: Iterable[Sequence[Any]]) -> None:
        self._rows = iter(rows)
        self._rest = StringIO()
        self.failure: BaseException | None = None

    def read(self, size: int) -> str:
        return self._rest.read(size) or self._more().read(size)

    def _more(self) -> StringIO:
        try:
            self._rest = StringIO("".join(map(_copy_line, islice(self._rows, 500))))
        except BaseException as failure:
            self.failure = failure
            raise
        return self._rest


def _copy_line(row: Sequence[Any]) -> str:
    line = "\t".join(["\\N" if value is None else str(value) for value in row])
    if (
        line.count("\\") == row.count(None)
        and line.count("\t") == len(row) - 1
        and "\n" not in line
        and "\r" not in line
    ):
        return line + "\n"
    return (
        "\t".join(["\\N" if value is None else str(value).translate(_ESCAPES) for value in row])
        + "\n"
    )


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
