"""Ends and freezes processes of pods from the node, where this machine is the node."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.stack.report import require


def processes(pod: dict[str, Any]) -> list[int]:
    """All of the pod's containers', but for the process that holds its network."""
    uid = pod["metadata"]["uid"]
    found = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    ours = [pid for pid in found if _is_in(pid, uid)]
    require(ours, "this machine is not the node: processes of its pods cannot be seen")
    return ours


def _is_in(pid: int, uid: str) -> bool:
    with suppress(OSError):
        folder = Path(f"/proc/{pid}")
        groups = (folder / "cgroup").read_text()
        named = uid in groups or uid.replace("-", "_") in groups
        return named and b"pause" not in (folder / "cmdline").read_bytes()
    return False


def kill(pod: dict[str, Any]) -> None:
    """kill -9, as the kernel does when memory ends."""
    for pid in processes(pod):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextmanager
def frozen(pod: dict[str, Any]) -> Iterator[None]:
    pids = processes(pod)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
