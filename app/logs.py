"""The log: what a line looks like and what never gets into one, and the pair of lines for each request."""

from __future__ import annotations

import json
import logging
import random
import re
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from flask import Flask, Response, g, has_request_context, request
from pythonjsonlogger.json import JsonFormatter

from app import metrics
from app.logfile import SharedFile

log = logging.getLogger("app.requests")

_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_LONGEST_PATH = 300


def request_id(offered: str | None) -> str:
    """The client's X-Request-ID when it is a sane one, else a new one."""
    return offered if offered and _SANE_ID.fullmatch(offered) else f"{random.getrandbits(64):016x}"  # unique is enough


class Formatter(JsonFormatter):
    """One JSON object on one line, with the same ten keys for every entry; where there was an exception, its trace as well."""

    def __init__(self, instance: str, secrets: Sequence[str] = ()) -> None:
        super().__init__(json_ensure_ascii=False)
        self.instance, self.secrets = instance, secrets

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        about = _about_request()
        log_data["timestamp"] = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        log_data.update(level=record.levelname, logger=record.name, message=self._clean(record.getMessage()))
        for key in ("method", "path", "status", "duration_ms", "request_id"):
            log_data[key] = self._clean(getattr(record, key, about.get(key)))
        log_data["instance"] = self._clean(self.instance)
        if record.exc_info:
            log_data["exception"] = "\n".join(map(self._clean, str(self.formatException(record.exc_info)).split("\n")))

    def _clean(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        for secret in self.secrets:
            value = value.replace(secret, "***")
        return _one_line(value)


def _about_request() -> dict[str, Any]:
    if not has_request_context():
        return {}
    return {"method": request.method[:20], "path": request.path[:_LONGEST_PATH], "request_id": g.get("request_id")}


def _one_line(text: str) -> str:
    """What a request contained must not look like a line, or a terminal's command, to whoever reads the log."""
    return text if text.isprintable() else "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Redirect(NamedTuple):
    """A redirect that was answered at `time`, in seconds since 1970, after `seconds`."""

    time: float
    path: str
    request_id: str
    seconds: float


def log_redirects(redirects: Sequence[Redirect]) -> None:
    """Writes what `request finished` says, for many redirects in one go; their paths are short codes, their ids sane."""
    if not log.isEnabledFor(logging.INFO):
        return
    handlers = [handler for handler in logging.getLogger().handlers if isinstance(handler, (Stdout, SharedFile))]
    instance = _instance_of(handlers)
    text = "".join([_line(redirect, instance) for redirect in redirects])
    for handler in handlers:
        handler.write(text)


def _instance_of(handlers: Sequence[logging.Handler]) -> str:
    return next((json.dumps(handler.formatter.instance) for handler in handlers if isinstance(handler.formatter, Formatter)), "null")


def _line(redirect: Redirect, instance: str) -> str:
    return (
        f'{{"timestamp": "{_timestamp(int(redirect.time))}", '
        f'"level": "INFO", "logger": "app.requests", "message": "request finished", "method": "GET", "path": "{redirect.path}", '
        f'"status": 302, "duration_ms": {redirect.seconds * 1000:.3f}, "request_id": "{redirect.request_id}", "instance": {instance}}}\n'
    )


@lru_cache(maxsize=100)
def _timestamp(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


class Stdout(logging.StreamHandler[Any]):
    """Standard output, line by line or many at once."""

    def write(self, text: str) -> None:
        with self.lock or nullcontext():
            self.stream.write(text)
            self.flush()


def configure(level: str, instance: str, path: str, max_bytes: int, secrets: Sequence[str] = ()) -> None:
    """Sends everything that is logged, by whichever library, to stdout and to the file at `path` ("" for none)."""
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
    logging.getLogger("peewee").setLevel(logging.INFO)  # its DEBUG lines hold every value of every statement
    if trouble:
        log.warning("LOG_FILE cannot be written, GET /logs will be empty: %s", trouble)


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
