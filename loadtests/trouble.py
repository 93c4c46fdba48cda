"""What a busy machine does to the service while it is loaded: `TROUBLE=busy,stops make load`."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from testkit.stack import PYTHON, Stack

STOP_SECONDS = 0.5
_BETWEEN_SECONDS = (1.0, 6.0)

Words = Callable[[], str]
"""Says what was done; an error when that was nothing."""


@contextmanager
def busy(_stack: Stack) -> Iterator[Words]:
    """An endless loop for each core, beside the service."""
    command = [PYTHON, "-c", "while True: pass"]
    loops = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]
    try:
        yield lambda: f"{sum(loop.poll() is None for loop in loops)} endless loops beside it"
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@contextmanager
def stops(stack: Stack) -> Iterator[Words]:
    """All processes of the stack stopped at random moments, together."""
    ending = threading.Event()
    done: list[int] = []
    thread = threading.Thread(target=_stop_at_random, args=(stack, ending, done))
    thread.start()
    try:
        most = "all {} processes stopped for {} s"
        yield lambda: f"{len(done)} times " + most.format(max(done, default=0), STOP_SECONDS)
    finally:
        ending.set()
        thread.join()


def _stop_at_random(stack: Stack, ending: threading.Event, done: list[int]) -> None:
    while not ending.wait(random.uniform(*_BETWEEN_SECONDS)):
        done.append(stop_all(stack, ending))


def stop_all(stack: Stack, ending: threading.Event) -> int:
    """Parents first, so that no child that is born meanwhile is left out; returns how many."""
    families = [family for members in stack.parts.values() for family in members]
    stopped: list[int] = []
    try:
        for family in families:
            stopped += _stopped(family.pids()[:1])
            stopped += _stopped(family.pids()[1:])
        ending.wait(STOP_SECONDS)
    finally:
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    return len(stopped)


def _stopped(pids: Iterable[int]) -> Iterator[int]:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            yield pid


TROUBLES = {"busy": busy, "stops": stops}
