"""Takes a notification: records it and queues its news for Discord before it answers."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from monitoring.alert_relay import embeds, watchdog
from monitoring.alert_relay.alerts import Notification
from monitoring.alert_relay.news import News, states
from monitoring.alert_relay.records import Records
from monitoring.alert_relay.settings import Settings
from monitoring.alert_relay.spool import Entry, Spool

log = logging.getLogger(__name__)


@dataclass
class Figures:
    """What happened since the relay started."""

    sent: int = 0
    refused: int = 0
    failures: int = 0
    last_error: str = ""
    last_error_at: datetime | None = None
    last_delivered_at: datetime | None = None

    def failed(self, reason: str) -> None:
        self.last_error, self.last_error_at = reason, datetime.now(UTC)


class Relay:
    """Everything on disk, under one lock: the sender sees a message only when it is also written
    down that it was told.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.forwarding = bool(settings.discord_webhook_url)
        self.links = embeds.Links(settings.grafana_url, settings.runbook_url)
        self.records = Records(settings.alerts_log, settings.evidence_directory)
        self.spool = Spool(settings.spool_directory)
        self.news = News(settings.spool_directory / "told.json")
        self.watchdog = watchdog.Watchdog(
            settings.watchdog_seconds, settings.spool_directory / "silence-told"
        )
        self.figures = Figures()
        self.wake = threading.Event()
        self._lock = threading.Lock()
        for entry in (
            self.spool.entries()
        ):  # a relay that was killed may have queued more than it wrote down
            self.news.told(str(entry.get("group", "")), dict(entry.get("told") or {}))

    def take(self, notification: Notification) -> None:
        """Raises OSError when it could not be stored: then Alertmanager shall try again."""
        alerts = [alert for alert in notification.alerts if alert.name != watchdog.ALERT_NAME]
        if any(
            alert.name == watchdog.ALERT_NAME and not alert.resolved
            for alert in notification.alerts
        ):
            self.watchdog.see()
            self.wake.set()  # perhaps it is the end of a silence
        if not alerts and notification.alerts:
            return
        with self._lock:
            self.records.keep(Notification(notification.raw, notification.group, alerts))
            if self.forwarding:
                self._queue(Notification(notification.raw, notification.group, alerts))
        self.wake.set()

    def _queue(self, notification: Notification) -> None:
        for body, told in embeds.messages(
            self.news.pick(notification.group, notification.alerts), self.links
        ):
            self.spool.add({"body": body, "group": notification.group, "told": states(told)})
            self.news.told(notification.group, states(told))
        self.news.told_all(notification.group, notification.alerts)

    def look_for_silence(self) -> None:
        with self._lock:
            silent = self.watchdog.news()
            if silent is None:
                return
            log.warning("the alert pipeline is %s", "silent" if silent else "back")
            if self.forwarding:
                self.spool.add({"body": embeds.pipeline_message(silent, self.watchdog.seconds)})
            self.watchdog.told(silent)

    def next(self) -> tuple[Path, Entry] | None:
        """The oldest message that Discord has yet to get."""
        with self._lock:
            return self.spool.oldest() if self.forwarding else None

    def sent(self, path: Path) -> None:
        self.spool.remove(path)
        self.figures.sent += 1
        self.figures.last_delivered_at = datetime.now(UTC)

    def refused(self, path: Path, entry: Entry, reason: str) -> None:
        log.error("the message goes to %s: %s", self.spool.refused / path.name, reason)
        self.spool.refuse(path, entry, reason)
        self.figures.refused += 1
        self.figures.failed(reason)
