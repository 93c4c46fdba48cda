"""What Discord was told about each fault, and how long that took."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.discord import Discord
from tests.stack.pace import fair, wait_for

_TOLD = {
    "critical": "🔴 Critical: ",
    "warning": "🟠 Warning: ",
    "any": "(?:🔴 Critical|🟠 Warning): ",
}
_RESOLVED = "🟢 Resolved: "


@dataclass
class Expected:
    """An alert, or one of several with | between, that a fault must raise, and whose end must be
    told after that of the fault.
    """

    fault: str
    alert: str
    severity: str
    began: float = field(default_factory=time.time)
    ended: float = 0.0
    counted: float = field(default_factory=fair)  # the fair clock at its beginning, then at its end

    def end(self) -> None:
        self.ended, self.counted = time.time(), fair()

    def __str__(self) -> str:
        return f"{self.alert.replace('|', ' or ')} ({self.severity})"


class Alerts:
    """Reads along at the Discord stub."""

    def __init__(self, discord: Discord) -> None:
        self.discord = discord
        self.expected: list[Expected] = []

    def expect(self, fault: str, alert: str, severity: str) -> Expected:
        self.expected.append(Expected(fault, alert, severity))
        return self.expected[-1]

    @contextmanager
    def told_of(self, fault: str, *alerts: tuple[str, str, float]) -> Iterator[None]:
        """Around a fault, which may end when each of (name, severity) was told, after so many
        seconds at most.
        """
        expected = [
            (self.expect(fault, name, severity), seconds) for name, severity, seconds in alerts
        ]
        try:
            yield
            for each, seconds in expected:
                self.wait_told(each, seconds)
        finally:
            for each, _ in expected:
                each.end()

    def wait_told(self, expected: Expected, seconds: float) -> None:
        """Until so many seconds after the beginning of the fault."""
        left = expected.counted + seconds - fair()
        wait_for(
            lambda: self.told(expected) is not None,
            left,
            f"{expected} at Discord, which heard {self.discord.titles[-6:]},",
        )

    def wait_resolved(self, seconds: float) -> str:
        """All of them, each until so many seconds after the end of the fault."""
        for each in self.expected:
            wait_for(
                lambda each=each: self.resolved(each) is not None,
                each.counted + seconds - fair(),
                f"the end of {each} at Discord",
            )  # type: ignore[misc]
        return f"{len(self.expected)} of {len(self.expected)}"

    def told(self, expected: Expected) -> float | None:
        """Seconds from the beginning of the fault to the message."""
        return self._first(_TOLD[expected.severity] + f"(?:{expected.alert})", expected.began)

    def resolved(self, expected: Expected) -> float | None:
        """Seconds from the end of the fault to the message."""
        return (
            self._first(_RESOLVED + f"(?:{expected.alert})", expected.ended)
            if expected.ended
            else None
        )

    def _first(self, title: str, since: float) -> float | None:
        """A title goes on with where it is."""
        for told in list(self.discord.told):
            if told.at >= since and any(
                re.fullmatch(rf"{title}( \(.*\))?", each) for each in told.titles
            ):
                return told.at - since
        return None

    def others(self) -> list[str]:
        """What was told that nobody expected: a fault has more consequences than one."""
        names = "|".join(each.alert for each in self.expected)
        return sorted(
            {
                title
                for title in self.discord.titles
                if not re.search(rf": (?:{names})(?: \(|$)", title)
            }
        )

    def table(self) -> str:
        rows = [
            (each.fault, str(each), _seconds(self.told(each)), _seconds(self.resolved(each)))
            for each in self.expected
        ]
        head = ("fault", "alert at Discord", "told after", "its end after")
        return "\n".join(
            f"{fault:36} {alert:48} {told:>10} {resolved:>14}"
            for fault, alert, told, resolved in (head, *rows)
        )


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"
