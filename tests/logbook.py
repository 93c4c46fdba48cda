"""A log of a test's own, and what every entry of it has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from app import logs

KEYS = [
    "timestamp",
    "level",
    "logger",
    "message",
    "method",
    "path",
    "status",
    "duration_ms",
    "request_id",
    "instance",
]


class Log:
    """A log in a file of its own, written to by all that this process logs."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "logs" / "holdfast.log"
        self.configure()

    def configure(
        self, max_bytes: int = 10_000_000, path: Path | None = None, secrets: tuple[str, ...] = ()
    ) -> None:
        logs.configure("INFO", "test", str(path or self.path), max_bytes, secrets)

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines()

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines()]
