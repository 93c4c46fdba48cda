"""Rolls good and bad images out by deploy/canary.sh, and prints how each was judged.

`make drill-canary`: ROUNDS=3 of all, STEP_SECONDS=6 at least for each step.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import ExitStack
from typing import NamedTuple

from testkit.servers import Missing
from tests.drills.canaries import RATE, VISITORS, Ground, Visitors

ROUNDS = int(os.environ.get("ROUNDS", "3"))
STEP_SECONDS = os.environ.get("STEP_SECONDS", "6")
_REQUESTS = "100"
_SECONDS_OF_A_ROUND = 15 * 60  # an end to hanging
IMAGES = {
    "good": ("good", set[str]()),
    "10 % errors": ("errors", {"5xx"}),
    "3 times slower": ("slow", {"p95", "p99"}),
    "leaks memory": ("leaks", {"memory"}),
    "loses clicks": ("loses", {"clicks missing"}),
}


class Line(NamedTuple):
    """One roll-out: the image, what became of it, by which figures, after so many seconds."""

    image: str
    became: str
    figures: str
    seconds: float
    met: int
    failed: int
    told: bool
    wrong: str


def main() -> int:
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("it took too long"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    signal.alarm(ROUNDS * _SECONDS_OF_A_ROUND)
    lines: list[Line] = []
    print(f"{VISITORS:,} visitors, {RATE} redirects a second\n")
    with ExitStack() as cleanup:
        try:
            ground = Ground(cleanup)
        except Missing as missing:
            print(missing, file=sys.stderr)
            return 1
        with Visitors(ground.door.port, ground.codes):
            for _ in range(ROUNDS):
                for image in IMAGES:
                    lines.append(_roll_out(ground, image))
                    print(_text(lines[-1]), flush=True)
    print("", *table(lines), sep="\n")
    return 1 if any(line.wrong for line in lines) else 0


def _roll_out(ground: Ground, image: str) -> Line:
    fault, expected = IMAGES[image]
    log = ground.door.folder / "nginx.log"
    since, told = log.stat().st_size, len(ground.discord.told)
    canary = ground.start_canary(fault)
    settings = {"CANARY_STEP_SECONDS": STEP_SECONDS, "CANARY_REQUESTS": _REQUESTS}
    began = time.monotonic()
    done = ground.roll_out(f"holdfast:{fault}", **settings)
    seconds = time.monotonic() - began
    ground.wait_untouched()
    time.sleep(2)  # Nginx writes its log once a second
    canary.destroy()
    steps = [row.split(" ", 1)[1] for row in done.stdout.splitlines() if row.endswith(" %")]
    at = steps[-1].removeprefix("taken back at ") if steps else "-"
    became = "serves all" if done.returncode == 0 else f"back at {at}"
    figures = {row[:20].strip() for row in done.stdout.splitlines() if row.endswith(" worse")}
    met, failed = ground.met(log, since)
    tells = any(ground.discord.told[told:])
    found = done.returncode, bool(figures), figures <= expected, tells
    is_right = found == ((1, True, True, True) if expected else (0, False, True, False))
    wrong = "" if is_right else f"{found}\n{done.stdout}{done.stderr}"
    return Line(
        image, became, ", ".join(sorted(figures)), seconds, len(met), len(failed), tells, wrong
    )


def _text(line: Line) -> str:
    told = "yes" if line.told else "-"
    return (
        f"{line.image:16}{line.became:16}{line.figures or '-':16}{line.seconds:7.0f} s"
        f"{line.met:9,}{line.failed:11,}  {told:6}{'no' if line.wrong else 'yes'}"
    ) + (f"\n{line.wrong}" if line.wrong else "")


def table(lines: list[Line]) -> list[str]:
    heading = (
        f"{'image':16}{'what became':16}{'worse':16}{'after':>9}{'visitors':>9}{'saw a 5xx':>11}"
        "  told  as expected?"
    )
    return [heading, *map(_text, sorted(lines, key=lambda line: list(IMAGES).index(line.image)))]


if __name__ == "__main__":
    sys.exit(main())
