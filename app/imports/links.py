"""What new links bring besides their rows: tags for filters, and counts of earlier clicks.

A link that is imported with a count has counted its earlier clicks. So its click events that are
imported with it, or later, are part of that count: `imported_counts` holds how many more of them
are. Other click events, and clicks that follow, are added: app/imports/clicks.py.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from app import database
from app.imports.columns import Kind
from app.imports.inserting import has_any, run
from app.imports.staging import NEW, NEW_IN_CHAIN, PLACES, REPEAT, STORED, place_of

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


_RANGES = f"""
SELECT min(id), max(id) FROM (
    SELECT urls.id, urls.id - row_number() OVER (ORDER BY urls.id) AS start FROM {_MADE}
) AS made GROUP BY start ORDER BY 1 LIMIT {{most}}
"""
_MOST_RANGES = 1000


def ranges_made(kind: Kind) -> list[list[int]] | None:
    """The ids of new links, as first and last ids; None when they are too scattered."""
    sql = _RANGES.replace("{most}", str(_MOST_RANGES + 1))
    rows = [[int(first), int(last)] for first, last in run(kind, sql).fetchall()]
    return rows if len(rows) <= _MOST_RANGES else None


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
