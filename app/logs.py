"""The log: JSON lines on stdout and in a file that all workers share, one pair of lines per request, and the tail of it."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import secrets
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

from flask import Flask, Response, g, has_request_context, request
from pythonjsonlogger.json import JsonFormatter

from app import metrics

log = logging.getLogger("app.requests")

_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_BLOCK = 64 * 1024
_LONGEST_PATH = 300


def request_id(offered: str | None) -> str:
    """The client's X-Request-ID when it is a sane one, else a new one."""
    return offered if offered and _SANE_ID.fullmatch(offered) else secrets.token_hex(8)


class Formatter(JsonFormatter):
    """One JSON object on one line, with the same ten keys for every entry; an exception's trace follows its message."""

    def __init__(self, instance: str) -> None:
        super().__init__(json_ensure_ascii=False)
        self.instance = instance

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        about = _about_request()
        log_data["timestamp"] = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        log_data.update(level=record.levelname, logger=record.name, message=_one_line(record.getMessage()))
        for key in ("method", "path", "status", "duration_ms", "request_id"):
            log_data[key] = getattr(record, key, about.get(key))
        log_data["instance"] = self.instance
        if record.exc_info:
            log_data["exception"] = self.formatException(record.exc_info)


def _about_request() -> dict[str, Any]:
    if not has_request_context():
        return {}
    return {"method": request.method[:20], "path": _one_line(request.path[:_LONGEST_PATH]), "request_id": g.get("request_id")}


def _one_line(text: str) -> str:
    """What a request contained must not look like a line, or a terminal's command, to whoever reads the log."""
    return text if text.isprintable() else "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class SharedFile(WatchedFileHandler):
    """Appends whole lines from many processes; who finds the file too long renames it to NAME.1, and the others follow."""

    def __init__(self, path: str, max_bytes: int) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self.max_bytes = max_bytes

    def emit(self, record: logging.LogRecord) -> None:
        super().emit(record)
        if self.stream and self.stream.tell() > self.max_bytes:
            self._rotate()

    def _rotate(self) -> None:
        with open(f"{self.baseFilename}.lock", "w", encoding="ascii") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            if os.path.exists(self.baseFilename) and os.path.getsize(self.baseFilename) > self.max_bytes:
                os.replace(self.baseFilename, f"{self.baseFilename}.1")

    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk must not stop the service: the line is on stdout too."""


def configure(level: str, instance: str, path: str, max_bytes: int) -> None:
    """Sends everything that is logged, by whichever library, to stdout and to the file at `path` ("" for none)."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    trouble = None
    if path:
        try:
            handlers.append(SharedFile(path, max_bytes))
        except OSError as error:
            trouble = error
    for handler in handlers:
        handler.setFormatter(Formatter(instance))
    logging.basicConfig(level=level, handlers=handlers, force=True)
    if trouble:
        logging.getLogger(__name__).warning("LOG_FILE cannot be written, GET /logs will be empty: %s", trouble)


def tail(path: str, most: int, needle: str = "", level: str = "") -> list[dict[str, Any]]:
    """The last `most` entries of the shared file that contain `needle` (any case) and have `level`, oldest first."""
    found: list[dict[str, Any]] = []
    needle = needle.casefold()
    for line in _lines_backwards(path):
        if len(found) == most:
            break
        if needle not in line.casefold():
            continue
        entry = _entry(line)
        if entry and (not level or entry.get("level") == level.upper()):
            found.append(entry)
    return found[::-1]


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None  # cut off by a power failure
    return entry if isinstance(entry, dict) else None


def _lines_backwards(path: str) -> Iterator[str]:
    for name in (path, f"{path}.1"):
        try:
            with open(name, "rb") as file:
                yield from _lines_of(file)
        except FileNotFoundError:
            continue


def _lines_of(file: Any) -> Iterator[str]:
    position = file.seek(0, os.SEEK_END)
    rest = b""
    while position > 0:
        size = min(_BLOCK, position)
        position -= size
        file.seek(position)
        lines = (file.read(size) + rest).split(b"\n")
        rest = lines[0]
        for line in reversed(lines[1:]):
            if line:
                yield line.decode("utf-8", "replace")
    if rest:
        yield rest.decode("utf-8", "replace")


def _start() -> None:
    g.started = time.perf_counter()
    g.request_id = request_id(request.headers.get("X-Request-ID"))
    if not _is_redirect():
        log.info("request started")


def _finish(response: Response) -> Response:
    seconds = time.perf_counter() - g.started
    response.headers["X-Request-ID"] = g.request_id
    metrics.observe_request(request.method, request.endpoint or "unknown", response.status_code, seconds)
    log.info("request finished", extra={"status": response.status_code, "duration_ms": round(seconds * 1000, 3)})
    return response


def _is_redirect() -> bool:
    return request.endpoint in ("redirects.follow_code", "redirects.follow_url")


def install(app: Flask) -> None:
    app.before_request(_start)
    app.after_request(_finish)
