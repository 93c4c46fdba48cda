"""Writes monitoring/grafana/dashboards: `python -m monitoring.grafana.build`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from monitoring.grafana.panels import (
    GREEN,
    ORANGE,
    RED,
    Row,
    dashboard,
    gauge,
    graph,
    stat,
    text,
    up_or_down,
)
from monitoring.grafana.servers import SERVERS

HERE = Path(__file__).parent
RUNBOOK = HERE.parents[1] / "docs" / "runbook.md"

_REPLICAS = 'job="holdfast", instance=~"$instance"'
_TRAFFIC = f'{_REPLICAS}, endpoint!~"ops.show_(health|readiness|metrics)"'
_FAILED = f'{_TRAFFIC}, status=~"5.."'
_REDIRECTS = f'{_REPLICAS}, endpoint=~"redirects.follow_(code|url)"'


def _rate(metric: str, by: str = "", where: str = _REPLICAS) -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{where}}}[$__rate_interval]))"


def _share(status: str) -> str:
    part = _rate("http_requests_total", where=f'{_TRAFFIC}, status=~"{status}"')
    return f"({part} or vector(0)) / {_rate('http_requests_total', where=_TRAFFIC)}"


def _percentile(part: float, where: str, by: str = "") -> str:
    return (
        f"histogram_quantile({part},"
        f" {_rate('http_request_duration_seconds_bucket', f'le, {by}' if by else 'le', where)})"
    )


def _budget_left(bad: str, allowed: float) -> str:
    """Over the time for which Prometheus keeps its figures."""
    return (
        f"1 - avg_over_time(redirects:{bad}:rate5m[15d]) /"
        f" avg_over_time(redirects:requests:rate5m[15d]) / {allowed}"
    )


_GLANCE: Row = (
    "At a glance",
    5,
    (
        up_or_down("Replicas", {"{{instance}}": f"up{{{_REPLICAS}}}"}),
        stat(
            "Alerts firing",
            {"": 'count(ALERTS{alertstate="firing", alertname!="Watchdog"}) or vector(0)'},
            limits={1: RED},
        ),
        gauge("p95", "holdfast:latency_seconds:p95", "s", {0.5: ORANGE, 2: RED}, 3),
        gauge(
            "5xx share", "holdfast:errors:ratio30s", "percentunit", {0.01: ORANGE, 0.05: RED}, 0.1
        ),
        stat("Requests per second", {"": "holdfast:requests:rate30s"}, "reqps"),
        stat("Active links", {"": "max(active_urls)"}),
        stat(
            "Budget left: errors",
            {"": _budget_left("errors", 0.001)},
            "percentunit",
            {0: ORANGE, 0.25: GREEN},
            RED,
        ),
        stat(
            "Budget left: slowness",
            {"": _budget_left("slow", 0.01)},
            "percentunit",
            {0: ORANGE, 0.25: GREEN},
            RED,
        ),
    ),
)
_LATENCY: Row = (
    "Latency (health checks and scrapes are left out)",
    8,
    (
        graph(
            "p50, p95, p99",
            {f"p{round(part * 100)}": _percentile(part, _TRAFFIC) for part in (0.5, 0.95, 0.99)},
            "s",
            {0.5: ORANGE, 2: RED},
        ),
        graph("p95 by endpoint", {"{{endpoint}}": _percentile(0.95, _TRAFFIC, "endpoint")}, "s"),
        graph(
            "Redirects",
            {f"p{round(part * 100)}": _percentile(part, _REDIRECTS) for part in (0.5, 0.95, 0.99)},
            "s",
            {0.1: RED},
        ),
    ),
)
_WORK: Row = (
    "Traffic",
    8,
    (
        graph(
            "Requests by status",
            {"{{status}}": _rate("http_requests_total", "status", _TRAFFIC)},
            "reqps",
        ),
        graph(
            "Requests by endpoint",
            {"{{endpoint}}": _rate("http_requests_total", "endpoint", _TRAFFIC)},
            "reqps",
        ),
        graph(
            "Requests by replica",
            {"{{instance}}": _rate("http_requests_total", "instance", _TRAFFIC)},
            "reqps",
        ),
        graph(
            "Links",
            {"followed": _rate("redirects_total"), "created": _rate("urls_created_total")},
            "ops",
        ),
    ),
)
_ERRORS: Row = (
    "Errors",
    8,
    (
        graph(
            "4xx and 5xx share",
            {"4xx": _share("4.."), "5xx": _share("5..")},
            "percentunit",
            {0.05: RED},
        ),
        graph(
            "5xx by endpoint",
            {
                "{{endpoint}}": (
                    f"{_rate('http_requests_total', 'endpoint', _FAILED)} or on() vector(0)"
                )
            },
            "reqps",
            about=(
                "What Nginx answers without a replica (502, 504) is not here: its exporter counts"
                " no statuses."
            ),
        ),
        graph(
            "Calls of Redis that failed",
            {
                "{{instance}}": _rate("cache_failures_total", "instance"),
                "{{instance}}, limits unchecked": _rate("limits_unchecked_total", "instance"),
            },
            "ops",
        ),
        graph(
            "Burn rate of the redirects' budgets",
            {
                "errors, 1 h": "redirects:errors:burn1h",
                "errors, 6 h": "redirects:errors:burn6h",
                "slow, 1 h": "redirects:slow:burn1h",
                "slow, 6 h": "redirects:slow:burn6h",
            },
            limits={6: ORANGE, 14.4: RED},
            about="1 uses a month's budget up in a month.",
        ),
    ),
)
_SATURATION: tuple[Row, Row] = (
    (
        "Saturation",
        8,
        (
            graph(
                "Processor time by worker",
                {
                    "{{instance}}": (
                        f"rate(process_cpu_seconds_total{{{_REPLICAS}}}[$__rate_interval]) /"
                        f" process_workers{{{_REPLICAS}}}"
                    )
                },
                "percentunit",
                {0.9: RED},
            ),
            graph(
                "Memory",
                {
                    "{{instance}} in all": f"process_resident_memory_bytes{{{_REPLICAS}}}",
                    "{{instance}} largest process": (
                        f"process_resident_memory_max_bytes{{{_REPLICAS}}}"
                    ),
                },
                "bytes",
            ),
            graph(
                "Worker processes",
                {
                    "{{instance}}": f"process_workers{{{_REPLICAS}}}",
                    "{{instance}} began anew": (
                        f"changes(process_newest_start_seconds{{{_REPLICAS}}}[$__rate_interval])"
                    ),
                },
            ),
            graph(
                "Uptime",
                {"{{instance}}": f"time() - process_start_time_seconds{{{_REPLICAS}}}"},
                "s",
            ),
        ),
    ),
    (
        "Saturation of PostgreSQL and Redis",
        8,
        (
            graph(
                "PostgreSQL connections",
                {
                    "taken": "sum(pg_stat_activity_count)",
                    "max_connections": "max(pg_settings_max_connections)",
                },
            ),
            graph(
                "Connections that replicas use",
                {"{{instance}}": f"database_connections_in_use{{{_REPLICAS}}}"},
            ),
            graph(
                "Redis memory",
                {
                    "used": "max(redis_memory_used_bytes)",
                    "maxmemory": "max(redis_memory_max_bytes)",
                },
                "bytes",
            ),
        ),
    ),
)
_CLICKS: Row = (
    "Cache and clicks",
    8,
    (
        graph(
            "Cache hit ratio",
            {"hits": "holdfast:cache_hits:ratio1m", "target": "vector(0.5)"},
            "percentunit",
            about="Below the target for two minutes: CacheHitRatioLow.",
        ),
        graph(
            "Cache lookups",
            {"hits": _rate("cache_hits_total"), "misses": _rate("cache_misses_total")},
            "ops",
        ),
        graph(
            "Clicks that wait",
            {"clicks": "max(click_backlog)", "changes of links untold": "max(cache_updates_due)"},
        ),
        graph("Age of the oldest click", {"age": "max(click_backlog_age_seconds)"}, "s", {30: RED}),
        graph(
            "Clicks stored",
            {
                "by the stream": "max(rate(clicks_drained_total[$__rate_interval]))",
                "of a canary": "max(rate(clicks_drained_canary_total[$__rate_interval]))",
                "at once": _rate("clicks_direct_total"),
                "unreadable": "max(rate(clicks_unreadable_total[$__rate_interval]))",
            },
            "ops",
        ),
    ),
)


def _quick_reference() -> str:
    """The first step of every entry of the runbook."""
    entries = re.findall(
        r"^## (\w+)\n\n.*?^\*\*First:\*\* (.+?)\n\n",
        RUNBOOK.read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    lines = [f"| {name} | {_in_table(first)} |" for name, first in entries]
    return "\n".join(
        ["`docs/runbook.md` has the rest.", "", "| Alert | First |", "|---|---|", *lines]
    )


def _in_table(text: str) -> str:
    """On one line, in one cell, and without links to files that Grafana does not have."""
    return re.sub(r"\[([^]]+)]\(([^)#]+)[^)]*\)", r"\1 (docs/\2)", " ".join(text.split())).replace(
        "|", r"\|"
    )


def dashboards() -> dict[str, dict[str, Any]]:
    """Each dashboard under the name of its file."""
    runbook: Row = ("Runbook", 22, (text("Quick reference", _quick_reference()),))
    rows = (_GLANCE, _LATENCY, _WORK, _ERRORS, *_SATURATION, _CLICKS, runbook)
    built = (
        dashboard("holdfast", "Holdfast", rows),
        dashboard("holdfast-servers", "Holdfast: servers", SERVERS),
    )
    return {f"{each['uid']}.json": each for each in built}


def rendered(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, content in dashboards().items():
        (HERE / "dashboards" / name).write_text(rendered(content), encoding="utf-8")
