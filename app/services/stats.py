"""Statistics of one link, or of many: read from roll-ups, at a cost that no click changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, NamedTuple

from app.errors import InvalidInput
from app.models import ClickDay, ClickHour
from app.redirects import rollups
from app.redirects.counting import NO_LINK, orphans
from app.redirects.drain import drain
from app.redirects.rollups import ALL_LINKS
from app.schemas import AllStatsQuery, StatsQuery
from app.services import access, shares, tables, urls
from app.services.shares import ONE

MOST_POINTS, LEAST_DAYS = 1000, 7
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


def of_url(url_id: int, query: StatsQuery, whole: bool = False) -> dict[str, Any]:
    """A link and its statistics; raises NotFound.

    `whole`: from the first day with a click on, and `is_cut` is whether there were earlier ones.
    """
    _range(query)  # refuses it before anything is counted
    _settle()
    url = urls.require(url_id)
    found = _statistics({ONE: (url_id,)}, query, whole)
    return {"url": url, "redirect_count": url.click_count, **found}


def of_all(query: AllStatsQuery, whole: bool = False) -> dict[str, Any]:
    """The same for all links, deleted ones too, or for those of a tag or user."""
    _range(query)  # refuses it before anything is counted
    _settle()
    return _statistics(_links(query), query, whole, {ONE: (NO_LINK,), **access.visible_clicks()})


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
    return links or {ONE: (ALL_LINKS,)}


def _range(query: StatsQuery) -> Range:
    """Raises InvalidInput for one that is empty, too long, or whose hours are not kept."""
    last = _last(query)
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


def _last(query: StatsQuery) -> date:
    return query.to or datetime.now(query.zone()).date()


def _whole(query: StatsQuery, begins: date | None) -> tuple[Range, bool]:
    """The days since the first click, at least a week; whether some are left out."""
    last = _last(query)
    longest, least = (last - timedelta(days=days - 1) for days in (MOST_POINTS, LEAST_DAYS))
    first = max(longest, min(begins or last, least))
    if query.by == "hour":
        kept = first_day_by_hour(query)
        return Range(max(first, kept), last, query), kept > first
    return Range(first, last, query), begins is not None and begins < longest


def _refused(why: str) -> InvalidInput:
    return InvalidInput(f"from: {why}", errors={"from": why})


def _statistics(
    links: tables.Conditions,
    query: StatsQuery,
    whole: bool,
    nowhere: tables.Conditions | None = None,
) -> dict[str, Any]:
    """`nowhere` is true of visits that led to no link."""
    clicks = _counted(links)
    shown, is_cut = _whole(query, clicks.first_day(query)) if whole else (_range(query), False)
    series = _series(clicks, shown)
    totals = {who: sum(point[who] for point in series) for who in ("people", "robots")}
    found = {"totals": totals, "series": series, **shares.of(links, clicks.total())}
    if nowhere:
        visits = _series(_counted(nowhere), shown)
        found["orphans"] = [{"date": each["date"], "visits": each["people"]} for each in visits]
    return {**found, "is_cut": is_cut} if whole else found


# ---- by time ----


class Clicks(NamedTuple):
    """How many people and robots there were: by hour as far as hours are kept, before by day."""

    days: dict[int, list[int]]
    hours: dict[int, list[int]]

    def total(self) -> list[int]:
        pairs = [*self.days.values(), *self.hours.values()]
        return [sum(pair[who] for pair in pairs) for who in (0, 1)]

    def first_day(self, query: StatsQuery) -> date | None:
        if self.days:
            return _EPOCH + timedelta(days=min(self.days))
        return _moment(min(self.hours), query).date() if self.hours else None


def _counted(links: tables.Conditions) -> Clicks:
    """Of all time: for many links each table is read once, which is what takes long."""
    return Clicks(_counts(ClickDay, "day", links), _counts(ClickHour, "hour", links))


def _counts(table: Any, unit: str, links: tables.Conditions) -> dict[int, list[int]]:
    """Of each day or hour that has clicks."""
    what = f"{unit}, sum(people), sum(robots)"
    rows = tables.select(what, table, links, f"GROUP BY {unit}").fetchall()
    return {int(number): [int(people), int(robots)] for number, people, robots in rows}


def _series(clicks: Clicks, shown: Range) -> list[dict[str, Any]]:
    points = _by_hour(clicks, shown) if shown.query.by == "hour" else _by_day(clicks, shown)
    return [{"date": name, "people": ps, "robots": rs} for name, (ps, rs) in points.items()]


Points = dict[str, list[int]]


def _by_hour(clicks: Clicks, shown: Range) -> Points:
    zone = shown.query.zone()
    return {
        datetime.fromtimestamp(hour * 3600, zone).isoformat(): clicks.hours.get(hour, [0, 0])
        for hour in shown.hours()
    }


def _by_day(clicks: Clicks, shown: Range) -> Points:
    """Days of the zone as far as hours are kept, days in UTC before that."""
    points: Points = {str(_EPOCH + timedelta(days=day)): [0, 0] for day in shown.days()}
    kept, zone = rollups.first_hour(), shown.query.zone()
    found: list[tuple[int, tzinfo, list[int]]] = [
        (day * 24, UTC, clicks.days[day]) for day in shown.days() if day in clicks.days
    ]
    found += [
        (hour, zone if hour >= kept else UTC, counts) for hour, counts in clicks.hours.items()
    ]
    for hour, where, counts in found:
        name = str(datetime.fromtimestamp(hour * 3600, where).date())
        if name in points:
            points[name] = [sum(pair) for pair in zip(points[name], counts, strict=True)]
    return points
