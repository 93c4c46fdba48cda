"""How many people followed each of some links on each of the last seven days."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from app.models import ClickHour
from app.redirects import rollups
from app.services import tables

DAYS = 7


def people(url_ids: Sequence[int], zone: ZoneInfo) -> dict[int, list[int]]:
    """By link, seven counts, today's last; days begin at the full hour nearest to midnight."""
    found = {url_id: [0] * DAYS for url_id in url_ids}
    if not found:
        return found
    rollups.fold()
    offset = datetime.now(zone).utcoffset()
    shift = round(offset.total_seconds() / 3600) if offset else 0
    first = (int(time.time()) // 3600 + shift) // 24 - DAYS + 1
    wanted: tables.Conditions = {
        f"url_id IN ({tables.marks(url_ids)})": tuple(url_ids),
        "hour >= ?": (first * 24 - shift,),
    }
    day = f"(hour + {shift}) / 24"
    rest = f"GROUP BY url_id, {day}"
    rows = tables.select(f"url_id, {day}, sum(people)", ClickHour, wanted, rest)
    for url_id, day_number, count in rows:
        if 0 <= day_number - first < DAYS:
            found[url_id][day_number - first] += int(count)
    return found
