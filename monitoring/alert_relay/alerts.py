"""Alertmanager's webhook, version 4, read strictly where it matters and leniently where a hand-made
call leaves something out.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


class BadPayload(Exception):
    """It is not a notification; the text says what is wrong with it."""


@dataclass(frozen=True)
class Alert:
    """One alert of a notification; `raw` is what came."""

    raw: dict[str, Any]
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "").strip() or "Alert"

    @property
    def instance(self) -> str:
        return self.labels.get("instance", "").strip()

    @property
    def severity(self) -> str:
        return self.labels.get("severity", "").strip() or "none"

    @property
    def resolved(self) -> bool:
        return self.status == "resolved"

    @property
    def fingerprint(self) -> str:
        """Who it is: Alertmanager's own word, or what it is made of."""
        given = self.raw.get("fingerprint")
        if isinstance(given, str) and given:
            return given
        return hashlib.sha256(json.dumps(self.labels, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def state(self) -> str:
        """What there is to tell about it: the same alert in the same state is no news."""
        return f"{self.status} {self.raw.get('startsAt', '')}"

    def time(self, key: str) -> datetime | None:
        """`startsAt` or `endsAt`; Alertmanager's year 1 means never."""
        try:
            moment = datetime.fromisoformat(str(self.raw.get(key, ""))).astimezone(UTC)
        except (ValueError, OverflowError):
            return None
        return moment if moment.year >= 2000 else None


@dataclass(frozen=True)
class Notification:
    """One call of the webhook; `raw` is what came."""

    raw: dict[str, Any]
    group: str
    alerts: list[Alert]


MOST_ALERTS = 1000


def read(body: bytes) -> Notification:
    """The notification in `body`; raises BadPayload."""
    payload = _object(_decoded(body), "the body")
    alerts = payload.get("alerts")
    if not isinstance(alerts, list):
        raise BadPayload("alerts must be a list")
    if len(alerts) > MOST_ALERTS:
        raise BadPayload(f"alerts must be at most {MOST_ALERTS}: each becomes a file and a message")
    group = payload.get("groupKey", "")
    if not isinstance(group, str):
        raise BadPayload("groupKey must be a string")
    return Notification(
        payload, group, [_alert(entry, f"alerts[{index}]") for index, entry in enumerate(alerts)]
    )


def _decoded(body: bytes) -> object:
    try:
        value = json.loads(body)
        json.dumps(
            value, allow_nan=False
        )  # NaN, or a number beyond all floats, could not be written down again
    except (ValueError, RecursionError):
        raise BadPayload("the body is not JSON") from None
    return value


def _alert(entry: object, where: str) -> Alert:
    raw = _object(entry, where)
    status = raw.get("status")
    if status not in ("firing", "resolved"):
        raise BadPayload(f"{where}.status must be firing or resolved")
    return Alert(
        raw,
        status,
        _texts(raw.get("labels"), f"{where}.labels"),
        _texts(raw.get("annotations", {}), f"{where}.annotations"),
    )


def _texts(value: object, where: str) -> dict[str, str]:
    texts = _object(value, where)
    if not all(isinstance(text, str) for text in texts.values()):
        raise BadPayload(f"{where} must have strings only")
    return texts


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadPayload(f"{where} must be a JSON object")
    return value
