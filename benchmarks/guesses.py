"""Redirects of honest visitors beside 10,000 guesses of codes a second: `make bench-guesses`."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.watching import Visitors
from testkit.servers import Missing
from testkit.service import Served
from testkit.stack import need

SECONDS = int(os.environ.get("SECONDS", "10"))
ROUNDS = int(os.environ.get("ROUNDS", "5"))
_HONEST_RATE, _LINKS = 100, 2000
_NGINX_RATE = 1000  # as it comes
_CONNECTIONS, _PAUSE_MS = 45, 4  # a little more than 10,000 a second, if they are answered at once
_NICE = os.environ.get("NICE", "19")  # guessers have processors of their own: they give way
_LUA = Path(__file__).with_name("guesses.lua")


class Honest(Visitors):
    """Follow links that the cache has, and change nothing."""

    def _write(self) -> None:
        pass


class Guesses(NamedTuple):
    """Answers to guesses; Nginx' refusals never reached a replica."""

    unknown: int
    refused: int
    refused_by_nginx: int
    other: int
    microseconds: int

    @property
    def rate(self) -> float:
        return sum(self[:4]) / (self.microseconds / 1e6)


class Phase(NamedTuple):
    name: str
    p50: float  # milliseconds
    p99: float
    honest: int
    failed: int
    guesses: Guesses | None
    cpu: dict[str, float]  # cores, by part


def _start_guessing(port: int, addresses: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "PAUSE_MS": str(_PAUSE_MS), "ADDRESSES": str(addresses)}
    command = ["nice", "-n", _NICE, need("wrk", "wrk"), "-t", "1", "-c", str(_CONNECTIONS)]
    command += ["-d", f"{SECONDS}s", "--timeout", "10s", "-s", str(_LUA)]
    command.append(f"http://127.0.0.1:{port}")
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def _phase(served: Served, name: str, addresses: int) -> Phase:
    def pick() -> tuple[str, str]:
        number = random.randrange(_LINKS)
        return f"/{codes[number][0]}", codes[number][1]

    codes, guessing = served.links(_LINKS), None
    before = served.stack.cpu_seconds()
    with Honest(served.stack.port, _HONEST_RATE, pick) as visitors:
        if addresses:
            guessing = _start_guessing(served.stack.port, addresses)
            output = guessing.communicate()[0]
        else:
            time.sleep(SECONDS)
    after = served.stack.cpu_seconds()
    took = sorted(each.seconds * 1000 for each in visitors.answers)
    guesses = Guesses(*map(int, output.split("RESULT ")[1].split())) if guessing else None
    cpu = {part: (after[part] - before[part]) / SECONDS for part in after}
    p50, p99 = (took[int(len(took) * share)] for share in (0.5, 0.99))
    return Phase(name, p50, p99, len(took), len(visitors.failed()), guesses, cpu)


_MOST_TIMES = 2
_PHASES = (("alone", 0), ("one address guesses", 1), ("ten addresses guess", 10))


def _line(phase: Phase, alone: Phase) -> str:
    guesses = phase.guesses
    told = (
        f"{guesses.rate:9,.0f}{guesses.unknown:8,}{guesses.refused:10,}"
        f"{guesses.refused_by_nginx:10,}{guesses.other:7,}"
        if guesses
        else f"{'':44}"
    )
    parts = ", ".join(f"{part} {cores:.2f}" for part, cores in phase.cpu.items())
    times = phase.p99 / alone.p99
    return (
        f"{phase.name:22}{phase.honest:8,}{phase.failed:8}{phase.p50:8.2f}{phase.p99:8.2f}"
        f"{times:7.2f}{told}  {parts}"
    )


def main() -> int:
    with ExitStack() as cleanup:
        try:
            limits = os.environ.get("LIMITS", "on")
            served = Served(cleanup, rate=_NGINX_RATE, LIMITS=limits)
            need("wrk", "wrk")
        except Missing as missing:
            print(missing, file=sys.stderr)
            return 1
        print(
            f"{_HONEST_RATE} redirects a second for {SECONDS} s beside guesses, in turn; "
            "milliseconds; x: p99 beside that alone; cores of each part\n\n"
            f"{'':22}{'honest':>8}{'failed':>8}{'p50':>8}{'p99':>8}{'x':>7}"
            f"{'guesses/s':>9}{'404':>8}{'429':>10}{'by Nginx':>10}{'other':>7}"
        )
        rounds = []
        for _ in range(ROUNDS):
            rounds.append([_phase(served, *each) for each in _PHASES])
            for phase in rounds[-1]:
                print(_line(phase, rounds[-1][0]), flush=True)
    for name, times in _medians(rounds).items():
        print(f"{name}: median of x {times:.2f}")
    failed = failures(rounds)
    for why in failed:
        print(why, file=sys.stderr)
    return 1 if failed else 0


def _medians(rounds: list[list[Phase]]) -> dict[str, float]:
    """By phase, how many times the p99 of the same round's first phase its own is."""
    return {
        phases[0].name: median(
            phase.p99 / alone.p99 for phase, (alone, *_) in zip(phases, rounds, strict=True)
        )
        for phases in list(zip(*rounds, strict=True))[1:]
    }


def failures(rounds: list[list[Phase]]) -> list[str]:
    """What must not be so; each round has the phase without guesses first."""
    slow = [
        f"{name}: a median above {_MOST_TIMES}"
        for name, times in _medians(rounds).items()
        if times > _MOST_TIMES
    ]
    found = [(phase, phase.guesses) for phases in rounds for phase in phases]
    return [
        *slow,
        *(f"{phase.name}: redirects failed" for phase, _ in found if phase.failed),
        *(f"{phase.name}: other than 404 or 429" for phase, told in found if told and told.other),
        *(f"{phase.name}: none refused" for phase, told in found if told and not told.refused),
    ]


if __name__ == "__main__":
    sys.exit(main())
