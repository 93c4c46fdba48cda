"""The circuit breaker of a store: opens when nothing answered, never because one call was slow."""

from __future__ import annotations

import math
import threading
import time


class Breaker:
    """Refuses calls for `pause` seconds after a timeout, then lets one caller through at a time.

    Any answer since a failed call began, on any connection, proves that the store is available.
    A call that took longer than `longest` seconds says nothing of the store: this process was
    descheduled meanwhile.
    """

    def __init__(self, pause: float, longest: float) -> None:
        self._pause, self._longest = pause, longest
        self._lock = threading.Lock()
        self._answered_at = -math.inf
        self._open_until = 0.0  # 0: it is closed
        self._prober = 0  # the thread that finds out whether the store is back
        self._excused = False  # once: a store must be found unavailable on a slow machine too

    def begin(self) -> float | None:
        """When the call begins, for `failed`; None: the store must not be called now."""
        now, me = time.monotonic(), threading.get_ident()
        if not self._open_until:
            return now
        with self._lock:
            if now < self._open_until and self._prober != me:
                return None
            self._prober, self._open_until = me, now + self._longest
        return now

    def answered(self) -> None:
        """Any answer, an error too: the store is available."""
        self._answered_at = time.monotonic()
        if self._open_until or self._excused:
            with self._lock:
                self._prober, self._open_until, self._excused = 0, 0.0, False

    def failed(self, began: float, watched: bool = False) -> bool:
        """A call that began then was not answered; returns whether the store is unavailable now.

        `watched`: the caller counted only the time in which this process ran.
        """
        now = time.monotonic()
        with self._lock:
            self._prober = 0
            if self._answered_at >= began:
                return False
            if now - began > self._longest and not (watched or self._excused):
                self._excused = True
                return False
            self._open_until = now + self._pause
            return True
