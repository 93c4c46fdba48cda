"""/logs over HTTP."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, current_app

from app import logfile
from app.logs import request_lines
from app.routes.inputs import declares
from app.schemas import LogEntry, LogQuery, LogSearch

bp = Blueprint("logs", __name__)


@bp.get("/logs")
@declares(query=LogQuery, answer=list[LogEntry] | LogSearch, scope="admin")
def list_logs(query: LogQuery) -> Any:
    """The newest entries, oldest first; with limit, filter or level matching ones and a count."""
    request_lines.write()
    path = current_app.config["LOG_FILE"]
    if not query.is_search():
        return logfile.tail(path, query.lines)
    found = logfile.tail(path, query.limit, query.filter, query.level)
    return {"count": len(found), "logs": found}
