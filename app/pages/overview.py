"""The statistics of all links, of those with a tag, or of those of a user."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from app.errors import InvalidInput
from app.pages import forms, statistics
from app.pages.declaring import page
from app.pages.showing import show
from app.schemas import AllStatsQuery
from app.services import access, stats

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
    found = stats.of_all(asked.query)
    shown = {**statistics.context(asked, found), "orphans": _orphans(found)}
    return show("overview.html", values=values, errors={}, **shown)


def _orphans(found: dict[str, Any]) -> int | None:
    """Visits that led to no link, which only who sees all links may know."""
    return None if access.visible() else sum(point["visits"] for point in found["orphans"])
