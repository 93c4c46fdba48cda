"""What Discord has been told about each group of alerts, so that it is told nothing twice."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from monitoring.alert_relay import files
from monitoring.alert_relay.alerts import Alert

log = logging.getLogger(__name__)

_REPEATED_BY_MISTAKE_SECONDS = (
    300  # longer than Alertmanager tries again, shorter than any repeat_interval
)
_FORGOTTEN_SECONDS = 30 * 86400


class News:
    """Per group, each alert's last told state, and when that was; one thread at a time."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path, self.clock = path, clock
        self.groups: dict[str, dict[str, Any]] = _read(path)

    def pick(self, group: str, alerts: Sequence[Alert]) -> list[Alert]:
        """Those of a notification that say something new.

        All of them when none does and it is so long ago that it is a reminder.
        """
        known = self.groups.get(group, {"at": 0.0, "told": {}})
        news = [alert for alert in alerts if known["told"].get(alert.fingerprint) != alert.state]
        repeated_by_mistake = 0 <= self.clock() - known["at"] < _REPEATED_BY_MISTAKE_SECONDS
        return news if news or repeated_by_mistake else list(alerts)

    def told(self, group: str, states: dict[str, str]) -> None:
        """Some of a notification is on its way."""
        known = self.groups.setdefault(group, {"at": 0.0, "told": {}})
        known["told"].update(states)
        known["at"] = self.clock()

    def told_all(self, group: str, alerts: Sequence[Alert]) -> None:
        """All of it is; an alert that it does not have is none of the group's any more.

        Raises OSError when there is no room.
        """
        if group in self.groups:
            self.groups[group]["told"] = states(alerts)
        too_old = self.clock() - _FORGOTTEN_SECONDS
        self.groups = {name: known for name, known in self.groups.items() if known["at"] > too_old}
        files.write(self.path, self.groups, durable=True)


def states(alerts: Sequence[Alert]) -> dict[str, str]:
    return {alert.fingerprint: alert.state for alert in alerts}


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        groups: dict[str, dict[str, Any]] = json.loads(path.read_bytes())
        return {
            name: {"at": float(known["at"]), "told": dict(known["told"])}
            for name, known in groups.items()
        }
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError, AttributeError):
        log.exception("%s cannot be read: alerts may be told again", path)
        return {}
