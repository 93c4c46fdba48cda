"""What was checked, line by line as it becomes known, and whether all of it held."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class Failed(Exception):
    """Something that was promised did not hold."""


def require(condition: object, otherwise: object) -> None:
    if not condition:
        raise Failed(str(otherwise))


class Report:
    """Runs steps; what one of them raises is a line of the table and a failure of the whole."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.failures: list[str] = []

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def heading(self, text: str) -> None:
        print(f"\n-- {text} ({self.seconds:.0f} s)", flush=True)

    def step(self, name: str, check: Callable[..., Any], *arguments: Any) -> Any:
        """What `check` returned, which is the line's detail when it is a text."""
        try:
            found = check(*arguments)
        except Exception as error:  # noqa: BLE001 - the next checks are run whatever happened to this one
            self.failures.append(name)
            return self._line("FAIL", name, f"{type(error).__name__}: {error}")
        self._line("ok", name, found if isinstance(found, str) else "")
        return found

    def verdict(self) -> int:
        """The exit code."""
        print(
            f"\n{self.seconds:.0f} s, "
            + (f"FAILED: {', '.join(self.failures)}" if self.failures else "everything held")
        )
        return 1 if self.failures else 0

    def _line(self, outcome: str, name: str, detail: str) -> None:
        print(f"{outcome:4} {self.seconds:5.0f} s  {name:58} {detail}".rstrip(), flush=True)
