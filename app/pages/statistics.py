"""What pages of statistics share: the days that the address asks for, and what is shown of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import urlencode

from flask import request

from app.errors import InvalidInput
from app.pages import charts, zones
from app.redirects.rollups import HOURS_KEPT_DAYS
from app.schemas import StatsQuery, check
from app.services import stats

_DAYS = ("7", "30", "90", "all")
_CUT = {
    "day": f"The last {stats.MOST_POINTS:,} days.",
    "hour": f"Hours are kept for {HOURS_KEPT_DAYS} days.",
}
_FILTERS = ("tag", "user_id", "by")
_VALUES = ("referrers", "browsers", "systems", "devices", "campaigns")
_SHOWN = 10


class Asked(NamedTuple):
    """`days` is one of 7, 30, 90 and all; `note` says why fewer are shown."""

    query: Any
    days: str
    note: str

    @property
    def whole(self) -> bool:
        return self.days == "all"


def asked(schema: type[StatsQuery]) -> Asked:
    """The query of the API for what the address says; raises InvalidInput."""
    days = request.args.get("days", "30")
    if days not in _DAYS:
        why = f"must be {', '.join(_DAYS)}"
        raise InvalidInput(f"days: {why} (got {ascii(days)[:100]})", errors={"days": why})
    given = {name: value for name in _FILTERS if (value := request.args.get(name, "").strip())}
    query = check(schema, {**given, "tz": zones.name()})
    last, note = datetime.now(query.zone()).date(), ""
    first = None if days == "all" else last - timedelta(days=int(days) - 1)
    if first and query.by == "hour" and (kept := stats.first_day_by_hour(query)) > first:
        first, note = kept, _CUT["hour"]
    return Asked(query.model_copy(update={"first": first, "to": last}), days, note)


def context(shown: Asked, found: dict[str, Any]) -> dict[str, Any]:
    """What statistics.html shows; `found` is what the service answered."""
    query = shown.query
    return {
        "totals": found["totals"],
        "chart": charts.drawn(found["series"], query.by),
        "shares": {name: found[name][:_SHOWN] for name in _VALUES},
        "note": _CUT[query.by] if found.get("is_cut") else shown.note,
        "days": [(name, _with(days=name), name == shown.days) for name in _DAYS],
        "by": [(name, _with(by=name), name == query.by) for name in ("day", "hour")],
    }


def _with(**changes: str) -> str:
    kept = {name: request.args[name] for name in ("days", *_FILTERS) if name in request.args}
    return f"{request.path}?{urlencode({**kept, **changes})}"
