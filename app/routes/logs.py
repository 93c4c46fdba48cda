"""/logs over HTTP."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request

from app import logs
from app.routes.given import given
from app.routes.inputs import declares
from app.schemas import LogEntry, LogSearch

bp = Blueprint("logs", __name__)

_SEARCHES = ("limit", "filter", "level")


@bp.get("/logs")
@declares(answer=list[LogEntry] | LogSearch)
def list_logs() -> Any:
    """The newest log entries, oldest first; with limit, filter or level, those that match, and how many."""
    if not any(name in request.args for name in _SEARCHES):
        return logs.tail(given.log_file, _number("lines", 100, 1000))
    most = _number("limit", 50, 200)
    found = logs.tail(given.log_file, most, request.args.get("filter", ""), request.args.get("level", ""))
    return {"count": len(found), "logs": found}


def _number(name: str, default: int, most: int) -> int:
    text = request.args.get(name, "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    return min(number, most) if number >= 1 else default
