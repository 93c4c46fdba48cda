"""Writes tables as CSV that the import reads back, byte for byte, batch after batch."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from app import database
from app.database import db, released, without_timeouts
from app.imports.columns import KINDS, Column, Kind
from app.imports.formulas import defused
from app.models import Audit, Event, Product, Url, User
from app.redirects.drain import drain
from app.services import tables
from app.services.files import written_atomically
from app.services.tables import Conditions

_BATCH = 1000
_TABLES: dict[str, Any] = {
    "User": User,
    "Url": Url,
    "Event": Event,
    "Product": Product,
    "Audit": Audit,
}
_LIVE: Conditions = {"deleted_at IS NULL": ()}
# Deleted links are left out, so an event does not refer to one.
_LIVE_URL = "(SELECT id FROM urls WHERE urls.id = events.url_id AND deleted_at IS NULL) AS url_id"
_SQL = {("events", "url_id"): _LIVE_URL}


AUDIT = Kind(
    "audit rows",
    "Audit",
    "audit",
    tuple(Column(field.column_name, "", str) for field in Audit._meta.sorted_fields),
)
"""The audit trail, which no import takes."""


# ---- into files ----


def export(folder: Path) -> dict[str, int]:
    """Writes users.csv, urls.csv, events.csv and products.csv into `folder`, all of one moment.

    Returns how many rows each has. Deleted links are left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with released():
        drain.run()
    with released(), without_timeouts(), db.atomic(database.dialect().snapshot):
        return {f"{kind.table}.csv": _write(folder, kind) for kind in KINDS}


def _write(folder: Path, kind: Kind) -> int:
    count = 0
    path = folder / f"{kind.table}.csv"
    # Only its owner may read it: there are email addresses in it.
    with written_atomically(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        file.write(_csv([kind.names()]))
        for rows in _batches(kind, _LIVE if kind.model == "Url" else {}):
            file.write(_csv(rows))
            count += len(rows)
    return count


# ---- over HTTP ----


def pieces(kind: Kind, conditions: Conditions | None) -> Iterator[bytes]:
    """A CSV file of the rows of which `conditions` are true (None: of no row), in pieces.

    It has each row that is there at the beginning and not deleted meanwhile, as it is when its
    piece is read. No connection is kept between two pieces: clients may be slow.
    """
    yield _csv([kind.names()]).encode()
    if conditions is None:
        return
    with released():
        drain.run()
        newest = tables.select("max(id)", _TABLES[kind.model], {}).fetchone()[0] or 0
    batches = _batches(kind, {**conditions, "id <= ?": (newest,)})
    while True:
        with released():
            rows = next(batches, None)
        if rows is None:
            return
        yield _csv(rows).encode()


# ---- both ----


def _batches(kind: Kind, conditions: Conditions) -> Iterator[list[Sequence[Any]]]:
    """The columns of `kind` in the rows by id, which is the first of the columns."""
    table, names = _TABLES[kind.model], kind.names()
    columns = ", ".join(_SQL.get((kind.table, name), name) for name in names)
    types = [table._meta.columns[name].python_value for name in names]
    last = 0
    while True:
        after = {**conditions, "id > ?": (last,)}
        rows = tables.select(columns, table, after, f"ORDER BY id LIMIT {_BATCH}").fetchall()
        if not rows:
            return
        last = rows[-1][0]
        yield rows if database.dialect().typed else [_typed(row, types) for row in rows]


def _typed(row: Sequence[Any], types: Sequence[Any]) -> list[Any]:
    return [to(value) for to, value in zip(types, row, strict=True)]


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    for row in rows:
        writer.writerow([defused(cell) if isinstance(cell, str) else cell for cell in row])
    return text.getvalue()
