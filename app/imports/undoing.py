"""Undoes imports: deletes the links that one has made, as far as the audit trail knows them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain, islice
from typing import Any, NamedTuple

from app import database
from app.access import caller
from app.database import db
from app.errors import Conflict, NotFound
from app.models import Audit
from app.schemas import UrlsChange, UrlSelection
from app.services import access, audit, changing, tables

MOST_UNDONE = 100_000
"""Links of an import; a larger one is not undone."""
_BATCH = 5000


class Import(NamedTuple):
    """`made`: how many rows of each table. `ids`: first and last ids of its links."""

    id: int
    at: datetime
    key: str
    request_id: str
    made: dict[str, int]
    ids: Sequence[tuple[int, int]]
    is_undone: bool

    @property
    def can_be_undone(self) -> bool:
        return bool(self.ids) and not self.is_undone


def newest(most: int) -> list[Import]:
    """The newest imports that the caller may undo: all for an admin, else those of its key."""
    rows = tables.read(Audit, _imports(), f"ORDER BY id DESC LIMIT {int(most)}")
    undone = _undone([row.id for row in rows])
    return [_read(row, row.id in undone) for row in rows]


def undo(import_id: int) -> int:
    """Deletes what is left of its links, 5,000 in a transaction; returns how many those were.

    A second try goes on where the first one ended; of two at once the later one is refused, and
    what it deleted stays deleted. Raises NotFound, Conflict, and Forbidden.
    """
    access.refuse_bound("undo imports")
    row = tables.find(Audit, import_id, _imports())
    if row is None:
        raise NotFound(f"Import {import_id} not found")
    _refuse_undone(import_id)
    found = _read(row, is_undone=False)
    if not found.can_be_undone:
        raise Conflict(f"Import {import_id} cannot be undone")
    deleted, ids = 0, _each(found.ids)
    while batch := tuple(islice(ids, _BATCH)):
        deleted += _delete(batch)
    with db.atomic():
        database.lock("undo")
        _refuse_undone(import_id)  # by another request, while this one deleted its part
        audit.note("undo", "import", import_id, None, {"urls": deleted})
    return deleted


def _refuse_undone(import_id: int) -> None:
    if _undone([import_id]):
        raise Conflict(f"Import {import_id} was undone already")


def _imports() -> tables.Conditions:
    wanted: tables.Conditions = {"kind = 'import'": (), "action = 'import'": ()}
    who = caller()
    return wanted if who.scope == "admin" else {**wanted, "key_id = ?": (who.key_id,)}


def _undone(ids: Sequence[int]) -> set[int]:
    """Which of these imports were undone."""
    if not ids:
        return set()
    which = f"subject_id IN ({tables.marks(ids)})"
    wanted = {"kind = 'import'": (), "action = 'undo'": (), which: tuple(ids)}
    return {row.subject_id for row in tables.read(Audit, wanted, "")}


def _read(row: Any, is_undone: bool) -> Import:
    made = json.loads(row.after or "{}")
    ids = made.pop("url_ids", ())
    return Import(row.id, row.at, row.key, row.request_id, made, ids, is_undone)


def _each(ranges: Sequence[tuple[int, int]]) -> Iterator[int]:
    return chain.from_iterable(range(first, last + 1) for first, last in ranges)


def _delete(ids: tuple[int, ...]) -> int:
    selection = UrlSelection.model_construct({"ids", "dry_run"}, ids=ids, dry_run=False)
    return changing.apply(selection, UrlsChange(action="delete", tags=None)).changed
