"""The tiers: how many users come when, and what must be true of the answers they get."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import NamedTuple

P95_LIMIT_MS = 500

Stages = Sequence[tuple[float, int]]
"""Moments in seconds and how many users there are then; in between they come or go evenly."""


class Tier(NamedTuple):
    peak: int
    stages: Stages


TIERS = {
    "bronze": Tier(50, [(0, 0), (5, 50), (60, 50)]),
    "silver": Tier(200, [(0, 0), (10, 200), (60, 200)]),
    "gold": Tier(500, [(0, 0), (15, 100), (45, 500), (75, 500), (90, 0)]),
}


def planned(name: str, users: int | None = None, seconds: float | None = None) -> Tier:
    """A tier, made higher or lower and longer or shorter when asked."""
    peak, stages = TIERS[name]
    taller = users / peak if users else 1
    longer = seconds / stages[-1][0] if seconds else 1
    return Tier(users or peak, [(moment * longer, round(count * taller)) for moment, count in stages])


def users_at(stages: Stages, second: float) -> int | None:
    """How many users there are to be; None when it is over."""
    for (begin, before), (end, after) in pairwise(stages):
        if begin <= second < end:
            return round(before + (after - before) * (second - begin) / (end - begin))
    return None


@dataclass(frozen=True)
class Plan:
    """What the generator is told: who comes when, how long each pauses on average, and which links are there already."""

    stages: Stages
    pause_seconds: float
    record: str  # the file for what happened
    tail: int = 0  # links that the cache does not have
    constant: str = ""  # where everything leads, when it is not Holdfast that answers

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


def broken_promises(outcome: Outcome) -> list[str]:
    """What was not as it must be, in words; empty when the tier is passed."""
    wrong = {
        "nobody made a request": not outcome.requests,
        f"{outcome.failures} requests failed": outcome.failures,
        f"95 % were answered within {outcome.p95_ms:.0f} ms, the limit is {P95_LIMIT_MS} ms": outcome.p95_ms >= P95_LIMIT_MS,
        f"{outcome.clicks_lost} answered clicks are not stored": outcome.clicks_lost,
        f"{outcome.clicks_too_many} clicks are stored that nobody made": outcome.clicks_too_many,
    }
    return [words for words, is_so in wrong.items() if is_so]
