"""The statistics of all links, of those with a tag, or of those of a user."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from flask import Blueprint, Response, request

from app.database import DatabaseUnavailable
from app.errors import InvalidInput
from app.pages import forms, statistics
from app.pages.declaring import page
from app.pages.showing import show, streamed
from app.pages.statistics import Asked
from app.schemas import AllStatsQuery
from app.services import access, stats

log = logging.getLogger(__name__)
bp = Blueprint("overview", __name__)


@bp.get("/overview")
@page(scope="see")
def view() -> Response:
    """How often links were followed, and by whom."""
    values = {name: request.args.get(name, "") for name in ("tag", "user_id")}
    try:
        asked = statistics.asked(AllStatsQuery)
    except InvalidInput as error:
        errors = forms.problems(error)
        if not errors.keys() <= values.keys():
            raise
        return show("overview.html", 400, values=values, errors=errors)
    given = {name: request.args[name] for name in ("days", "by") if name in request.args}
    shown = {"values": values, "errors": {}, "asked": given}
    if any(values.values()):
        return streamed("overview.html", count=partial(_count_later, asked), **shown)
    return show("overview.html", count=partial(_count, asked), **shown)


def _count(asked: Asked) -> dict[str, Any]:
    found = stats.of_all(asked.query, asked.whole)
    return {**statistics.context(asked, found), "orphans": _orphans(found)}


def _count_later(asked: Asked) -> dict[str, Any] | None:
    """The same when the status is sent already; None for a database that is unavailable."""
    try:
        return _count(asked)
    except DatabaseUnavailable as error:
        log.warning("the clicks of many links are not counted: %s", error)
        return None


def _orphans(found: dict[str, Any]) -> int | None:
    """Visits that led to no link, which only who sees all links may know."""
    return None if access.visible() else sum(point["visits"] for point in found["orphans"])
