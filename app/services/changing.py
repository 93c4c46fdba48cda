"""Changes many links at once, in one transaction and with few statements."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from app import database
from app.database import db, now
from app.errors import InvalidInput
from app.models import Url
from app.redirects.drain import drain
from app.redirects.links import add_pending, deliver, link_of
from app.schemas import MOST_TAGS, UrlsChange, UrlsChanged, UrlSelection
from app.services import audit, events, finding, states, tables
from app.unavailable import LockedTooLong

MOST = 10_000
_BATCH = 1000  # rows in a statement


def apply(selection: UrlSelection, change: UrlsChange) -> UrlsChanged:
    """Changes the selected links, all or none of them; a dry run only counts them.

    Raises InvalidInput without a filter, and for more than 10,000 links.
    """
    if bool(change.tags) != (change.action in ("tag", "untag")):
        why = "must be given for tag and untag, and for nothing else"
        raise InvalidInput(f"tags: {why}", errors={"tags": why})
    if selection.dry_run:
        matched, rows = _planned(selection, change)
        return UrlsChanged(matched=matched, changed=len(rows), dry_run=True)
    with suppress(LockedTooLong):
        drain.run()
    with database.without_timeouts(), db.atomic():
        # Imports and drains too write to many links, in another order.
        database.lock("import", "drain")
        lock = "FOR UPDATE" if database.dialect().locks_rows else ""
        matched, rows = _planned(selection, change, lock)
        # A planner that believes in an empty table looks at all links for each of them.
        db.execute_sql(database.dialect().expect_links.format(found=matched))
        updates = _stored(change, rows)
    deliver(updates)
    return UrlsChanged(matched=matched, changed=len(rows), dry_run=False)


Pairs = Sequence[tuple[Any, Any]]
"""Rows as they are, and as they become."""


def _planned(selection: UrlSelection, change: UrlsChange, lock: str = "") -> tuple[int, Pairs]:
    """The number of selected links, and those that change."""
    conditions = finding.selected(selection, MOST)
    if conditions is None:
        return 0, []
    rows = tables.read(Url, conditions, f"ORDER BY id {lock}")
    changed = [(row, _changed(row, change)) for row in rows]
    return len(rows), [(row, new) for row, new in changed if new is not row]


def _changed(row: Any, change: UrlsChange) -> Any:
    """The row as it becomes, or itself when nothing changes."""
    values = _ACTIONS[change.action](row, change.tags or [])
    if all(getattr(row, name) == value for name, value in values.items()):
        return row
    moment = {} if change.action == "delete" else {"updated_at": now()}
    return row._replace(**values, **moment, version=row.version + 1)


def _tagged(row: Any, tags: Sequence[str]) -> dict[str, Any]:
    tagged = list(dict.fromkeys((*json.loads(row.tags), *tags)))
    if len(tagged) > MOST_TAGS:
        why = f"link {row.id} would have more than {MOST_TAGS}"
        raise InvalidInput(f"tags: {why}", errors={"tags": why})
    return {"tags": json.dumps(tagged)}


def _untagged(row: Any, tags: Sequence[str]) -> dict[str, Any]:
    return {"tags": json.dumps([tag for tag in json.loads(row.tags) if tag not in tags])}


_ACTIONS: dict[str, Callable[[Any, Sequence[str]], dict[str, Any]]] = {
    "activate": lambda _row, _tags: {"is_active": True},
    "deactivate": lambda _row, _tags: {"is_active": False},
    "delete": lambda _row, _tags: {"deleted_at": now()},
    "tag": _tagged,
    "untag": _untagged,
}


def _stored(change: UrlsChange, pairs: Pairs) -> list[Any]:
    """Writes the rows' new state, an event and an audit row for each.

    Returns the pending cache updates.
    """
    for both in _batches(pairs):
        batch = [new for _, new in both]
        ids = [row.id for row in batch]
        if change.tags:
            _write_tags(batch)
            _write_url_tags(change, ids)
        elif change.action == "delete":
            _write("deleted_at = ?", [batch[0].deleted_at], ids)
        else:
            _write("is_active = ?, updated_at = ?", [batch[0].is_active, batch[0].updated_at], ids)
        events.note_later([(row, *_event(change.action, row)) for row in batch])
        audit.note_all([states.changed(change.action, old, new) for old, new in both])
    return add_pending([(new.short_code, link_of(new)) for _, new in pairs])


def _batches(rows: Pairs) -> Iterator[Pairs]:
    return (rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH))


def _event(action: str, row: Any) -> tuple[str, dict[str, Any]]:
    if action == "delete":
        return "deleted", {"reason": "user_requested"}
    if action in ("tag", "untag"):
        return "updated", {"field": "tags", "new_value": json.loads(row.tags)}
    return "updated", {"field": "is_active", "new_value": row.is_active}


def _write(changes: str, values: list[Any], ids: list[int]) -> None:
    which = f"WHERE id IN ({tables.marks(ids)})"
    sql = " ".join(("UPDATE urls SET version = version + 1,", changes, which))
    tables.later(sql, [*values, *ids])


def _write_tags(rows: Sequence[Any]) -> None:
    """The tags of each row; both engines call the columns of VALUES so."""
    pairs = ", ".join(["(?, ?)"] * len(rows))
    sql = (
        "UPDATE urls SET version = version + 1, updated_at = ?, tags = given.column2",
        f"FROM (VALUES {pairs}) AS given WHERE urls.id = given.column1",
    )
    values = [value for row in rows for value in (row.id, row.tags)]
    tables.later(" ".join(sql), [rows[0].updated_at, *values])


def _write_url_tags(change: UrlsChange, ids: list[int]) -> None:
    tags, which = change.tags or [], f"IN ({tables.marks(ids)})"
    if change.action == "untag":
        sql = ("DELETE FROM url_tags WHERE url_id", which, f"AND tag IN ({tables.marks(tags)})")
        tables.later(" ".join(sql), [*ids, *tags])
        return
    start = "INSERT INTO url_tags (url_id, tag) SELECT id, ? FROM urls WHERE id"
    for tag in tags:
        tables.later(" ".join((start, which, "ON CONFLICT DO NOTHING")), [tag, *ids])
