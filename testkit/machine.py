"""What tests need on a machine that others use too: ports, an end to waiting, and a stopwatch."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

_FEWEST, _MOST = 20_000, 32_000  # below those that kernels give to connections
_MOST_MARKS = 300
_marks: deque[int] = deque()


def free_port() -> int:
    """A port that is this process' own until it ends, also while its server is down.

    The UDP port of the same number is the mark that keeps other processes of the suite off it.
    """
    while True:
        port = random.SystemRandom().randrange(_FEWEST, _MOST)
        with socket.socket(type=socket.SOCK_DGRAM) as mark, socket.socket() as probe:
            try:
                mark.bind(("127.0.0.1", port))
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _marks.append(mark.detach())
        if len(_marks) > _MOST_MARKS:
            os.close(_marks.popleft())
        return port


HANGS_SECONDS = 60
"""An end to hanging, and no promise: a busy machine needs long for everything."""


def wait_for(
    condition: Callable[[], bool],
    seconds: float = HANGS_SECONDS,
    what: str = "the condition",
) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come true within {seconds} s")
        time.sleep(0.02)


class Stopwatch:
    """Measures without the time for which its thread waited for a CPU that others were using.

    It runs from its making, for that thread. A bound on `seconds` is missed by slow code and
    never by a busy machine; on an idle one `delay` is next to nothing, and the bound strict.
    """

    def __init__(self) -> None:
        self._began, self._cpu, self._delays = time.monotonic(), time.thread_time(), _delays()
        self._thread = str(threading.get_native_id())

    @property
    def wall(self) -> float:
        """Seconds on the clock."""
        return time.monotonic() - self._began

    @property
    def delay(self) -> float:
        """Seconds in which the thread was ready to run and did not.

        So may have been another one of this process, which it waited for: the longest counts.
        """
        return self._measure()[1]

    @property
    def seconds(self) -> float:
        """What is left of `wall` when `delay` is taken off."""
        wall, delay = self._measure()
        return wall - delay

    def _measure(self) -> tuple[float, float]:
        """`wall` and `delay` of one moment: between two looks at the clock others may run."""
        waited = {thread: now - self._delays.get(thread, 0.0) for thread, now in _delays().items()}
        own = waited.pop(self._thread, 0.0)
        wall = self.wall
        idle = wall - (time.thread_time() - self._cpu)
        return wall, min(own + max(waited.values(), default=0.0), idle)


def _delays() -> dict[str, float]:
    """Each thread's wait for a CPU up to now; nothing where the kernel is not Linux.

    It is the second number of /proc/self/task/N/schedstat, in nanoseconds.
    """
    found = {}
    for file in Path("/proc/self/task").glob("*/schedstat"):
        try:
            found[file.parent.name] = int(file.read_text().split()[1]) / 1e9
        except OSError:  # the thread has just ended
            continue
    return found
