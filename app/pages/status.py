"""How this replica and its parts are, in words."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Blueprint, Response, current_app, request

from app.pages.declaring import page
from app.pages.showing import show
from app.proxies import is_inside
from app.routes.gate import may
from app.services import health

_DATABASE = {
    "connected": "answers and takes changes",
    "refusing": "answers, but takes no changes",
    "disconnected": "does not answer",
}
_CACHE = {
    "connected": "answers",
    "disconnected": "does not answer: redirects and clicks go to the database, more slowly",
    "disabled": "redirects and clicks go to the database",
}
_FIGURES = {
    "active_urls": "Links that are on",
    "click_backlog": "Clicks on their way into the database",
    "click_backlog_age_seconds": "Seconds that the oldest of them has waited",
    "cache_updates_due": "Changes of links that Redis has not confirmed",
}

bp = Blueprint("status", __name__)


@bp.get("/status")
@page(scope="public")
def show_status() -> Response:
    """Outsiders learn as much as from GET /health/ready: whether it serves."""
    state = health.ready()
    tells = current_app.config["AUTH"] == "off" or may("admin") or is_inside(request.environ)
    parts = _parts(state) if tells else []
    names = _FIGURES if state.report["cache"] != "disabled" else ("active_urls",)
    return show(
        "status.html",
        200 if state.able else 503,
        able=state.able,
        whole="does not work" not in [how for _, how, _ in parts],
        parts=parts,
        figures=_figures(names) if tells else [],
    )


def _parts(state: health.Readiness) -> list[tuple[str, str, str]]:
    """Each part: its name, whether it works, and how it is."""
    report = state.report
    database, cache, applied = report["database"], report["cache"], report["schema_applied"]
    tables = "are there" if applied else "are missing; the log says why"
    works = {"connected": "works", "disabled": "not used", True: "works"}
    return [
        ("Database", works.get(database, "does not work"), _DATABASE[database]),
        ("Tables", works.get(applied, "does not work"), tables),
        ("Redis", works.get(cache, "does not work"), _CACHE[cache]),
    ]


def _figures(names: Iterable[str]) -> list[tuple[str, float]]:
    """Those that the stores tell in time."""
    found = {name: value for name, _, value in health.readings()}
    return [(_FIGURES[name], found[name]) for name in names if name in found]
