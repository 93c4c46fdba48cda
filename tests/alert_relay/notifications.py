"""Notifications as Alertmanager sends them."""

from __future__ import annotations

from typing import Any

STARTED, ENDED = "2026-01-02T03:04:05.678901234Z", "2026-01-02T04:04:05Z"


def alert(name: str = "InstanceDown", **more: Any) -> dict[str, Any]:
    """A firing one; `more` are its labels, and whatever else it has."""
    own = {
        "status": "firing",
        "annotations": {"summary": "It does not answer"},
        "startsAt": STARTED,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "",
    }
    given = {key: more.pop(key) for key in ("fingerprint", *own) if key in more}
    labels = {"alertname": name, "severity": "critical", "instance": "app1", **more}
    return {
        **own,
        "labels": labels,
        "fingerprint": f"{abs(hash(tuple(sorted(labels.items())))):016x}"[:16],
        **given,
    }


def resolved(name: str = "InstanceDown", **more: Any) -> dict[str, Any]:
    return alert(name, **{"status": "resolved", "endsAt": ENDED, **more})


def notification(
    *alerts: dict[str, Any], group: str = '{}:{alertname="InstanceDown"}'
) -> dict[str, Any]:
    own = {
        "version": "4",
        "truncatedAlerts": 0,
        "receiver": "alert-relay",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
    }
    return {
        **own,
        "groupKey": group,
        "status": "firing",
        "externalURL": "http://alertmanager:9093",
        "alerts": list(alerts),
    }
