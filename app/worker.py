"""The background process beside Redis: drains clicks into the database and delivers cache updates that are due."""

from __future__ import annotations

import logging
import signal
import threading
from datetime import timedelta
from types import FrameType

from app import bind, logs
from app.clicks import clicks, forget_old_claims
from app.config import Settings
from app.database import AWAY, now, released
from app.migrations import schema
from app.services import freshness, urls

log = logging.getLogger(__name__)

_IDLE_SECONDS = 0.2
_CLAIMS_KEPT = timedelta(days=1)


class Worker:
    """Does what is due, again and again, until it is told to stop."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.warm = False
        self.rounds = 0

    def stop(self, _signal: int, _frame: FrameType | None) -> None:
        self.stopping.set()

    def run(self) -> None:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self.stop)
        while not self.stopping.is_set():
            if not self.turn():
                self.stopping.wait(_IDLE_SECONDS)
        self.turn()

    def turn(self) -> int:
        """One round; returns how many clicks and updates it moved."""
        try:
            with released():
                return self._work() if schema.ensure() else 0
        except AWAY as error:
            log.warning("the database is away, the clicks wait in the stream: %s", error)
            return 0

    def _work(self) -> int:
        if not self.warm:
            self.warm = True
            log.info("warmed the cache up with %d links", urls.warm_up())
        self.rounds += 1
        if self.rounds % 10_000 == 0:
            forget_old_claims(now() - _CLAIMS_KEPT)
        return freshness.deliver_due() + clicks.drain()


def main() -> None:
    settings = Settings.from_env()
    logs.configure(settings.log_level, settings.instance, settings.log_file, settings.log_max_bytes)
    bind(settings)
    Worker().run()


if __name__ == "__main__":
    main()
