"""One line of a failover's table: what became of each redirect, click and write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.stack.load import AGAIN, Answer

_HEAD = (
    "The leader was",
    "no writes, s",
    "at most",
    "slowest write, s",
    "redirects",
    "failed",
    "clicks lost",
    "double",
    "astray",
    "writes acknowledged",
    "lost",
    "double",
    "miscounted",
    "as expected",
)


@dataclass
class Line:
    """`outage`: seconds without an acknowledged write. `astray`: clicks of refused requests."""

    name: str
    outage: float
    most_outage: float
    slowest: float
    redirects: int = 0
    failed: int = 0
    lost: int = 0
    double: int = 0
    astray: int = 0
    written: int = 0
    writes_lost: int = 0
    writes_double: int = 0
    miscounted: int = 0
    worker_lives: bool = True

    def count_redirects(
        self, answers: Sequence[Answer], targets: Mapping[str, str], stored: Mapping[str, int]
    ) -> None:
        """`stored`: how many clicks the database has of each name of a request."""
        for answer in answers:
            clicks = stored.get(answer.name, 0)
            good = answer.status == 302 and answer.location == targets[answer.path]
            self.failed += not good
            self.lost += good and not clicks
            self.double += clicks > (2 if answer.note == AGAIN else 1)
            self.astray += clicks > 0 and not good
        self.redirects = len(answers)
        self.astray += len(stored.keys() - {answer.name for answer in answers})

    def count_writes(self, acknowledged: Sequence[str], stored: Mapping[str, int]) -> None:
        """`stored`: how many links the database has of each original URL."""
        self.written = len(acknowledged)
        self.writes_lost = sum(url not in stored for url in acknowledged)
        self.writes_double = sum(count > 1 for count in stored.values())

    def as_expected(self) -> bool:
        wrong = self.failed, self.lost, self.double, self.astray, self.miscounted
        wrong += self.writes_lost, self.writes_double
        return not any(wrong) and self.worker_lives and self.outage <= self.most_outage

    def row(self) -> str:
        figures = [
            f"{self.outage:.1f}",
            f"{self.most_outage:.0f}",
            f"{self.slowest:.1f}",
            *(self.redirects, self.failed, self.lost, self.double, self.astray),
            *(self.written, self.writes_lost, self.writes_double, self.miscounted),
            "ok" if self.as_expected() else "NO" if self.worker_lives else "NO: worker died",
        ]
        return f"| {self.name} | {' | '.join(map(str, figures))} |"


def table(lines: Sequence[Line]) -> str:
    """Markdown."""
    rule = f"|---|{'---:|' * (len(_HEAD) - 2)}---|"
    return "\n".join([f"| {' | '.join(_HEAD)} |", rule, *(line.row() for line in lines)])
