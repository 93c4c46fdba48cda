"""Reports when Alertmanager's Watchdog alert, which always fires, no longer arrives."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

ALERT_NAME = "Watchdog"


class Watchdog:
    """Knows when the last one came.

    That people were told of the silence is a file, so that they are told once.
    """

    def __init__(
        self, seconds: int, told: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.seconds, self._told, self._clock = seconds, told, clock
        self._latest = clock()  # a relay that has just started cannot know
        self._seen = False
        self.seen_at: datetime | None = None

    def see(self) -> None:
        self._latest, self._seen, self.seen_at = self._clock(), True, datetime.now(UTC)

    def state(self) -> str:
        if not self.seconds:
            return "off"
        if self._clock() - self._latest > self.seconds:
            return "silent"
        return "ok" if self._seen else "waiting"

    def news(self) -> bool | None:
        """True: it has fallen silent; False: it is back; None: nothing to tell."""
        state, told = self.state(), self._told.exists()
        if state == "silent" and not told:
            return True
        return False if state in ("ok", "off") and told else None

    def told(self, silent: bool) -> None:
        if silent:
            self._told.touch()
        else:
            self._told.unlink(missing_ok=True)
