"""The kinds of panels of the dashboards, and their places, as Grafana's JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

Panel = dict[str, Any]
Row = tuple[str, int, Sequence[Panel]]
"""Its title, its height, and the panels that share its width."""

SOURCE = {"type": "prometheus", "uid": "prometheus"}
_WIDTH = 24
GREEN, ORANGE, RED = "green", "orange", "red"


def _panel(kind: str, title: str, queries: dict[str, str], unit: str, about: str) -> Panel:
    """`queries` maps the legend of a series to its query."""
    instant = kind in ("stat", "gauge")
    targets = [
        {
            "refId": chr(65 + number),
            "datasource": SOURCE,
            "expr": query,
            "legendFormat": legend,
            "instant": instant,
            "range": not instant,
        }
        for number, (legend, query) in enumerate(queries.items())
    ]
    defaults: dict[str, Any] = {
        "unit": unit,
        "min": 0,
        "mappings": [],
        "thresholds": _steps({}),
        "color": {"mode": "palette-classic"},
        "custom": {},
    }
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {},
    }


def _steps(limits: dict[float, str], base: str = GREEN) -> dict[str, Any]:
    """`limits` maps a value to the colour that begins with it."""
    return {
        "mode": "absolute",
        "steps": [
            {"color": base, "value": None},
            *({"color": color, "value": value} for value, color in limits.items()),
        ],
    }


def stat(
    title: str,
    queries: dict[str, str],
    unit: str = "short",
    limits: dict[float, str] | None = None,
    base: str = GREEN,
) -> Panel:
    """The newest value, large; coloured by `limits`."""
    panel = _panel("stat", title, queries, unit, "")
    panel["fieldConfig"]["defaults"] |= {
        "color": {"mode": "thresholds"},
        "thresholds": _steps(limits or {}, base),
    }
    del panel["fieldConfig"]["defaults"]["min"]
    panel["options"] = {
        "colorMode": "background" if limits else "value",
        "graphMode": "none",
        "textMode": "auto",
        "justifyMode": "auto",
        "orientation": "auto",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    return panel


def up_or_down(title: str, queries: dict[str, str]) -> Panel:
    panel = stat(title, queries, limits={1: GREEN}, base=RED)
    words = {"0": {"text": "DOWN", "color": RED}, "1": {"text": "UP", "color": GREEN}}
    panel["fieldConfig"]["defaults"]["mappings"] = [{"type": "value", "options": words}]
    panel["options"]["textMode"] = "value_and_name"
    return panel


def gauge(title: str, query: str, unit: str, limits: dict[float, str], most: float) -> Panel:
    """The newest value on a dial that ends at `most`."""
    panel = _panel("gauge", title, {"": query}, unit, "")
    panel["fieldConfig"]["defaults"] |= {
        "max": most,
        "color": {"mode": "thresholds"},
        "thresholds": _steps(limits),
    }
    panel["options"] = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showThresholdLabels": False,
        "showThresholdMarkers": True,
        "orientation": "auto",
    }
    return panel


def graph(
    title: str,
    queries: dict[str, str],
    unit: str = "short",
    limits: dict[float, str] | None = None,
    about: str = "",
) -> Panel:
    """Lines over time; `limits`, where alerts begin, are lines across."""
    panel = _panel("timeseries", title, queries, unit, about)
    panel["fieldConfig"]["defaults"]["thresholds"] = _steps(limits or {}, "transparent")
    panel["fieldConfig"]["defaults"]["custom"] = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 10,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if limits else "off"},
    }
    panel["options"] = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel


def text(title: str, markdown: str) -> Panel:
    return {
        "type": "text",
        "title": title,
        "options": {"mode": "markdown", "content": markdown},
        "fieldConfig": {"defaults": {}, "overrides": []},
    }


def dashboard(uid: str, title: str, rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "uid": uid,
        "title": title,
        "tags": ["holdfast"],
        "schemaVersion": 41,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "5s",
        "time": {"from": "now-30m", "to": "now"},
        "timezone": "browser",
        "links": [
            {
                "type": "dashboards",
                "tags": ["holdfast"],
                "title": "Holdfast",
                "asDropdown": False,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "annotations": {"list": [_ALERTS]},
        "templating": {"list": [_INSTANCE]},
        "panels": [{"id": number, **panel} for number, panel in enumerate(_placed(rows), 1)],
    }


def _placed(rows: Sequence[Row]) -> Iterator[Panel]:
    """Row under row; within a row side by side, all of one width."""
    y = 0
    for title, height, panels in rows:
        yield {
            "type": "row",
            "title": title,
            "collapsed": False,
            "panels": [],
            "gridPos": {"h": 1, "w": _WIDTH, "x": 0, "y": y},
        }
        width = _WIDTH // len(panels)
        for column, panel in enumerate(panels):
            yield {**panel, "gridPos": {"h": height, "w": width, "x": column * width, "y": y + 1}}
        y += 1 + height


_ALERTS = {
    "name": "Alerts",
    "datasource": SOURCE,
    "enable": True,
    "iconColor": RED,
    "expr": 'ALERTS{alertstate="firing", alertname!="Watchdog"}',
    "titleFormat": "{{alertname}}",
    "textFormat": "{{severity}} {{instance}}",
    "step": "10s",
}
_INSTANCE = {
    "name": "instance",
    "label": "Replica",
    "type": "query",
    "datasource": SOURCE,
    "query": {"query": 'label_values(up{job="holdfast"}, instance)', "refId": "instances"},
    "refresh": 2,
    "sort": 1,
    "multi": True,
    "includeAll": True,
    "allValue": ".+",
    "current": {"text": "All", "value": "$__all"},
}
