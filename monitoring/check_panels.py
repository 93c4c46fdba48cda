"""Checks every panel against a live Prometheus: `python -m monitoring.check_panels URL`."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import urlopen

_DASHBOARDS = Path(__file__).parent / "grafana" / "dashboards"
_VARIABLES = {"$__rate_interval": "1m", "$instance": ".+"}
_LOOK_BACK_SECONDS, _STEP_SECONDS = 120, 5

Panel = dict[str, Any]


def dashboards() -> dict[str, dict[str, Any]]:
    return {
        path.name: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(_DASHBOARDS.glob("*.json"))
    }


def queries(panel: Panel) -> list[str]:
    """What the panel asks, as Grafana would with its variables at their defaults."""
    asked = [target["expr"] for target in panel.get("targets", [])]
    for variable, value in _VARIABLES.items():
        asked = [query.replace(variable, value) for query in asked]
    return asked


def overlaps(panels: list[Panel]) -> Iterator[str]:
    for one, other in combinations(panels, 2):
        if all(_meet(one["gridPos"], other["gridPos"], *axis) for axis in (("x", "w"), ("y", "h"))):
            yield f"{one['title']} lies over {other['title']}"


def _meet(one: dict[str, int], other: dict[str, int], start: str, length: str) -> bool:
    return one[start] < other[start] + other[length] and other[start] < one[start] + one[length]


def trouble_of(prometheus: str, query: str) -> str:
    """Why the query shows nothing; "" when it shows something."""
    now = time.time()
    asked = urlencode(
        {"query": query, "start": now - _LOOK_BACK_SECONDS, "end": now, "step": _STEP_SECONDS}
    )
    try:
        with urlopen(f"{prometheus}/api/v1/query_range?{asked}", timeout=10) as reply:
            series = json.load(reply)["data"]["result"]
    except HTTPError as error:
        return error.read().decode(errors="replace")
    values = [float(value) for each in series for _, value in each["values"]]
    return "" if any(not math.isnan(value) for value in values) else "no data"


def troubles(prometheus: str) -> Iterator[str]:
    for name, dashboard in dashboards().items():
        for overlap in overlaps(dashboard["panels"]):
            yield f"{name}: {overlap}"
        for panel in dashboard["panels"]:
            for query in queries(panel):
                trouble = trouble_of(prometheus, query)
                if trouble:
                    yield f"{name}: {panel['title']}: {trouble}: {query}"


def main(prometheus: str) -> int:
    asked = sum(
        len(queries(panel)) for dashboard in dashboards().values() for panel in dashboard["panels"]
    )
    try:
        found = list(troubles(prometheus.rstrip("/")))
    except URLError as error:
        found = [f"Prometheus does not answer: {error.reason}"]
    for trouble in found:
        print(trouble)
    print(f"{asked} queries of {len(dashboards())} dashboards, {len(found)} troubles")
    return 1 if found or not asked else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:9090"))
