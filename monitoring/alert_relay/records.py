"""The records of notifications: a line each in the alerts' log, and a file for each alert."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from monitoring.alert_relay import files
from monitoring.alert_relay.alerts import Alert, Notification

_LOG_BYTES = 50_000_000
_EVIDENCE_FILES = 10_000


class Records:
    """The log and the evidence; one thread at a time."""

    def __init__(self, log: Path, evidence: Path) -> None:
        self.log, self.evidence = log, evidence
        self.ticks = files.Ticks()

    def keep(self, notification: Notification) -> None:
        """Raises OSError when there is no room; then the log has no half of a line."""
        now = datetime.now(UTC)
        self._append(
            files.encoded(
                files.to_json(
                    {"receivedAt": now.isoformat(timespec="milliseconds"), **notification.raw}
                )
                + "\n"
            )
        )
        for alert in notification.alerts:
            files.write(
                self.evidence / self._name(alert),
                {"receivedAt": now.isoformat(timespec="milliseconds"), **alert.raw},
                durable=False,
            )
        self._forget_the_oldest()

    def _append(self, line: bytes) -> None:
        with suppress(
            OSError
        ):  # no file yet, or one that Docker mounted by itself and that cannot be renamed
            if self.log.stat().st_size > _LOG_BYTES:
                self.log.rename(self.log.with_name(self.log.name + ".1"))
        descriptor = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            _write_all(descriptor, line)
        finally:
            os.close(descriptor)

    def _name(self, alert: Alert) -> str:
        """Begins with the time, and has only harmless characters."""
        tick = self.ticks.next()
        moment = datetime.fromtimestamp(tick // 10**9, UTC).strftime("%Y%m%dT%H%M%S")
        words = [
            re.sub(r"[^A-Za-z0-9_-]+", "_", word)[:60]
            for word in (alert.name, alert.instance, alert.status, alert.fingerprint)
            if word
        ]
        return "-".join([f"{moment}.{tick % 10**9:09d}Z", *words]) + ".json"

    def _forget_the_oldest(self) -> None:
        names = sorted(
            entry.name for entry in os.scandir(self.evidence) if entry.name.endswith(".json")
        )
        for name in names[:-_EVIDENCE_FILES]:
            (self.evidence / name).unlink(missing_ok=True)


def _write_all(descriptor: int, line: bytes) -> None:
    before = os.fstat(descriptor).st_size
    try:
        written = 0
        while written < len(line):
            written += os.write(descriptor, line[written:])
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, before)
        raise
