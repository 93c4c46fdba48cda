"""Repeats work on a thread of its own until the database lets it succeed."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

from app.database import DatabaseUnavailable, released

log = logging.getLogger(__name__)

_PAUSE_SECONDS = 1.0


class UntilDone:
    """Runs `work` every second from `start` on, until it succeeds.

    `work` returns a true value when there is more to do.
    """

    def __init__(self, work: Callable[[], object], name: str) -> None:
        self._work, self._name = work, name
        self._renew()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._due = self._running = False

    def start(self) -> None:
        with self._lock:
            self._due = True
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def is_running(self) -> bool:
        return self._running

    def _run(self) -> None:
        while self._is_due():
            time.sleep(_PAUSE_SECONDS)
            try:
                with released():
                    self._due = bool(self._work()) or self._due
            except DatabaseUnavailable:
                self._due = True
            except Exception:
                log.exception("%s failed", self._name)

    def _is_due(self) -> bool:
        with self._lock:
            self._running, self._due = self._due, False
            return self._running
