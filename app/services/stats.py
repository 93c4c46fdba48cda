"""Statistics of one link, or of many: read from roll-ups, at a cost that no click changes."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from app.database import db
from app.errors import InvalidInput
from app.models import ClickDay, ClickHour
from app.redirects import rollups
from app.redirects.counting import DIMENSIONS, NO_LINK, orphans
from app.redirects.drain import drain
from app.redirects.rollups import ALL_LINKS
from app.redirects.visitors import OTHER
from app.schemas import AllStatsQuery, StatsQuery
from app.services import access, tables, urls

MOST_POINTS = 1000
_SHOWN = 20
_ONE = "url_id = ?"
_DAYS, _DAYS_BY_HOUR = 29, 6  # before the last one, where `from` is not given
_EPOCH = date(1970, 1, 1)


class Range(NamedTuple):
    """The days of a query, both inclusive, in its zone."""

    first: date
    last: date
    query: StatsQuery

    def hours(self) -> range:
        """The hours that begin in these days."""
        start, end = (
            _midnight(day, self.query) for day in (self.first, self.last + timedelta(days=1))
        )
        return range(-(-start // 3600), -(-end // 3600))

    def days(self) -> range:
        return range((self.first - _EPOCH).days, (self.last - _EPOCH).days + 1)


def _midnight(day: date, query: StatsQuery) -> int:
    """In seconds from 1970 on."""
    return int(datetime(day.year, day.month, day.day, tzinfo=query.zone()).timestamp())


def of_url(url_id: int, query: StatsQuery) -> dict[str, Any]:
    """A link and its statistics; raises NotFound."""
    shown = _range(query)
    _settle()
    url = urls.require(url_id)
    found = _statistics({_ONE: (url_id,)}, shown)
    return {"url": url, "redirect_count": url.click_count, **found}


def of_all(query: AllStatsQuery) -> dict[str, Any]:
    """The same for all links, deleted ones too, or for those of a tag or user."""
    shown = _range(query)
    _settle()
    visits = _series({_ONE: (NO_LINK,), **access.visible_clicks()}, shown)
    shown_visits = [{"date": point["date"], "visits": point["people"]} for point in visits]
    return {**_statistics(_links(query), shown), "orphans": shown_visits}


def first_day(query: StatsQuery, url_id: int | None = None) -> date | None:
    """The first day with a click on the link, or the links of `query`; None without clicks."""
    _settle()
    links = _links(query) if isinstance(query, AllStatsQuery) else {_ONE: (url_id,)}
    days = tables.select("min(day)", ClickDay, links).fetchone()[0]
    if days is not None:
        return _EPOCH + timedelta(days=int(days))
    hour = tables.select("min(hour)", ClickHour, links).fetchone()[0]
    return None if hour is None else _moment(int(hour), query).date()


def first_day_by_hour(query: StatsQuery) -> date:
    """The first day of which all hours are kept."""
    kept = rollups.first_hour()
    day = _moment(kept, query).date()
    return day if _midnight(day, query) >= kept * 3600 else day + timedelta(days=1)


def _moment(hour: int, query: StatsQuery) -> datetime:
    return datetime.fromtimestamp(hour * 3600, query.zone())


def _settle() -> None:
    """Counts everything up to now."""
    drain.run()
    orphans.flush()
    rollups.fold()


_TAGGED = "url_id IN (SELECT url_id FROM url_tags WHERE tag = ?)"
_OWNED = "url_id IN (SELECT id FROM urls WHERE user_id = ?)"


def _links(query: AllStatsQuery) -> tables.Conditions:
    links: tables.Conditions = {}
    if query.tag is not None:
        links[_TAGGED] = (query.tag.replace("\0", ""),)
    if query.user_id is not None:
        links[_OWNED] = (query.user_id if tables.possible(query.user_id) else 0,)
    links |= access.visible_clicks()
    return links or {_ONE: (ALL_LINKS,)}


def _range(query: StatsQuery) -> Range:
    """Raises InvalidInput for one that is empty, too long, or whose hours are not kept."""
    last = query.to or datetime.now(query.zone()).date()
    before = timedelta(days=_DAYS if query.by == "day" else _DAYS_BY_HOUR)
    shown = Range(query.first or max(last - before, _EPOCH), last, query)
    if shown.first > shown.last:
        raise _refused(f"must not be after to, which is {last}")
    if len(shown.days() if query.by == "day" else shown.hours()) > MOST_POINTS:
        raise _refused(f"must be nearer to {last}: at most {MOST_POINTS} points are shown")
    if query.by == "hour" and shown.hours()[0] < rollups.first_hour():
        kept = f"{rollups.HOURS_KEPT_DAYS} days"
        raise _refused(f"must not be {shown.first}: hours are kept for {kept}")
    return shown


def _refused(why: str) -> InvalidInput:
    return InvalidInput(f"from: {why}", errors={"from": why})


def _statistics(links: tables.Conditions, shown: Range) -> dict[str, Any]:
    series = _series(links, shown)
    totals = {who: sum(point[who] for point in series) for who in ("people", "robots")}
    return {"totals": totals, "series": series, **_shares(links)}


# ---- by time ----


def _series(links: tables.Conditions, shown: Range) -> list[dict[str, Any]]:
    points = _by_hour(links, shown) if shown.query.by == "hour" else _by_day(links, shown)
    return [{"date": name, "people": ps, "robots": rs} for name, (ps, rs) in points.items()]


Points = dict[str, list[int]]


def _by_hour(links: tables.Conditions, shown: Range) -> Points:
    zone = shown.query.zone()
    names = {hour: datetime.fromtimestamp(hour * 3600, zone).isoformat() for hour in shown.hours()}
    points: Points = {name: [0, 0] for name in names.values()}
    for hour, *counts in _counts(ClickHour, "hour", links, shown.hours()):
        points[names[hour]] = counts
    return points


def _by_day(links: tables.Conditions, shown: Range) -> Points:
    """Days of the zone as far as hours are kept, days in UTC before that."""
    points: Points = {str(_EPOCH + timedelta(days=day)): [0, 0] for day in shown.days()}
    kept, zone, days = rollups.first_hour(), shown.query.zone(), shown.days()
    old = range(days.start * 24, min(days.stop * 24, kept))  # hours that are no days yet
    new = range(max(shown.hours().start, kept), max(shown.hours().stop, kept))
    found = [
        *((day * 24, UTC, counts) for day, *counts in _counts(ClickDay, "day", links, days)),
        *((hour, UTC, counts) for hour, *counts in _counts(ClickHour, "hour", links, old)),
        *((hour, zone, counts) for hour, *counts in _counts(ClickHour, "hour", links, new)),
    ]
    for hour, where, counts in found:
        name = str(datetime.fromtimestamp(hour * 3600, where).date())
        points[name] = [sum(pair) for pair in zip(points[name], counts, strict=True)]
    return points


def _counts(table: Any, unit: str, links: tables.Conditions, within: range) -> list[list[int]]:
    """Each day or hour that has clicks, how many of people, and of robots."""
    if not within:
        return []
    wanted = {**links, f"{unit} BETWEEN ? AND ?": (within.start, within.stop - 1)}
    what = f"{unit}, sum(people), sum(robots)"
    rows = tables.select(what, table, wanted, f"GROUP BY {unit}").fetchall()
    return [list(map(int, row)) for row in rows]


# ---- by value ----

_RANKED = """
SELECT dimension, value, people, robots, all_people, all_robots FROM (
    SELECT dimension, value, people, robots, sum(people) OVER all_values AS all_people,
        sum(robots) OVER all_values AS all_robots, row_number() OVER (
            PARTITION BY dimension ORDER BY people DESC, robots DESC, value
        ) AS place
    FROM ({values}) AS of_links WINDOW all_values AS (PARTITION BY dimension)
) AS ranked WHERE place <= {shown} OR value = 'other'
"""
_OF_ONE = "SELECT dimension, value, people, robots FROM click_values WHERE {links}"
_OF_MANY = """
SELECT dimension, value, CAST(sum(people) AS BIGINT) AS people,
    CAST(sum(robots) AS BIGINT) AS robots
FROM click_values WHERE {links} GROUP BY dimension, value
"""
_ALL = """
SELECT coalesce(sum(people), 0), coalesce(sum(robots), 0) FROM (
    SELECT people, robots FROM click_days WHERE {links}
    UNION ALL SELECT people, robots FROM click_hours WHERE {links}
) AS of_all_time
"""
_REST = {"browser": OTHER, "system": OTHER, "device": OTHER, "referrer": "direct"}
"""What clicks have that have no stored value."""


def _shares(links: tables.Conditions) -> dict[str, list[dict[str, Any]]]:
    """The values that most people had, of all time."""
    total = [int(number) for number in _run(_ALL, links, 2)[0]]
    found: dict[str, Counter[tuple[str, bool]]] = {name: Counter() for name in DIMENSIONS}
    rest = dict.fromkeys(_REST, total)
    values = _OF_ONE if _ONE in links else _OF_MANY
    for dimension, value, people, robots, *of_all in _run(
        _RANKED.format(values=values, shown=_SHOWN), links
    ):
        found[dimension].update({(value, False): int(people), (value, True): int(robots)})
        if dimension in rest:
            rest[dimension] = [int(a - b) for a, b in zip(total, of_all, strict=True)]
    for dimension, (people, robots) in rest.items():
        value = _REST[dimension]
        found[dimension].update({(value, False): people, (value, True): robots})
    return {f"{dimension}s": _most(counts) for dimension, counts in found.items()}


def _most(counts: Counter[tuple[str, bool]]) -> list[dict[str, Any]]:
    shares: list[dict[str, Any]] = [
        {"value": value, "people": counts[value, False], "robots": counts[value, True]}
        for value in {value for value, _ in counts}
        if counts[value, False] or counts[value, True]
    ]
    shares.sort(key=lambda share: (-share["people"], -share["robots"], share["value"]))
    return shares[:_SHOWN]


def _run(sql: str, links: tables.Conditions, times: int = 1) -> list[Any]:
    """The rows of a query that names the links so many times."""
    text = sql.format(links=" AND ".join(links)).replace("?", db.param)
    found: list[Any] = db.execute_sql(
        text, [value for each in links.values() for value in each] * times
    ).fetchall()
    return found
