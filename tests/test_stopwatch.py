"""The stopwatch itself: it takes off what other programs took, and nothing that the code under test did."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.stopwatch import Stopwatch


@pytest.fixture
def busy_machine() -> Iterator[None]:
    """Two endless loops for each CPU."""
    with ExitStack() as stack:
        for _ in range(2 * (os.cpu_count() or 1)):
            loop = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(loop.wait)
            stack.callback(loop.kill)
        yield


def work(cpu_seconds: float) -> None:
    began = time.thread_time()
    while time.thread_time() < began + cpu_seconds:
        pass


def test_a_sleep_counts() -> None:
    watch = Stopwatch()
    time.sleep(0.3)
    assert 0.2 < watch.seconds <= watch.wall


@pytest.mark.usefixtures("busy_machine")
def test_work_counts_for_what_it_is_and_not_for_what_others_took_meanwhile() -> None:
    watch = Stopwatch()
    work(0.5)
    assert 0.3 < watch.seconds < 0.6
    assert watch.wall > 0.6
