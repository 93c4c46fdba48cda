"""What new links bring besides their rows: tags for filters, and counts of earlier clicks.

A link that is imported with a count has counted its earlier clicks. So its click events that are
imported with it, or later, are part of that count: `imported_counts` holds how many more of them
are. Other click events, and clicks that follow, are added.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import starmap
from typing import Any, NamedTuple

from app import database
from app.database import db
from app.imports.columns import Kind
from app.imports.inserting import has_any, run
from app.imports.staging import NEW, NEW_IN_CHAIN, PLACES, REPEAT, STORED, place_of
from app.models import CLICK_TYPES
from app.redirects.counting import Lines, count, line_of_event

_CLICKS = ", ".join(f"'{name}'" for name in CLICK_TYPES)
_MADE = (
    "{staged} JOIN urls ON urls.short_code = {staged}.short_code "
    f"AND {{staged}}.fate IN ({NEW}, {NEW_IN_CHAIN})"
)


def finish(kind: Kind) -> None:
    """Repeats the tags of new links for filters, and notes their counts."""
    if has_any(kind, "tags <> '[]'"):
        each = database.dialect().each_text.format("{staged}.tags")
        tags = f"SELECT DISTINCT urls.id, each.value FROM {_MADE}, {each}"
        run(kind, f"INSERT INTO url_tags (url_id, tag) {tags}")
    if has_any(kind, "click_count > 0"):
        counts = f"SELECT urls.id, {{staged}}.click_count FROM {_MADE}"
        counted = f"{counts} WHERE {{staged}}.click_count > 0"
        run(kind, f"INSERT INTO imported_counts (url_id, clicks) {counted}")


# ---- clicks among imported events ----

_Line = tuple[int, int, Any]

_NEW_CLICKS = (
    f"SELECT n, url_id, timestamp, details FROM {{staged}} WHERE fate = {NEW} "
    f"AND event_type IN ({_CLICKS}) AND url_id IS NOT NULL AND n > {{last}} ORDER BY n LIMIT 5000"
)
_USE = (
    "WITH used (id, clicks) AS (VALUES {}) UPDATE imported_counts "
    "SET clicks = imported_counts.clicks - used.clicks FROM used WHERE url_id = used.id"
)


def count_clicks(kind: Kind) -> None:
    """Counts the clicks among the new events, some thousands at a time."""
    database.lock("drain")  # which counts many links at once too, in another order
    run(kind, "CREATE INDEX staged_events_n ON staged_events (n)")
    last = -1
    while rows := run(kind, _NEW_CLICKS.replace("{last}", str(last))).fetchall():
        lines = list(starmap(line_of_event, (row[1:] for row in rows)))
        count(Lines(lines), Lines(_included(lines)))
        last = rows[-1][0]


def _included(lines: Sequence[_Line]) -> list[_Line]:
    """Those that are part of their link's imported count, which has as many fewer from now on."""
    ids = ", ".join(map(str, {line[0] for line in lines}))
    counts = f"SELECT url_id, clicks FROM imported_counts WHERE clicks > 0 AND url_id IN ({ids})"
    left: dict[int, int] = dict(db.execute_sql(counts).fetchall())
    used: Counter[int] = Counter()
    included = []
    for line in lines:
        if used[line[0]] < left.get(line[0], 0):
            used[line[0]] += 1
            included.append(line)
    if included:
        values = ", ".join(f"({url_id}, {clicks})" for url_id, clicks in used.items() if clicks)
        db.execute_sql(_USE.format(values))
    return included


# ---- conflicts ----

_CONFLICT = (
    f"{{staged}}.fate IN ({STORED}, {REPEAT}) AND urls.id = {{staged}}.target "
    "AND (urls.deleted_at IS NOT NULL OR urls.original_url <> {staged}.original_url)"
)
NO_CONFLICT = f" AND NOT EXISTS (SELECT 1 FROM urls WHERE {_CONFLICT})"


class Conflict(NamedTuple):
    """A row whose code another link has: its file, its line and the code."""

    file: int
    line: int
    short_code: str


Conflicts = tuple[Counter[int], list[Conflict]]
"""By file, how many there are; and the first ones. They count as rows that are stored already."""


def conflicts(kind: Kind, most: int) -> Conflicts:
    """Rows with the code of another link: one that leads elsewhere, or that is deleted."""
    return _found(kind, f"{{staged}}, urls WHERE {_CONFLICT}", most)


def drop_retired(kind: Kind, most: int) -> Conflicts:
    """Drops the rows with codes that links of deleted users had."""
    retired = "{staged}.short_code IN (SELECT short_code FROM retired_codes)"
    found = _found(kind, f"{{staged}} WHERE {retired}", most)
    if found[1]:
        run(kind, f"DELETE FROM {{staged}} WHERE {retired}")
    return found


def _found(kind: Kind, rows: str, most: int) -> Conflicts:
    counts = run(kind, f"SELECT n / {PLACES}, count(*) FROM {rows} GROUP BY 1").fetchall()
    by_file = Counter({int(file): int(number) for file, number in counts})
    order = f"ORDER BY n LIMIT {most}"
    first = f"SELECT n, {{staged}}.short_code FROM {rows} {order}"
    found = run(kind, first).fetchall() if by_file else []
    return by_file, [Conflict(*place_of(n), code) for n, code in found]
