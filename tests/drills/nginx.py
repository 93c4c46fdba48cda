"""The drill on Nginx: killed, it breaks the connections of its clients and nothing else."""

from __future__ import annotations

from tests.drills.drill import Drill, Ground
from tests.drills.replicas import kill
from tests.stack.load import BROKEN


def _killed(ground: Ground) -> None:
    """There is one; while it is away nobody can be answered, so this is the one fault during which
    requests may fail.
    """
    with ground.strike("nginx-killed") as hit:
        hit.allowed, hit.redirects_too = {BROKEN}, True
        with hit.fault():
            kill(hit, "nginx")


DRILLS = [Drill("nginx-killed", _killed, short=True)]
