"""The operating system's view of one replica: the server's master process, its workers, and what they all cost."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = resource.getpagesize()


class Replica:
    """The process tree under `master_pid`; alone, without a server, it is this process."""

    master_pid: int | None = None  # told by app/serving.py after each fork

    def stop(self) -> None:
        """Asks the whole server to finish what it has begun and to exit; its supervisor starts it again."""
        os.kill(self.master_pid or os.getpid(), signal.SIGTERM)

    def pids(self) -> list[int]:
        root = self.master_pid or os.getpid()
        try:
            children = Path(f"/proc/{root}/task/{root}/children").read_text(encoding="ascii")
        except OSError:
            children = ""
        return [root, *map(int, children.split())]

    def cpu_seconds(self) -> float:
        """User and system time of all processes, of those that ended too (the master reaped them): it never shrinks."""
        while True:
            before = self._reaped_ticks()
            total = before + sum(sum(_stat(pid)[11:13]) for pid in self.pids())
            if (
                self._reaped_ticks() == before
            ):  # no worker ended in between and was counted twice or not at all
                return total / _TICKS_PER_SECOND

    def _reaped_ticks(self) -> int:
        return sum(_stat(self.master_pid or os.getpid())[13:15])

    def resident_bytes(self) -> list[int]:
        """Physical memory of each process, the master first."""
        return [_stat(pid)[21] * _PAGE_BYTES for pid in self.pids()]


def _stat(pid: int) -> list[int]:
    """/proc/<pid>/stat from its third field on (proc(5): index 11 is utime, 21 is rss); zeros when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return [0] * 40
    return [0, *map(int, text.rpartition(")")[2].split()[1:])]


replica = Replica()
