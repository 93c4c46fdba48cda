"""Writes the tables as CSV files that the import reads."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app import database
from app.database import db, patience, released
from app.imports.columns import KINDS, Kind
from app.models import Event, Product, Url, User
from app.redirects.drain import drain
from app.services.files import written_atomically

_BATCH = 1000
_TABLES: dict[str, Any] = {"User": User, "Url": Url, "Event": Event, "Product": Product}


def export(folder: Path) -> dict[str, int]:
    """Writes users.csv, urls.csv, events.csv and products.csv into `folder`, all of one moment.

    Returns how many rows each has. Deleted links are left out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with released():
        drain.run()
    with released(), patience(), db.atomic(database.dialect().snapshot):
        return {f"{kind.table}.csv": _write(folder, kind) for kind in KINDS}


def _write(folder: Path, kind: Kind) -> int:
    names, count = [column.name for column in kind.columns], 0
    path = folder / f"{kind.table}.csv"
    # Only its owner may read it: there are email addresses in it.
    with written_atomically(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for row in _rows(_TABLES[kind.model], names):
            writer.writerow(row)
            count += 1
    return count


def _rows(table: Any, names: list[str]) -> Iterator[tuple[Any, ...]]:
    """The columns `names` of all rows by id, which is the first of them."""
    query = table.select(*(getattr(table, name) for name in names))
    if table is Url:
        query = query.where(Url.deleted_at.is_null())
    last = 0
    while batch := list(query.where(table.id > last).order_by(table.id).limit(_BATCH).tuples()):
        yield from batch
        last = batch[-1][0]
