"""Statistics: the queries that ask for them, and the shapes of their answers."""

from __future__ import annotations

import re
from datetime import date
from functools import cache
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, WithJsonSchema

from app.schemas.inputs import Query
from app.schemas.outputs import Out, Url
from app.schemas.rules import QueryInteger, refuse

_DATE = re.compile(r"(19[7-9]|2[0-9]{2})[0-9]-[0-9]{2}-[0-9]{2}")
_zones = cache(available_timezones)  # walks through some hundred files


def _day(value: Any) -> date:
    try:
        if _DATE.fullmatch(str(value)):
            return date.fromisoformat(str(value))
    except ValueError:  # a month of thirteen
        pass
    raise refuse("must be a date such as 2026-01-31")


def is_zone(name: str) -> bool:
    return name in _zones()


def _zone(name: str) -> str:
    if not is_zone(name):
        raise refuse("must be the name of a time zone such as Europe/Berlin")
    return name


def _unit(name: str) -> str:
    if name not in ("day", "hour"):
        raise refuse("must be day or hour")
    return name


_DAY = WithJsonSchema({"type": "string", "format": "date", "examples": ["2026-01-31"]})
_ZONE = WithJsonSchema({"type": "string", "examples": ["Europe/Berlin"]})
_UNIT = WithJsonSchema({"type": "string", "enum": ["day", "hour"], "examples": ["day"]})
_QueryDate = Annotated[date, BeforeValidator(_day), _DAY]


def _named_from() -> Any:
    """`from` is a word of Python's."""
    about = "the first day, by default 29 days before `to` (by hour: 6 days)"
    return Field(None, validation_alias=AliasChoices("from"), description=about)


class StatsQuery(Query):
    first: _QueryDate | None = _named_from()
    to: _QueryDate | None = Field(None, description="the last day, by default today")
    tz: Annotated[str, AfterValidator(_zone), _ZONE] = Field(
        "UTC", description="the IANA name of the time zone of all dates"
    )
    by: Annotated[str, AfterValidator(_unit), _UNIT] = Field(
        "day", description="what a point of the series is; hours are kept for 14 days"
    )

    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.tz)


class AllStatsQuery(StatsQuery):
    tag: str | None = None
    user_id: QueryInteger | None = None


class Totals(Out):
    people: int
    robots: int


class Point(Out):
    date: str = Field(description="A day, or the beginning of an hour with its offset from UTC")
    people: int
    robots: int


class Share(Out):
    value: str
    people: int
    robots: int


class OrphanVisits(Out):
    date: str
    visits: int


class _Statistics(Out):
    totals: Totals
    series: list[Point]
    referrers: list[Share]
    browsers: list[Share]
    systems: list[Share]
    devices: list[Share]
    campaigns: list[Share]


class UrlStats(_Statistics):
    url: Url
    redirect_count: int


class Stats(_Statistics):
    orphans: list[OrphanVisits]
