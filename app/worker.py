"""The worker beside Redis: drains clicks into the database, delivers pending cache updates."""

from __future__ import annotations

import logging
import signal
import threading
import time
from types import FrameType

from app.database import DatabaseUnavailable, released, without_timeouts
from app.migrations import indexes, schema
from app.redirects import rollups
from app.redirects.claims import forget_claims
from app.redirects.connection import redis_connection
from app.redirects.drain import BATCH, drain
from app.redirects.links import deliver_pending
from app.services import idempotency, retention, urls

log = logging.getLogger(__name__)

_IDLE_SECONDS = 0.4
_UNAVAILABLE_SECONDS = 1.0
_ROUNDS_BETWEEN_CLEANINGS = 1000
_SECONDS_BETWEEN_FOLDS = 10


class Worker:
    """Works in rounds until a signal stops it."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.warm = False
        self.rounds = 0
        self.folded_at = 0.0

    def stop(self, _signal: int, _frame: FrameType | None) -> None:
        self.stopping.set()

    def run(self) -> None:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self.stop)
        retention.start()
        while not self.stopping.is_set():
            # A small batch costs as much as a large one: wait until there is more.
            if self.turn() < BATCH:
                self.stopping.wait(_IDLE_SECONDS)
        self.turn()

    def turn(self) -> int:
        """One round; returns how many clicks and updates it has moved."""
        try:
            with released():
                return self._work() if schema.ensure() else 0
        except DatabaseUnavailable as error:
            log.warning("the database is unavailable, the clicks wait in the stream: %s", error)
            schema.ready = False  # it may come back without its tables
            self.stopping.wait(_UNAVAILABLE_SECONDS)
            return 0

    def _work(self) -> int:
        if self.rounds == 0 and indexes.missing():  # it may take minutes
            threading.Thread(target=indexes.build_in_background, daemon=True).start()
        if self.rounds % _ROUNDS_BETWEEN_CLEANINGS == 0:
            forget_claims()
            rollups.compact()
            idempotency.forget_old()
        self.rounds += 1
        moved = deliver_pending() + drain.run()
        self._fold()
        if not self.warm and redis_connection.state() == "connected":
            self.warm = True
            log.info("warmed the cache up with %d links", urls.warm_up())
        return moved

    def _fold(self) -> None:
        """Seldom: many clicks of a link together cost as much as one."""
        if time.monotonic() - self.folded_at >= _SECONDS_BETWEEN_FOLDS:
            self.folded_at = time.monotonic()
            with without_timeouts():  # a fold that a timeout ends would be tried again for ever
                rollups.fold()


if __name__ == "__main__":
    raise SystemExit("The worker is started by: python -m app worker")
