"""Drills on memory: a process leaks until the kernel kills it, or the whole container."""

from __future__ import annotations

import subprocess
from functools import partial

from testkit.servers import HANGS_SECONDS, wait_for
from tests.drills.drill import Drill, Ground
from tests.drills.hostile import oom_kills
from tests.stack.report import require

_REPLICA = "app1"

# It leaks in the name of another process of the container: the kernel is told to end that one first
# when memory is over, and with it ends the leak, before
# the kernel, which does not wait long for a process that it has ended, ends another.
_LEAK = """
import glob, sys, time
def ended():
    old = "/sys/fs/cgroup/memory/memory.oom_control"
    (counts,) = glob.glob("/sys/fs/cgroup/memory.events") or glob.glob(old)
    return [line for line in open(counts) if line.startswith("oom_kill ")]
victim = sys.argv[1] or open("/proc/1/task/1/children").read().split()[0]
open(f"/proc/{victim}/oom_score_adj", "w").write("1000")
held, before = [], ended()
while ended() == before:
    held.append(b"x" * 1_000_000)
    time.sleep(0.002)
"""


def _leak(ground: Ground, drill: str, pid: str) -> None:
    """`pid` as the container numbers its processes.

    "" is the one that Gunicorn has started to serve.
    """
    stack = ground.stack
    before, kills = stack.inspect(_REPLICA)["RestartCount"], oom_kills(stack)[_REPLICA]
    with ground.strike(drill) as hit, hit.fault():
        command = ["docker", "exec", f"{stack.project}-{_REPLICA}-1", "python", "-c", _LEAK, pid]
        subprocess.run(command, check=False, capture_output=True, timeout=HANGS_SECONDS)
        hit.mended()
        restarts = before + (pid == "1")
        wait_for(
            lambda: stack.inspect(_REPLICA)["RestartCount"] == restarts,
            what=f"restart {restarts} of {_REPLICA}",
        )
        wait_for(lambda: stack.is_healthy(_REPLICA), what=f"the health of {_REPLICA}")
    if pid == "":  # with the first process the container's own count begins anew
        ended = oom_kills(stack)[_REPLICA] - kills
        require(ended == 1, f"the kernel has ended {ended} processes, not one")


DRILLS = [
    Drill("leak-in-a-process", partial(_leak, drill="leak-in-a-process", pid="")),
    Drill("memory-leak", partial(_leak, drill="memory-leak", pid="1"), short=True),
]
