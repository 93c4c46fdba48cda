"""The tiers: how many users come when, and what must be true of the answers they get."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import NamedTuple

P95_LIMIT_MS = 500

Stages = Sequence[tuple[float, int]]
"""Moments in seconds and how many users there are then; in between they come or go evenly."""


class Tier(NamedTuple):
    """`reference`: its users repeat loadtests/reference.py with exact pauses, and may wait."""

    peak: int
    stages: Stages
    pause_seconds: float = 1.0
    reference: bool = False

    @property
    def pause_shares(self) -> tuple[float, float]:
        """The shortest and the longest pause, as shares of `pause_seconds`."""
        return (1, 1) if self.reference else (0.5, 1.5)

    @property
    def p95_limit_ms(self) -> float:
        """500 users who hardly pause wait for the processor, so only failures count there."""
        return math.inf if self.reference else P95_LIMIT_MS


TIERS = {
    "bronze": Tier(50, [(0, 0), (5, 50), (60, 50)]),
    "silver": Tier(200, [(0, 0), (10, 200), (60, 200)]),
    "gold": Tier(500, [(0, 0), (15, 100), (45, 500), (75, 500), (90, 0)]),
    "reference": Tier(500, [(0, 0), (15, 500), (60, 500)], 0.1, reference=True),
}


def planned(name: str, users: int | None = None, seconds: float | None = None) -> Tier:
    """A tier, made higher or lower and longer or shorter when asked."""
    tier = TIERS[name]
    taller = users / tier.peak if users else 1
    longer = seconds / tier.stages[-1][0] if seconds else 1
    stages = [(moment * longer, round(count * taller)) for moment, count in tier.stages]
    return tier._replace(peak=users or tier.peak, stages=stages)


def users_at(stages: Stages, second: float) -> int | None:
    """How many users there are to be; None when it is over."""
    for (begin, before), (end, after) in pairwise(stages):
        if begin <= second < end:
            return round(before + (after - before) * (second - begin) / (end - begin))
    return None


@dataclass(frozen=True)
class Plan:
    """What the generator is told: who comes when, how long each pauses on average, and which links
    are there already.
    """

    stages: Stages
    pause_seconds: float
    record: str  # the file for what happened
    tail: int = 0  # links that the cache does not have
    constant: str = ""  # where everything leads, when it is not Holdfast that answers
    reference: bool = False  # as in Tier

    def dumped(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def loaded(cls, text: str) -> Plan:
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Outcome:
    """What a run came to, as far as it is judged."""

    requests: int
    failures: int
    p95_ms: float
    clicks_lost: int
    clicks_too_many: int
    p95_limit_ms: float = P95_LIMIT_MS


def broken_promises(outcome: Outcome) -> list[str]:
    """What was not as it must be, in words; empty when the tier is passed."""
    limit = f"the limit is {outcome.p95_limit_ms:.0f} ms"
    slow = f"95 % were answered within {outcome.p95_ms:.0f} ms, {limit}"
    wrong = {
        "nobody made a request": not outcome.requests,
        f"{outcome.failures} requests failed": outcome.failures,
        slow: outcome.p95_ms >= outcome.p95_limit_ms,
        f"{outcome.clicks_lost} answered clicks are not stored": outcome.clicks_lost,
        f"{outcome.clicks_too_many} clicks are stored that nobody made": outcome.clicks_too_many,
    }
    return [words for words, is_so in wrong.items() if is_so]
