"""What happened in a run: every request, every click that was answered, and the figures of both."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


class Request(NamedTuple):
    """When it was answered, counted from the run's beginning.

    What was wrong with the answer, if anything.
    """

    second: float
    name: str
    milliseconds: float
    users: int
    failure: str = ""


@dataclass
class Record:
    """`clicks` and `unknown` count for each short code the 302s, and the requests that broke, which
    may be clicks or not.
    """

    requests: list[Request] = field(default_factory=list)
    clicks: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    first_id: int = 1

    def write(self, path: str) -> None:
        Path(path).write_text(json.dumps(vars(self)))

    @classmethod
    def read(cls, path: str) -> Record:
        held = json.loads(Path(path).read_text())
        return cls(
            [Request(*each) for each in held["requests"]],
            Counter(held["clicks"]),
            Counter(held["unknown"]),
            held["first_id"],
        )

    def failures(self) -> Counter[str]:
        return Counter(f"{each.name}: {each.failure}" for each in self.requests if each.failure)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that is not exceeded by that share of them."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else 0.0


class Figures(NamedTuple):
    requests: int
    failures: int
    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    slowest_ms: float


def figures(requests: Iterable[Request], seconds: float) -> Figures:
    chosen = list(requests)
    times = [each.milliseconds for each in chosen]
    shares = [round(percentile(times, share), 1) for share in (0.5, 0.95, 0.99, 1)]
    return Figures(
        len(chosen),
        sum(bool(each.failure) for each in chosen),
        round(len(chosen) / seconds, 1) if seconds else 0.0,
        *shares,
    )


def length(requests: Sequence[Request]) -> float:
    """Seconds from the beginning to the last answer."""
    return max((each.second for each in requests), default=0.0)


def by_name(requests: Sequence[Request]) -> dict[str, Figures]:
    groups: dict[str, list[Request]] = defaultdict(list)
    for each in requests:
        groups[each.name].append(each)
    return {name: figures(groups[name], length(requests)) for name in sorted(groups)}


def by_second(requests: Sequence[Request]) -> dict[int, tuple[int, Figures]]:
    """For each second how many users there were and what they got."""
    groups: dict[int, list[Request]] = defaultdict(list)
    for each in requests:
        groups[int(each.second)].append(each)
    return {
        second: (max(each.users for each in groups[second]), figures(groups[second], 1))
        for second in sorted(groups)
    }
