"""Gunicorn's settings, read from ours, and what happens when its workers come and go."""

from __future__ import annotations

import logging
import re
import resource
import signal
from typing import Any

from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from app import logs, metrics
from app.config import Settings, join
from app.connections import MOST_CONNECTIONS
from app.database import exit_if_unusable
from app.process import replica

_settings = Settings.or_exit()


class ServerLog(Logger):  # type: ignore[misc]  # Gunicorn is untyped
    """What Gunicorn itself has to say goes where all of our lines go."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        self.error_log.addFilter(without_secrets)


def without_secrets(record: logging.LogRecord) -> bool:
    """Gunicorn quotes the request lines and headers that it cannot read, and the whole address of a request that broke."""
    text = re.sub(r"\?\S+", "?...", record.getMessage())
    record.msg, record.args = (
        re.split("['\"]", text)[0] if text.startswith("Invalid request") else text,
        (),
    )
    return True


bind = join(_settings.app_host, _settings.app_port)
workers = _settings.web_workers
worker_class = "app.webworker.Worker"
wsgi_app = "app:create_asgi()"
timeout = 60
graceful_timeout = 8  # Docker kills after ten seconds
keepalive = 75  # longer than Nginx keeps an idle connection, so that it never sends into one that is closing
control_socket_disable = True
accesslog = None
loglevel = "warning"
logger_class = ServerLog


def on_starting(_server: Any) -> None:
    exit_if_unusable(_settings.database_url)
    logs.configure(
        _settings.log_level,
        _settings.instance,
        _settings.log_file,
        _settings.log_max_bytes,
        _settings.secrets,
    )
    if _settings.prometheus_multiproc_dir:
        metrics.wipe(_settings.prometheus_multiproc_dir)


def post_fork(server: Any, _worker: Any) -> None:
    replica.master_pid = server.pid


def post_worker_init(worker: Any) -> None:
    """A worker that has finished ends as it likes: uvicorn sends itself once more the signal that it was ended by."""
    raise_open_files()
    for name in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(name, worker.handle_exit)


def raise_open_files() -> None:
    """Many systems allow 1,024 at first, which is fewer than there may be connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard if hard != resource.RLIM_INFINITY else 2 * MOST_CONNECTIONS
    wanted = min(most, 2 * MOST_CONNECTIONS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def child_exit(_server: Any, worker: Any) -> None:
    if _settings.prometheus_multiproc_dir:
        metrics.forget_worker(worker.pid, _settings.prometheus_multiproc_dir)
