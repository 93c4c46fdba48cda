"""Measures how long something takes, without the time for which this process waited for a CPU that others were using."""

from __future__ import annotations

import time
from pathlib import Path


class Stopwatch:
    """Runs from its making. A bound on `seconds` is missed by slow code and never by a busy machine.

    On an idle machine `delay` is next to nothing, so that the bound is as strict as one on the clock.
    """

    def __init__(self) -> None:
        self._began, self._delays = time.monotonic(), _delays()

    @property
    def wall(self) -> float:
        """Seconds on the clock."""
        return time.monotonic() - self._began

    @property
    def delay(self) -> float:
        """Seconds for which threads of this process were ready to run and did not; a thread that has ended is left out."""
        now = _delays()
        return sum(waited - self._delays.get(thread, 0.0) for thread, waited in now.items())

    @property
    def seconds(self) -> float:
        """What is left of `wall` when `delay` is taken off."""
        return self.wall - self.delay


def _delays() -> dict[str, float]:
    """Each thread's wait for a CPU up to now: the second number of Linux' schedstat, in nanoseconds. Elsewhere nothing is known."""
    found = {}
    for file in Path("/proc/self/task").glob("*/schedstat"):
        try:
            found[file.parent.name] = int(file.read_text().split()[1]) / 1e9
        except OSError:  # the thread has just ended
            continue
    return found
