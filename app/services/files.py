"""Writes a file atomically: a reader finds the old file or the complete new one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_atomically(path: Path, mode: int = 0o600) -> Iterator[Path]:
    """Where to write it; when that fails, nothing is left of it."""
    part = path.with_name(f"{path.name}.part")
    part.touch(mode)
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
