"""What /proc says of this process and of those that it started."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.process import Replica

BURN = "import time\nwhile time.process_time() < 0.3: pass\nprint('done', flush=True)\ninput()"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    """A process that has used 0.3 s of processor time and waits for a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "done\n"
    yield process
    process.communicate("\n")


def test_alone_it_is_this_process() -> None:
    assert Replica().pids()[0] == os.getpid()


CHARGED = f"""
import resource, subprocess, sys, time
from app.process import Replica

def charged():
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime

subprocess.run([sys.executable, "-c", {BURN!r}], input="\\n", text=True, stdout=-3, check=True)
while time.process_time() < 0.5: pass
print(charged(), Replica().cpu_seconds(), charged())
"""


def test_the_processor_time_is_what_the_kernel_charges() -> None:
    """Asked in a process of its own, which has no other children than one that has ended."""
    done = subprocess.run(
        [sys.executable, "-c", CHARGED], capture_output=True, text=True, check=True
    )
    before, seen, after = map(float, done.stdout.split())
    assert 0.7 < before - 0.1 < seen < after + 0.1


def test_the_physical_memory_is_what_the_kernel_says() -> None:
    kilobytes = next(
        int(line.split()[1])
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmRSS")
    )
    assert Replica().resident_bytes()[0] == pytest.approx(kilobytes * 1024, rel=0.1)


def test_a_child_counts_while_it_runs(child: subprocess.Popen[str]) -> None:
    replica = Replica()
    assert child.pid in replica.pids()
    assert replica.resident_bytes()[replica.pids().index(child.pid)] > 1_000_000
    alone = time.process_time()
    assert replica.cpu_seconds() >= alone + 0.2


def test_the_processor_time_of_a_child_that_ended_stays(child: subprocess.Popen[str]) -> None:
    replica = Replica()
    running = replica.cpu_seconds()
    child.kill()
    unreaped = replica.cpu_seconds()
    child.wait()
    assert running <= unreaped <= replica.cpu_seconds()


def test_a_worker_sees_the_whole_tree_of_its_master(child: subprocess.Popen[str]) -> None:
    code = f"from app.process import Replica as R; r = R(); r.master_pid = {os.getpid()}"
    command = [sys.executable, "-c", f"{code}; print(*r.pids())"]
    asked = subprocess.run(command, capture_output=True, text=True, check=True)
    assert {str(os.getpid()), str(child.pid)} <= set(asked.stdout.split())


def test_a_process_that_is_gone_counts_nothing() -> None:
    replica = Replica()
    gone = subprocess.Popen(["true"])
    gone.wait()
    replica.master_pid = gone.pid
    assert (replica.cpu_seconds(), replica.resident_bytes()) == (0, [0])
