"""Counts the clicks among imported events: on their links, and in the journal of clicks.

The database sums them up first. A link that was imported with a count has counted its earlier
clicks, so as many of them as `imported_counts` says are not added to the link's own numbers.
"""

from __future__ import annotations

import json
from functools import lru_cache

from app import database
from app.database import db
from app.imports.columns import Kind as KindOfFile
from app.imports.inserting import has_any
from app.imports.staging import NEW
from app.redirects.counting import Lines, note
from app.redirects.rollups import first_hour
from app.redirects.visitors import Kind

_LINES = 5000  # of a row of the journal
_NEW = f"{{staged}}.fate = {NEW} AND {{staged}}.counted_as IS NOT NULL AND {{staged}}.url_id > 0"
# Hours count from 1970. Division rounds to zero, so they are made positive before it.
_SHIFT = 24 * 1_000_000
_HOUR = f"(({{epoch}} + {_SHIFT * 3600}) / 3600 - {_SHIFT})"
_DAY = f"(({{epoch}} + {_SHIFT * 3600}) / 86400 * 24 - {_SHIFT})"  # its first hour

_SUMS = """
CREATE TEMPORARY TABLE import_clicks AS
SELECT url_id, hour, counted_as, clicks,
    (row_number() OVER (ORDER BY url_id) - 1) / {page} AS page
FROM (
    SELECT url_id, CASE WHEN {hour} < {kept} THEN {day} ELSE {hour} END AS hour, counted_as,
        count(*) AS clicks
    FROM {staged} WHERE {new} GROUP BY 1, 2, 3
) AS sums
"""
_INCLUDED = """
CREATE TEMPORARY TABLE included_clicks AS
SELECT url_id, counted_as, -count(*) AS clicks FROM (
    SELECT {staged}.url_id, counted_as, clicks AS room,
        row_number() OVER (PARTITION BY {staged}.url_id ORDER BY n) AS place
    FROM {staged} JOIN imported_counts ON imported_counts.url_id = {staged}.url_id
    WHERE {new} AND clicks > 0
) AS placed WHERE place <= room GROUP BY url_id, counted_as
"""
_USE = """
UPDATE imported_counts SET clicks = imported_counts.clicks + used.clicks
FROM (SELECT url_id, sum(clicks) AS clicks FROM included_clicks GROUP BY url_id) AS used
WHERE imported_counts.url_id = used.url_id
"""
_LOCK = """
SELECT count(*) FROM (SELECT id FROM urls WHERE id IN (SELECT url_id FROM import_clicks)
ORDER BY id FOR NO KEY UPDATE) AS locked
"""
_ADD = """
UPDATE urls SET click_count = click_count + more.people + more.robots,
    people_count = people_count + more.people, robot_count = robot_count + more.robots
FROM (
    SELECT url_id, sum(CASE WHEN {robot} THEN 0 ELSE clicks END) AS people,
        sum(CASE WHEN {robot} THEN clicks ELSE 0 END) AS robots
    FROM {clicks} GROUP BY url_id
) AS more WHERE urls.id = more.url_id
"""
_ROBOT = "substr(counted_as, 2, 4) = 'true'"
_PAGE = "SELECT url_id, hour, counted_as, clicks FROM import_clicks WHERE page = {}"


def count_clicks(kind: KindOfFile) -> None:
    """Counts the clicks among the new events, in the running transaction."""
    if not has_any(kind, _NEW):
        return
    database.lock("drain")  # which counts many links at once too, in another order
    _sum_up(kind)
    if database.dialect().locks_rows:
        db.execute_sql(_LOCK)  # in the order of their ids, as all who lock many links
    db.execute_sql(_ADD.format(clicks="import_clicks", robot=_ROBOT))
    if db.execute_sql("SELECT 1 FROM imported_counts WHERE clicks > 0 LIMIT 1").fetchone():
        _take_included(kind)
    _note_pages()
    db.execute_sql("DROP TABLE import_clicks")


def _sum_up(kind: KindOfFile) -> None:
    """One row for each link, hour and kind: by the day where the roll-ups keep no hours."""
    epoch = database.dialect().epoch.format("timestamp")
    hour, day = _HOUR.format(epoch=epoch), _DAY.format(epoch=epoch)
    _run(kind, _SUMS, hour=hour, day=day, kept=first_hour(), page=_LINES)


def _take_included(kind: KindOfFile) -> None:
    _run(kind, _INCLUDED)
    db.execute_sql(_ADD.format(clicks="included_clicks", robot=_ROBOT))
    db.execute_sql(_USE)
    db.execute_sql("DROP TABLE included_clicks")


def _run(kind: KindOfFile, sql: str, **parts: object) -> None:
    new = _NEW.format(staged=kind.staged)
    db.execute_sql(sql.format(staged=kind.staged, new=new, **parts))


def _note_pages() -> None:
    db.execute_sql("CREATE INDEX import_clicks_page ON import_clicks (page)")
    page = 0
    while rows := db.execute_sql(_PAGE.format(page)).fetchall():
        note(Lines({(url_id, hour, _read(text)): clicks for url_id, hour, text, clicks in rows}))
        page += 1


@lru_cache(1000)
def _read(counted_as: str) -> Kind:
    return Kind(*json.loads(counted_as))
