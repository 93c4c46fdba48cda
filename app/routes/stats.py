"""/stats over HTTP."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from app.routes.inputs import declares
from app.schemas import AllStatsQuery, Stats
from app.services import stats

bp = Blueprint("stats", __name__)


@bp.get("/stats")
@declares(query=AllStatsQuery, answer=Stats, errors=(400,), scope="read")
def get_stats(query: AllStatsQuery) -> dict[str, Any]:
    """How often all links were followed, by whom, or those of a tag or user."""
    return stats.of_all(query)
