"""The audit trail: adds who changed what, and reads it; no code changes or removes its rows."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

from app import database
from app.access import COMMAND, Caller, caller, calling
from app.database import DatabaseUnavailable, db, released
from app.models import Audit
from app.redirects.visits import addresses
from app.schemas import AuditFilters, AuditQuery
from app.services import paging, tables
from app.services.paging import Page

log = logging.getLogger(__name__)

_LONGEST = 80_000
"""In characters, of the largest state of a link as JSON; others are not kept."""

State = dict[str, Any]


class Change(NamedTuple):
    """What happened to `kind`, as JSON values.

    `before`: what differed, as it was. When the subject is gone all of it; but of a link that goes
    with its user, or is erased, the short code only, and of an erased user nothing. `after`: the
    whole state; None when the subject is gone. `version`: of users and links, after the change.
    """

    action: str
    kind: str
    subject_id: int | None = None
    before: State | None = None
    after: State | None = None
    version: int | None = None


def note(
    action: str,
    kind: str,
    subject_id: int | None = None,
    before: State | None = None,
    after: State | None = None,
) -> None:
    """Adds a row with the next statement of the running transaction, at the latest with COMMIT."""
    note_all([Change(action, kind, subject_id, before, after)])


def note_all(changes: Sequence[Change]) -> None:
    """As `note`, with one statement."""
    who = by(caller())
    tables.insert_later(Audit, [row_of(change, who) for change in changes])


def row_of(change: Change, who: dict[str, Any]) -> dict[str, Any]:
    """The columns of a change; the database adds id and moment."""
    return {
        **who,
        "action": change.action,
        "kind": change.kind,
        "subject_id": change.subject_id,
        "version": change.version,
        "before": _text(change.before),
        "after": _text(change.after),
    }


def by(who: Caller) -> dict[str, Any]:
    """Who it was; of the address what VISITOR_ADDRESS keeps."""
    return {
        "key_id": who.key_id,
        "key": who.key[:100],
        "address": addresses.kept(who.address)[:64],
        "request_id": who.request_id[:64],
    }


def _text(state: State | None) -> str | None:
    if state is None:
        return None
    text = json.dumps(state, ensure_ascii=False)
    if len(text) > _LONGEST:
        return '{"cut": true}'
    return text.encode("utf-8", "replace").decode()  # a setting may hold lone surrogates


def differing(before: State | None, after: State) -> State | None:
    """What of `before` is otherwise in `after`."""
    if before is None:
        return None
    return {name: value for name, value in before.items() if after.get(name) != value}


def note_settings(shown: State) -> None:
    """Adds a row when the settings, which hold no secret, are others than at the last start."""
    try:
        with released(), calling(COMMAND), db.atomic():
            database.lock("settings")
            last = tables.read(Audit, {"kind = 'settings'": ()}, "ORDER BY id DESC LIMIT 1")
            before = json.loads(last[0].after) if last else None
            if before != shown:
                note("start", "settings", None, differing(before, shown), shown)
    except DatabaseUnavailable as error:
        log.warning("the settings are not in the audit trail: %s", error)


def page(query: AuditQuery) -> Page:
    """Newest first."""
    wanted = conditions(query)
    if wanted is None:
        return paging.nothing(query)
    has_time = query.after_time is not None or query.before_time is not None
    return paging.read(Audit, wanted, query, _BY_TIME if has_time else paging.NEWEST_FIRST)


_BY_TIME = paging.Order("at", descending=True)
_FILTERS = {
    "kind": "kind = ?",
    "subject_id": "subject_id = ?",
    "key": "key = ?",
    "action": "action = ?",
    "after_time": "at >= ?",
    "before_time": "at < ?",
}


def conditions(query: AuditFilters) -> tables.Conditions | None:
    """The filters; None when nothing can match."""
    texts = query.kind, query.key, query.action
    if any("\x00" in (text or "") for text in texts) or not tables.possible(query.subject_id):
        return None
    return tables.asked(_FILTERS, query)
