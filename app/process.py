"""What the operating system says of one replica: its processes, CPU time and memory."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = resource.getpagesize()


class Replica:
    """The master process and its worker processes; without a server, this process alone."""

    master_pid: int | None = None  # app/serving.py sets it after each fork

    def stop(self) -> None:
        """Lets the server finish its requests and exit; its supervisor starts it again."""
        os.kill(self.master_pid or os.getpid(), signal.SIGTERM)

    def pids(self) -> list[int]:
        root = self.master_pid or os.getpid()
        try:
            children = Path(f"/proc/{root}/task/{root}/children").read_text(encoding="ascii")
        except OSError:
            children = ""
        return [root, *map(int, children.split())]

    def cpu_seconds(self) -> float:
        """User and system time of all processes, ended ones too; it never decreases."""
        while True:
            before = self._reaped_ticks()
            total = before + sum(sum(_stat(pid)[11:13]) for pid in self.pids())
            # Otherwise a worker has ended meanwhile, and was counted twice or not at all.
            if self._reaped_ticks() == before:
                return total / _TICKS_PER_SECOND

    def _reaped_ticks(self) -> int:
        return sum(_stat(self.master_pid or os.getpid())[13:15])

    def resident_bytes(self) -> list[int]:
        """Physical memory of each process, the master's first."""
        return [_stat(pid)[21] * _PAGE_BYTES for pid in self.pids()]

    def newest_start_seconds(self) -> float:
        """When the newest process started, in seconds since the machine did."""
        return max(_stat(pid)[19] for pid in self.pids()) / _TICKS_PER_SECOND


def _stat(pid: int) -> list[int]:
    """/proc/PID/stat from its third field on (proc(5)); zeros when the process is gone.

    Index 11 and 12 are user and system time, 13 and 14 those of reaped children, in ticks; 19 is
    the start after the machine's, in ticks, 21 the resident memory in pages.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return [0] * 40
    return [0, *map(int, text.rpartition(")")[2].split()[1:])]


replica = Replica()
