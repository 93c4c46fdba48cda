"""Runs the drills on one stack and prints their table: `python -m tests.drills.run`."""

from __future__ import annotations

import argparse
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from tests.discord import Discord
from tests.drills import (
    alerting,
    clicks,
    corrupt,
    fail_static,
    hostile,
    killed,
    leaking,
    nginx,
    postgres,
    redis,
    replicas,
    restoring,
)
from tests.drills.drill import Drill, Ground
from tests.drills.outcome import LEGEND, Outcome, table
from tests.stack.alerts import Alerts
from tests.stack.compose import ONCE, Broken, Stack, docker, engine_answers, host_address
from tests.stack.pace import Stretch, fair

NO_ENGINE = 3
_SHORT_SECONDS, _SECONDS = 8 * 60, 75 * 60  # on an idle machine
_CANNOT = (Broken, subprocess.TimeoutExpired)
_MODULES = (
    replicas,
    clicks,
    redis,
    postgres,
    nginx,
    hostile,
    corrupt,
    killed,
    leaking,
    alerting,
    fail_static,
    restoring,
)


class Overdue(Exception):
    """A drill took longer than it may."""


def all_drills() -> list[Drill]:
    return [drill for module in _MODULES for drill in module.DRILLS]


def chosen(drills: Sequence[Drill], names: Sequence[str], *, short: bool) -> list[Drill]:
    unknown = set(names) - {drill.name for drill in drills}
    if unknown:
        sys.exit(
            f"there is no drill {', '.join(sorted(unknown))}; there are"
            f" {', '.join(drill.name for drill in drills)}"
        )
    return [
        drill for drill in drills if (drill.name in names if names else drill.short or not short)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.drills.run", description=__doc__)
    parser.add_argument("--short", action="store_true", help="only those that run in CI")
    parser.add_argument("names", nargs="*", help="only these")
    given = parser.parse_args()
    drills = chosen(all_drills(), given.names, short=given.short)
    if not engine_answers():
        print("drills: no Docker engine can start here, nothing was broken")
        return NO_ENGINE
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    with Discord(host=host_address()) as discord:
        stack = Stack(
            f"hf{secrets.token_hex(3)}", AUTO_SEED="true", DISCORD_WEBHOOK_URL=discord.url
        )
        try:
            stack.up()
            outcomes = run(
                Ground(stack, Alerts(discord)), drills, _SHORT_SECONDS if given.short else _SECONDS
            )
        finally:
            signal.alarm(0)
            stack.down()
            docker("image", "rm", "-f", replicas.next_image(stack))
    print(f"\n{table(outcomes)}\n\n{LEGEND}")
    return 1 if any(outcome.wrong for outcome in outcomes) else 0


def run(ground: Ground, drills: Sequence[Drill], seconds: float) -> list[Outcome]:
    """In order, until the time is over; every drill has its line."""
    signal.signal(signal.SIGALRM, _overdue)
    deadline, slower = fair() + seconds, Stretch()
    for drill in drills:
        began = time.monotonic()
        left = int(min(drill.seconds, deadline - fair()) * slower())
        if left > 0:
            _run_one(ground, drill, left)
        else:
            ground.outcomes.append(Outcome(drill.name, wrong=["no time was left"]))
        print(
            f"{time.monotonic() - began:4.0f} s  {'  '.join(ground.outcomes[-1].row())}", flush=True
        )
    return ground.outcomes


def _run_one(ground: Ground, drill: Drill, seconds: int) -> None:
    """A line is written when it ends; what is raised before, or after it, makes it a failed one."""
    lines = len(ground.outcomes)
    signal.alarm(seconds)
    try:
        drill.run(ground)
    except Exception as error:  # noqa: BLE001 - the next drills are run whatever happened to this one
        signal.alarm(0)
        if len(ground.outcomes) == lines:
            ground.outcomes.append(Outcome(drill.name))
        ground.outcomes[-1].wrong.append(f"{type(error).__name__}: {error}")
        _heal(ground.stack)
    finally:
        signal.alarm(0)


def _overdue(_number: int, _frame: Any) -> None:
    raise Overdue("it took too long")


def _heal(stack: Stack) -> None:
    """A drill that ended early has mended nothing."""
    services = [service for service in stack.services() if service not in ONCE]
    for service in services:
        with suppress(*_CANNOT):
            docker("unpause", f"{stack.project}-{service}-1")
        with suppress(*_CANNOT):
            stack.start(service)
    with suppress(TimeoutError, *_CANNOT):
        stack.wait_healthy(*services)


if __name__ == "__main__":
    sys.exit(main())
