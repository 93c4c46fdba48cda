"""The log file that all processes share: appended to, rotated, and read from its end."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

_BLOCK = 64 * 1024
_NOT_OPEN = -1


class SharedFile(logging.Handler):
    """Appends whole lines; at `max_bytes` one process renames the file to NAME.1, all reopen it."""

    def __init__(self, path: str, max_bytes: int) -> None:
        super().__init__()
        self.path, self.max_bytes = os.path.abspath(path), max_bytes
        self._fd, self._pid = _NOT_OPEN, 0
        Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        self._open()

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):  # a broken log call must not stop the service; stdout says why
            self.write(f"{self.format(record)}\n")

    def write(self, text: str) -> None:
        """Appends whole lines."""
        line = text.encode("utf-8", "backslashreplace")
        with suppress(OSError):  # a full disk must not stop it either; stdout has the line
            if self._fd == _NOT_OPEN or self._pid != os.getpid():
                self._open()  # a child would share the lock of its parent's file
            while not self._append(line):
                self._open()

    def _append(self, line: bytes) -> bool:
        """Writes the line under a lock; False when `path` is another file by now."""
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            size = self._size_if_current()
            if size is None or (size >= self.max_bytes and self._renamed()):
                return False
            if os.write(self._fd, line) < len(line):
                os.ftruncate(self._fd, size)  # disk full: half a line would spoil the next too
            return True
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _size_if_current(self) -> int | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_size if (found.st_dev, found.st_ino) == self._identity else None

    def _renamed(self) -> bool:
        try:
            os.replace(self.path, f"{self.path}.1")
            return True
        except OSError:
            return False  # a directory without write permission: better a long file than none

    def _open(self) -> None:
        self._close()
        self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._pid, opened = os.getpid(), os.fstat(self._fd)
        self._identity = opened.st_dev, opened.st_ino

    def _close(self) -> None:
        if self._fd != _NOT_OPEN:
            os.close(self._fd)
            self._fd = _NOT_OPEN

    def close(self) -> None:
        self._close()
        super().close()


def tail(path: str, most: int, needle: str = "", level: str = "") -> list[dict[str, Any]]:
    """The last `most` entries that contain `needle` (any case) and have `level`, oldest first."""
    found: list[dict[str, Any]] = []
    needle = needle.casefold()
    with _generations(path) as files:
        for line in (line for file in files for line in _lines_backwards(file)):
            if len(found) == most:
                break
            entry = _entry(line) if needle in line.casefold() else None
            wanted = entry and (not level or entry.get("level") == level.upper())
            if entry and wanted and _shows(entry, line, needle):
                found.append(entry)
    return found[::-1]


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry, end = _decode(line)
    except ValueError:
        return None  # cut off by a power failure
    if not isinstance(entry, dict) or end < len(line):
        return None
    return entry if _is_plain(line) else _shown(entry)


_decode = json.JSONDecoder().raw_decode


_TRACE = "Traceback (most recent call last)"
_LEFT_OUT = ("exception", "exc_info", "stack_info", "Traceback", "\\")
_LONGEST_TEXT = 600
"""Characters; a thousand entries stay below 4 MiB."""


def _is_plain(line: str) -> bool:
    """Whether nothing of the entry is left out: that is quicker to see than to find out."""
    return len(line) < _LONGEST_TEXT and not any(map(line.__contains__, _LEFT_OUT))


def _shown(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry without its trace, which only readers of the file see."""
    return {
        name: _cut(value) if isinstance(value, str) else value
        for name, value in entry.items()
        if name not in ("exception", "exc_info", "stack_info")
    }


def _cut(text: str) -> str:
    return text.partition(_TRACE)[0][:_LONGEST_TEXT]


def _shows(entry: dict[str, Any], line: str, needle: str) -> bool:
    """Whether the shown part of the line contains `needle`."""
    if not needle or _is_plain(line):
        return True
    return needle in json.dumps(entry, ensure_ascii=False).casefold()


@contextmanager
def _generations(path: str) -> Iterator[list[BinaryIO]]:
    """The file and the one renamed last, both as of one moment."""
    with ExitStack() as stack:
        while True:
            before = _identity(path)
            names = (path, f"{path}.1") if path else ()
            files = [stack.enter_context(file) for file in map(_opened, names) if file]
            if _identity(path) == before:
                yield files
                return
            stack.close()


def _opened(path: str) -> BinaryIO | None:
    try:
        return open(path, "rb") if os.path.isfile(path) else None  # a pipe would block
    except OSError:
        return None


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _lines_backwards(file: BinaryIO) -> Iterator[str]:
    position = file.seek(0, os.SEEK_END)
    rest = b""
    while position > 0:
        size = min(_BLOCK, position)
        position -= size
        file.seek(position)
        lines = (file.read(size) + rest).split(b"\n")
        rest = lines[0]
        yield from (line.decode("utf-8", "replace") for line in reversed(lines[1:]) if line)
    if rest:
        yield rest.decode("utf-8", "replace")
