"""What pages of statistics share: the days that the address asks for, and what is shown of them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from flask import request

from app.errors import InvalidInput
from app.pages import charts, zones
from app.redirects.rollups import HOURS_KEPT_DAYS
from app.schemas import StatsQuery, check
from app.services import stats

_DAYS = {"7": 7, "30": 30, "90": 90, "all": stats.MOST_POINTS}
_LEAST = 7
_FILTERS = ("tag", "user_id", "by")
_VALUES = ("referrers", "browsers", "systems", "devices", "campaigns")
_SHOWN = 10


class Asked(NamedTuple):
    """`days` is one of 7, 30, 90 and all; `note` says why fewer are shown."""

    query: Any
    days: str
    note: str


def asked(schema: type[StatsQuery], url_id: int | None = None) -> Asked:
    """The query of the API for what the address says; raises InvalidInput."""
    days = request.args.get("days", "30")
    if days not in _DAYS:
        why = f"must be {', '.join(_DAYS)}"
        raise InvalidInput(f"days: {why} (got {ascii(days)[:100]})", errors={"days": why})
    given = {name: value for name in _FILTERS if (value := request.args.get(name, "").strip())}
    query = check(schema, {**given, "tz": zones.name()})
    last = datetime.now(query.zone()).date()
    first, note = _first(query, last, days, url_id)
    return Asked(query.model_copy(update={"first": first, "to": last}), days, note)


def _first(query: StatsQuery, last: date, days: str, url_id: int | None) -> tuple[date, str]:
    """The first day that is shown, and why it is no earlier one."""
    first, note = last - timedelta(days=_DAYS[days] - 1), ""
    if days == "all":
        begins = stats.first_day(query, url_id) or last
        note = f"The last {stats.MOST_POINTS:,} days." if begins < first else ""
        first = max(first, min(begins, last - timedelta(days=_LEAST - 1)))
    kept = stats.first_day_by_hour(query) if query.by == "hour" else first
    return (kept, f"Hours are kept for {HOURS_KEPT_DAYS} days.") if kept > first else (first, note)


def context(shown: Asked, found: dict[str, Any]) -> dict[str, Any]:
    """What statistics.html shows; `found` is what the service answered."""
    query = shown.query
    return {
        "totals": found["totals"],
        "chart": charts.drawn(found["series"], query.by),
        "shares": {name: found[name][:_SHOWN] for name in _VALUES},
        "note": shown.note,
        "days": [(name, _with(days=name), name == shown.days) for name in _DAYS],
        "by": [(name, _with(by=name), name == query.by) for name in ("day", "hour")],
        "asked": {
            name: request.args.get(name, "") for name in ("days", "by") if name in request.args
        },
    }


def _with(**changes: str) -> str:
    kept = {name: request.args[name] for name in ("days", *_FILTERS) if name in request.args}
    return f"{request.path}?{urlencode({**kept, **changes})}"
