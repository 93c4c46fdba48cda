"""The memory of each part during redirects at full speed: `make bench-endurance MINUTES=60`."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from statistics import median

from app.process import Replica
from benchmarks import redirects
from benchmarks.redirects import Contender, Holdfast
from testkit.servers import Missing
from testkit.stack import Stack

MINUTES = float(os.environ.get("MINUTES", "60"))
_LAP = 200_000
_MEBIBYTE = 1024
_PARTS = ("app", "worker", "redis", "postgres", "nginx")


def _mebibytes(families: list[Replica]) -> float:
    """Memory of all processes of a part.

    What several of them share is counted once (proc(5): Pss, in KiB).
    """
    return sum(_share(pid) for family in families for pid in family.pids()) / _MEBIBYTE


def _share(pid: int) -> int:
    try:
        found = re.search(
            r"^Pss:\s+(\d+) kB",
            Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii"),
            re.MULTILINE,
        )
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it has just ended
    return int(found[1]) if found else 0


def _lap(contender: Contender, stack: Stack) -> list[float]:
    """Sends 200,000 redirects, sees that each is stored once, and returns their rate and the memory
    of each part; the database grows all the time.
    """
    rate = contender.run(_LAP).rate
    return [rate, *(_mebibytes(stack.parts[part]) for part in _PARTS)]


def main() -> int:
    redirects.SECONDS = 600
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit("told to stop")
    )  # so that what was started is stopped, too
    with ExitStack() as cleanup:
        try:
            service = Holdfast(cleanup, front=True)
        except Missing as missing:
            print(missing, file=sys.stderr)
            return 1
        contender = Contender(
            "Holdfast",
            service.stack,
            service.stack.port,
            settle=service.settle,
            verify=service.verify,
        )
        print(
            "MiB of each part after so many minutes; a line is printed when every redirect was"
            " right, and is in the database exactly once\n"
        )
        print(
            f"{'minutes':>7}{'redirects':>13}{'req/s':>9}"
            + "".join(f"{part:>10}" for part in _PARTS)
        )
        began, rates = time.monotonic(), []
        for lap in count(1):
            rate, *memory = _lap(contender, service.stack)
            rates.append(rate)
            minutes = (time.monotonic() - began) / 60
            print(
                f"{minutes:7.1f}{lap * _LAP:13,}{rate:9,.0f}"
                + "".join(f"{each:10.1f}" for each in memory),
                flush=True,
            )
            if minutes >= MINUTES:
                break
    print(
        f"\nreq/s of all {len(rates)} lines: {min(rates):,.0f} to {max(rates):,.0f},"
        f" {median(rates):,.0f} in the median"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
