"""Drills on the click worker: killed, and stopped for a minute."""

from __future__ import annotations

from tests.drills.drill import Drill, Ground
from tests.drills.replicas import kill
from tests.stack.pace import wait_for


def _killed(ground: Ground) -> None:
    with ground.strike("worker-killed") as hit, hit.fault():
        kill(hit, "worker")


def _stopped(ground: Ground) -> None:
    """The clicks wait in the stream, somebody is told, and the worker finds all of them."""
    with ground.strike("worker-stopped") as hit:
        try:
            with hit.fault(("ClickBacklogOld", "warning", 90)):
                ground.stack.stop("worker")
                hit.lasts(60)
        finally:
            ground.stack.start("worker")
        hit.mended()
        wait_for(
            lambda: ground.backlog_seconds() < 2, what="clicks that wait no longer than they should"
        )
        hit.healed()


DRILLS = [
    Drill("worker-killed", _killed, short=True),
    Drill("worker-stopped", _stopped),
]
