"""The states that a link had, as the audit trail knows them, and the way back to one of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from app.errors import InvalidInput, NotFound
from app.models import Audit
from app.schemas import LARGEST_ID, ListQuery, destinations
from app.services import paging, states, tables, urls
from app.services.audit import State
from app.services.paging import Page
from app.services.tables import Check, Conditions


def restore(url_id: int, version: int, check: Check | None = None) -> Any:
    """The link with all that it was in `version`, as a new version; itself when it is so already.

    `check` may refuse, as in urls.update. Raises NotFound for a version that is not known,
    and InvalidInput for one that leads where no link may lead now.
    """

    def wanted(url: Any) -> dict[str, Any]:
        state, present = _state(url, version, _rows(url, [version])), states.state_of(url)
        if state is None:
            raise NotFound(f"Version {version} of URL {url_id} is not known")
        columns = states.columns_of(state)
        changes = {name: columns[name] for name in columns if state[name] != present[name]}
        _refuse_destinations(changes)
        return changes

    return urls.change(url_id, "restore", wanted, check)


def _refuse_destinations(changes: dict[str, Any]) -> None:
    """Raises InvalidInput where no new link may lead by now."""
    targets = {name: changes.get(name) for name in ("original_url", "expired_url")}
    problems = {name: destinations.refusal(url) for name, url in targets.items() if url}
    problems = {name: why for name, why in problems.items() if why}
    if problems:
        words = "; ".join(f"{name}: {why}" for name, why in problems.items())
        raise InvalidInput(words, errors=problems)


def page(url_id: int, query: ListQuery) -> Page:
    """The known versions of a link as answers show them, newest first; `after` is a version."""
    url, size = urls.require(url_id), paging.size(query)
    below, offset = LARGEST_ID, (paging.number(query) - 1) * size
    if query.after is not None:
        below, offset = max(0, min(query.after, LARGEST_ID)), 0
    offset = min(offset, LARGEST_ID - size - 2)
    total = _known(url, "count(*)", LARGEST_ID, LARGEST_ID)[0] if query.count else None
    rest = f"ORDER BY version DESC LIMIT {size + 1} OFFSET {offset}"
    known = _known(url, "version", below, offset + size + 2, rest)
    chosen = known[:size]
    rows = _rows(url, chosen)
    found = [_shown(url, version, rows) for version in chosen]
    return Page(found, len(known) > size, total)


def authors(url: Any, versions: Sequence[int]) -> dict[int, str]:
    """Who made each of these versions, where it is known: the API key, else the address."""
    return {version: row.key or row.address for version, row in _rows(url, versions).items()}


# The link has the last version. An audit row knows its own, and what was before.
_KNOWN = """WITH changes AS (
    SELECT version, before IS NOT NULL AS has_before FROM audit
    WHERE {changes} AND version <= ? ORDER BY version DESC LIMIT {most}
)
SELECT {what} FROM (
    SELECT version FROM changes UNION SELECT version - 1 FROM changes WHERE has_before
    UNION SELECT ?
) AS known WHERE version < ? {rest}"""


def _known(url: Any, what: str, below: int, most: int, rest: str = "") -> list[int]:
    """`what` of the known versions smaller than `below`, as the newest `most` changes tell them."""
    changes = _changes_of(url)
    sql = _KNOWN.format(changes=" AND ".join(changes), most=most, what=what, rest=rest)
    values = [*tables.values_of(changes), below, url.version, below]
    return [row[0] for row in tables.execute(sql, values).fetchall()]


def _changes_of(url: Any) -> Conditions:
    """The code tells it from a link of a deleted user that had the same id before an import."""
    start = f'{{"short_code": {json.dumps(url.short_code)}, '
    same = f"substr(after, 1, {len(start)}) = ?"
    return {"kind = 'url'": (), "subject_id = ?": (url.id,), same: (start,)}


_Rows = dict[int, Any]
"""Audit rows by version."""


def _rows(url: Any, versions: Sequence[int]) -> _Rows:
    """Those of the versions and of the ones after them."""
    numbers = {version + more for version in versions for more in (0, 1)}
    possible = [number for number in numbers if tables.possible(number)]
    which = f"version IN ({tables.marks(possible)})" if possible else "FALSE"
    rows = tables.read(Audit, {**_changes_of(url), which: tuple(possible)}, "ORDER BY id")
    return {row.version: row for row in rows}


def _state(url: Any, version: int, rows: _Rows) -> State | None:
    if version == url.version:
        return states.state_of(url)
    if version in rows:
        return _read(rows[version].after)
    later = rows.get(version + 1)
    return _read(later.after) | _read(later.before) if later and later.before else None


def _read(text: str) -> State:
    state: State = json.loads(text)
    return state


def _shown(url: Any, version: int, rows: _Rows) -> State:
    row, state = rows.get(version), _state(url, version, rows) or {}
    about = {"at": row.at if row else None, "action": row.action if row else None}
    return {"version": version, **about, **{name: state[name] for name in states.RESTORED}}
