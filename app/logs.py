"""Log lines: their form, what they never contain, and the two lines of each request."""

from __future__ import annotations

import logging
import random
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext
from functools import lru_cache
from json.encoder import encode_basestring as quoted
from typing import Any, NamedTuple

from flask import Flask, Request, Response, g, has_request_context, request
from pythonjsonlogger.json import JsonFormatter

from app import metrics
from app.logfile import SharedFile

log = logging.getLogger("app.requests")

_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_LONGEST_PATH = 300


def request_id(offered: str | None) -> str:
    """The client's X-Request-ID when it is well formed, else a new one; it is no secret."""
    sane = offered and _SANE_ID.fullmatch(offered)
    return offered if offered and sane else f"{random.getrandbits(64):016x}"


class Formatter(JsonFormatter):
    """One JSON object on one line with ten keys, and `exception` where there is a trace."""

    def __init__(self, instance: str, secrets: Sequence[str] = ()) -> None:
        super().__init__(json_ensure_ascii=False)
        self.instance, self.secrets = instance, secrets
        self.quoted = lru_cache(maxsize=100)(lambda text: quoted(self.clean(text)))

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        about = _about_request()
        log_data["timestamp"] = _timestamp(int(record.created))
        message = self.clean(record.getMessage())
        log_data.update(level=record.levelname, logger=record.name, message=message)
        for key in ("method", "path", "status", "duration_ms", "request_id"):
            log_data[key] = self.clean(getattr(record, key, about.get(key)))
        log_data["instance"] = self.clean(self.instance)
        if record.exc_info:
            trace = str(self.formatException(record.exc_info)).split("\n")
            log_data["exception"] = "\n".join(map(self.clean, trace))

    def clean(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        for secret in self.secrets:
            value = value.replace(secret, "***")
        return _one_line(value)


def _about_request() -> dict[str, Any]:
    if not has_request_context():
        return {}
    return {
        "method": request.method[:20],
        "path": request.path[:_LONGEST_PATH],
        "request_id": g.get("request_id"),
    }


def _one_line(text: str) -> str:
    """`text` with unprintable characters escaped: no forged lines, no terminal commands."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Line(NamedTuple):
    """A request's line. `time`: seconds since 1970. `seconds` and `status`: None at its start."""

    time: float
    request_id: str
    path: str
    seconds: float | None = None
    method: str = "GET"
    status: int | None = 302

    def text(self, formatter: Formatter) -> str:
        """What `formatter` makes of a record, without the cost of one."""
        at, request_id, path, seconds, method, status = self
        message = "request started" if seconds is None else "request finished"
        duration = "null" if seconds is None else f"{seconds * 1000:.3f}"
        return (
            f'{{"timestamp": "{_timestamp(int(at))}", "level": "INFO", "logger": "app.requests", '
            f'"message": "{message}", "method": {formatter.quoted(method)}, '
            f'"path": {quoted(formatter.clean(path))}, '
            f'"status": {"null" if status is None else status}, "duration_ms": {duration}, '
            f'"request_id": "{request_id}", "instance": {formatter.quoted(formatter.instance)}}}\n'
        )


class RequestLines:
    """The lines of requests: written at once, or while `held` by the next call of `write`."""

    def __init__(self) -> None:
        self.held = False
        self._lines: deque[Line] = deque()
        self._lock = threading.Lock()

    def add(self, line: Line) -> None:
        self._lines.append(line)
        if not self.held:
            self.write()

    def write(self) -> None:
        with self._lock:
            _write_lines([self._lines.popleft() for _ in range(len(self._lines))])


request_lines = RequestLines()


def _write_lines(lines: Sequence[Line]) -> None:
    if not lines or not log.isEnabledFor(logging.INFO):
        return
    ours = (Stdout, SharedFile)
    handlers = [each for each in logging.getLogger().handlers if isinstance(each, ours)]
    formatter = handlers[0].formatter if handlers else None
    if isinstance(formatter, Formatter):
        text = "".join([line.text(formatter) for line in lines])
        for handler in handlers:
            handler.write(text)


@lru_cache(maxsize=100)
def _timestamp(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


class Stdout(logging.StreamHandler[Any]):
    """Standard output, for one or many lines at once."""

    def write(self, text: str) -> None:
        with self.lock or nullcontext():
            self.stream.write(text)
            self.flush()


def configure(
    level: str, instance: str, path: str, max_bytes: int, secrets: Sequence[str] = ()
) -> None:
    """Sends all log records, libraries' too, to stdout and to the file at `path` ("": none)."""
    request_lines.held = False
    handlers: list[logging.Handler] = [Stdout(sys.stdout)]
    trouble = None
    if path:
        try:
            handlers.append(SharedFile(path, max_bytes))
        except OSError as error:
            trouble = error
    for handler in handlers:
        handler.setFormatter(Formatter(instance, secrets))
    logging.basicConfig(level=level, handlers=handlers, force=True)
    # DEBUG lines of peewee hold every value of every statement.
    logging.getLogger("peewee").setLevel(logging.INFO)
    if trouble:
        log.warning("LOG_FILE cannot be written, GET /logs will be empty: %s", trouble)


def resolved() -> tuple[Request, Any]:
    """The running request and its `g`: their proxies cost more than what is asked of them."""
    return request._get_current_object(), g._get_current_object()  # type: ignore[attr-defined]


def _start() -> None:
    current, own = resolved()
    own.started = time.perf_counter()
    own.request_id = request_id(current.headers.get("X-Request-ID"))
    if current.endpoint not in ("redirects.follow_code", "redirects.follow_url"):
        _log_request(current, own.request_id)


def _finish(response: Response) -> Response:
    current, own = resolved()
    seconds = time.perf_counter() - own.started
    response.headers["X-Request-ID"] = own.request_id
    metrics.observe_request(
        current.method, current.endpoint or "unknown", response.status_code, seconds
    )
    _log_request(current, own.request_id, seconds, response.status_code)
    return response


def _log_request(
    current: Request, request_id: str, seconds: float | None = None, status: int | None = None
) -> None:
    path, method = current.path[:_LONGEST_PATH], current.method[:20]
    request_lines.add(Line(time.time(), request_id, path, seconds, method, status))


def install(app: Flask) -> None:
    app.before_request(_start)
    app.after_request(_finish)
