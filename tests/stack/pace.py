"""A clock that is slower while this machine is busy, so that only the stack misses deadlines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from testkit.servers import HANGS_SECONDS

_EVERY_SECONDS = 0.25
_WORK_SECONDS = 0.01  # longer than a turn, or nobody else would get one meanwhile
_MOST = 10.0  # an end to hanging: no deadline gets longer than that many times


class Pace:
    """Works a little now and then, and sees how long it had to wait for a processor."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fair, self._since, self._slower = 0.0, time.monotonic(), 1.0
        threading.Thread(target=self._look_on, name="pace", daemon=True).start()

    def _look_on(self) -> None:
        while True:
            ran, waited = self._stat()
            began = time.thread_time()
            while time.thread_time() - began < _WORK_SECONDS:
                pass
            ran, waited = (
                now - before for now, before in zip(self._stat(), (ran, waited), strict=True)
            )
            self._turn(min(_MOST, 1 + waited / max(ran, 1)))
            time.sleep(_EVERY_SECONDS)

    @staticmethod
    def _stat() -> tuple[int, int]:
        """Nanoseconds that this thread has run, and has been ready to run without a processor."""
        ran, waited, _ = Path("/proc/thread-self/schedstat").read_text().split()
        return int(ran), int(waited)

    def _turn(self, slower: float) -> None:
        with self._lock:
            now = time.monotonic()
            self._fair += (now - self._since) / self._slower
            self._since, self._slower = now, slower

    def now(self) -> float:
        """Seconds that only this clock knows."""
        with self._lock:
            return self._fair + (time.monotonic() - self._since) / self._slower


@cache
def _pace() -> Pace:
    return Pace()


def fair() -> float:
    return _pace().now()


class Stretch:
    """How many times slower than an idle machine this one has been since."""

    def __init__(self) -> None:
        self._began, self._fair = time.monotonic(), fair()

    def __call__(self) -> float:
        return max(1.0, (time.monotonic() - self._began) / max(fair() - self._fair, 0.001))


def wait_for(
    condition: Callable[[], bool], seconds: float = HANGS_SECONDS, what: str = "the condition"
) -> None:
    """As wait_for of testkit.servers, by this clock."""
    deadline = fair() + seconds
    while not condition():
        if fair() > deadline:
            raise TimeoutError(f"{what} did not come true within {seconds:g} s")
        time.sleep(0.02)
