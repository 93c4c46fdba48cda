"""The earlier versions of a link, as its page shows them: what restoring each would change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.routes.gate import may
from app.schemas import ListQuery, check
from app.services import paging, states, versions

_PER_PAGE = 10
LABELS = {
    "original_url": "URL",
    "title": "Title",
    "is_active": "Active",
    "expires_at": "Expires at",
    "expired_url": "URL when expired",
    "max_clicks": "Click limit",
    "redirect_status": "Redirect status",
    "forward_query": "Forward the query",
    "tags": "Tags",
}
"""What pages call each of states.RESTORED."""


def shown(url: Any, number: str) -> dict[str, Any]:
    """The versions on the page `number`, and the numbers of the pages around it."""
    query = check(ListQuery, {"page": number, "per_page": _PER_PAGE})
    page = versions.page(url.id, query)
    around = paging.around(page, query)
    links = {way: f"?versions={to}#versions" for way, to in around.items()}
    return {"rows": _rows(url, page.rows), "around": links}


def _rows(url: Any, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    numbers = [row["version"] for row in rows]
    who = versions.authors(url, numbers) if may("admin") else {}
    present = states.state_of(url)
    return [
        {
            "version": row["version"],
            "at": row["at"],
            "action": row["action"],
            "who": who.get(row["version"], ""),
            "is_present": row["version"] == url.version,
            "differs": _differing(row, present),
        }
        for row in rows
    ]


def _differing(row: dict[str, Any], present: dict[str, Any]) -> list[tuple[str, str]]:
    """What would be otherwise than now, by its label."""
    names = [name for name in LABELS if row[name] != present[name]]
    return [(LABELS[name], _text(row[name])) for name in names]


def _text(value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    return ", ".join(value) if isinstance(value, list) else str(value)
