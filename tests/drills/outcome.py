"""Compares the answers and stored clicks of a drill with the promises; makes its table line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tests.stack.load import AGAIN, BROKEN, Answer

RECOVERY_SECONDS = 15
REFUSED = 503

HEAD = (
    "drill",
    "requests",
    "failed",
    "refused",
    "answered",
    "stored",
    "double",
    "told after",
    "recovered after",
    "as expected?",
)
LEGEND = """failed: answered neither as asked nor with 503, or not at all
refused: 503 with Retry-After, within a second
answered, stored: redirects, and their clicks in the database, +n that the fault itself deleted
double: clicks stored twice, +n of requests that Nginx or the client had to send to a second
replica because the first one died
told after: from the fault to the alert at Discord
recovered after: from the end of the cause to the last answer that was wrong or refused, or to the
last moment at which a replica was not ready"""


@dataclass
class Rules:
    """What is right beside 200 and 302 while the fault lasts, and until `RECOVERY_SECONDS` after
    it: for reads, when asked for also for redirects.
    """

    allowed: Collection[int] = ()
    redirects_too: bool = False
    within: float = 1.0  # seconds in which a refusal must come
    slower: float = 1.0  # how many times slower than an idle machine this one was
    began: float = float("inf")  # both on the monotonic clock
    ended: float = float("inf")

    def allow(self, answer: Answer, *, redirect: bool) -> bool:
        until = self.ended + RECOVERY_SECONDS * self.slower
        during = self.began <= answer.at and answer.at - answer.seconds <= until
        return during and answer.status in self.allowed and (self.redirects_too or not redirect)


@dataclass
class Outcome:
    """One line of the table; `wrong` says why it is not as expected."""

    drill: str
    requests: int = 0
    failed: int = 0
    refused: int = 0
    answered: int = 0
    stored: int = 0
    double: int = 0
    repeated: int = 0
    destroyed: int = 0
    told: list[float] = field(default_factory=list)
    recovered: float | None = None
    wrong: list[str] = field(default_factory=list)

    def row(self) -> tuple[str, ...]:
        counts = (
            self.requests,
            self.failed,
            self.refused,
            self.answered,
            f"{self.stored}+{self.destroyed}" if self.destroyed else self.stored,
        )
        double = f"{self.double}+{self.repeated}" if self.repeated else str(self.double)
        told = ", ".join(f"{seconds:.1f} s" for seconds in self.told) or "-"
        recovered = "-" if self.recovered is None else f"{self.recovered:.1f} s"
        return (
            self.drill,
            *map(str, counts),
            double,
            told,
            recovered,
            "FAIL: " + "; ".join(self.wrong) if self.wrong else "yes",
        )


def table(outcomes: Sequence[Outcome]) -> str:
    rows = [HEAD, *(outcome.row() for outcome in outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD) - 1)]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:], strict=True)),
                row[-1],
            ]
        )
        for row in rows
    )


def bad(answer: Answer, targets: Mapping[str, str]) -> bool:
    """Whether it is neither the right redirect nor the page that the client asked for."""
    if answer.path in targets:
        return (answer.status, answer.location) != (302, targets[answer.path])
    return answer.status not in (200, 302)


def judge_answers(
    outcome: Outcome, answers: Sequence[Answer], targets: Mapping[str, str], rules: Rules
) -> None:
    reasons: Counter[str] = Counter()
    for answer in answers:
        redirect = answer.path in targets
        outcome.requests += 1
        outcome.refused += answer.status == REFUSED
        outcome.failed += answer.status not in (200, 302, REFUSED)
        if bad(answer, targets):
            reasons[_reason(answer, rules, redirect=redirect)] += 1
    del reasons[""]
    outcome.wrong += [f"{count} x {reason}" for reason, count in reasons.items()]


def _reason(answer: Answer, rules: Rules, *, redirect: bool) -> str:
    """Why a bad answer is wrong; nothing when it is allowed."""
    if answer.status == 302:
        return "a redirect to a wrong place"
    if not rules.allow(answer, redirect=redirect):
        return f"{answer.status} {answer.note}".strip() + (
            " for a redirect" if redirect else " for a read"
        )
    if answer.status == REFUSED and not answer.retry_after:
        return "503 without Retry-After"
    if answer.status == REFUSED and answer.seconds > rules.within * rules.slower:
        return f"503 after more than {rules.within:g} s (it was {answer.seconds:.1f} s)"
    return ""


def slowest_beside(answer: Answer, answers: Sequence[Answer], targets: Mapping[str, str]) -> float:
    """How long the slowest right redirect took that was answered meanwhile."""
    began = answer.at - answer.seconds
    right = (each for each in answers if each.path in targets and not bad(each, targets))
    return max((each.seconds for each in right if began <= each.at <= answer.at), default=0.0)


def judge_clicks(
    outcome: Outcome,
    answers: Sequence[Answer],
    stored: Counter[str],
    resent: Collection[str],
    destroyed: Collection[str] = (),
) -> None:
    """`stored` counts the click events of each request's name. A request that was sent to two
    replicas may be two clicks: the first one may have died
    after it had counted. Of one whose connection broke nobody knows whether it is a click; any
    other one that was not answered with 302 is none."""
    by_name = {answer.name: answer for answer in answers}
    answered = {name for name, answer in by_name.items() if answer.status == 302}
    resent = {*resent, *(name for name, answer in by_name.items() if answer.note == AGAIN)}
    twice = {name for name, times in stored.items() if times > 1}
    uncalled = {
        name
        for name in stored.keys() - answered - resent
        if name not in by_name or by_name[name].status != BROKEN
    }
    outcome.answered, outcome.stored = len(answered), len(answered & stored.keys())
    outcome.double, outcome.repeated = len(twice - resent), len(twice & resent)
    unstored = answered - stored.keys()
    outcome.destroyed, lost = len(unstored & set(destroyed)), unstored - set(destroyed)
    for names, words in (
        (lost, "clicks lost"),
        (twice - resent, "clicks stored twice"),
        (uncalled, "clicks of requests that were refused"),
    ):
        if names:
            outcome.wrong.append(f"{len(names)} {words}, such as {', '.join(sorted(names)[:3])}")
    if not answered:
        outcome.wrong.append("no redirect was answered")


def judge_recovery(outcome: Outcome, seconds: float | None, slower: float = 1.0) -> None:
    outcome.recovered = seconds
    if seconds is None or seconds > RECOVERY_SECONDS * slower:
        outcome.wrong.append(
            "it did not recover" if seconds is None else f"it took {seconds:.1f} s to recover"
        )
