"""The values that most clicks of some links have: their browsers, systems, referrers and so on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from app.database import db
from app.redirects.counting import DIMENSIONS
from app.redirects.visitors import OTHER
from app.services import tables

ONE = "url_id = ?"
"""The condition of one link, whose values need no summing up."""
_SHOWN = 20

_RANKED = """
SELECT dimension, value, people, robots, all_people, all_robots FROM (
    SELECT dimension, value, people, robots, sum(people) OVER all_values AS all_people,
        sum(robots) OVER all_values AS all_robots, row_number() OVER (
            PARTITION BY dimension ORDER BY people DESC, robots DESC, value
        ) AS place
    FROM ({values}) AS of_links WINDOW all_values AS (PARTITION BY dimension)
) AS ranked WHERE place <= {shown} OR value = 'other'
"""
_OF_ONE = "SELECT dimension, value, people, robots FROM click_values WHERE {links}"
_OF_MANY = """
SELECT dimension, value, CAST(sum(people) AS BIGINT) AS people,
    CAST(sum(robots) AS BIGINT) AS robots
FROM click_values WHERE {links} GROUP BY dimension, value
"""
_REST = {"browser": OTHER, "system": OTHER, "device": OTHER, "referrer": "direct"}
"""What clicks have that have no stored value."""


def of(links: tables.Conditions, total: Sequence[int]) -> dict[str, list[dict[str, Any]]]:
    """The values that most people had, of all time; `total`: how many people and robots did."""
    found: dict[str, Counter[tuple[str, bool]]] = {name: Counter() for name in DIMENSIONS}
    rest = dict.fromkeys(_REST, total)
    values = _OF_ONE if ONE in links else _OF_MANY
    for dimension, value, people, robots, *of_all in _run(
        _RANKED.format(values=values, shown=_SHOWN), links
    ):
        found[dimension].update({(value, False): int(people), (value, True): int(robots)})
        if dimension in rest:
            rest[dimension] = [int(a - b) for a, b in zip(total, of_all, strict=True)]
    for dimension, (people, robots) in rest.items():
        value = _REST[dimension]
        found[dimension].update({(value, False): people, (value, True): robots})
    return {f"{dimension}s": _most(counts) for dimension, counts in found.items()}


def _most(counts: Counter[tuple[str, bool]]) -> list[dict[str, Any]]:
    shares: list[dict[str, Any]] = [
        {"value": value, "people": counts[value, False], "robots": counts[value, True]}
        for value in {value for value, _ in counts}
        if counts[value, False] or counts[value, True]
    ]
    shares.sort(key=lambda share: (-share["people"], -share["robots"], share["value"]))
    return shares[:_SHOWN]


def _run(sql: str, links: tables.Conditions) -> list[Any]:
    text = sql.format(links=" AND ".join(links)).replace("?", db.param)
    found: list[Any] = db.execute_sql(text, tables.values_of(links)).fetchall()
    return found
