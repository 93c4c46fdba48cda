"""Writes files atomically, and makes growing numbers for their names."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path


def to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def encoded(text: str) -> bytes:
    """UTF-8; half of a surrogate pair becomes its JSON escape again."""
    return text.encode("utf-8", "backslashreplace")


def write(path: Path, value: object, *, durable: bool) -> None:
    """Writes `value` as JSON; a durable file survives a power cut, too, once this returns."""
    draft = path.with_suffix(".tmp")
    try:
        with draft.open("wb") as file:
            file.write(encoded(to_json(value) + "\n"))
            file.flush()
            if durable:
                os.fsync(file.fileno())
        draft.rename(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    if durable:
        sync(path.parent)


def sync(folder: Path) -> None:
    """Makes sure of the names in `folder`."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Ticks:
    """The time in nanoseconds, never the same twice and never going back, even when the clock does.

    Not for several threads at once.
    """

    def __init__(self, last: int = 0) -> None:
        self.last = last

    def next(self) -> int:
        self.last = max(self.last + 1, time.time_ns())
        return self.last
