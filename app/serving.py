"""Gunicorn's settings, made of ours, and what it does when workers start and end."""

from __future__ import annotations

import logging
import re
import resource
import signal
from typing import Any

import click
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from app import metrics, start_log
from app.config import Settings, join
from app.connections import MOST_CONNECTIONS
from app.database import exit_if_unusable
from app.exposure import exposure
from app.greeting import WANTED, greeting
from app.process import replica

log = logging.getLogger(__name__)
_settings = Settings.or_exit()


class ServerLog(Logger):  # type: ignore[misc]  # Gunicorn is untyped
    """Sends Gunicorn's own lines where all others go."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        self.error_log.addFilter(without_secrets)


def without_secrets(record: logging.LogRecord) -> bool:
    """Cuts what Gunicorn quotes from requests: unreadable lines, headers and query strings."""
    text = re.sub(r"\?\S+", "?...", record.getMessage())
    record.msg = re.split("['\"]", text)[0] if text.startswith("Invalid request") else text
    record.args = ()
    return True


bind = join(_settings.app_host, _settings.app_port)
workers = _settings.web_workers
worker_class = "app.webworker.Worker"
wsgi_app = "app:create_asgi()"
timeout = 60
graceful_timeout = 8  # Docker kills after 10 s
keepalive = 75  # longer than Nginx keeps an idle connection: it must never send into a closed one
control_socket_disable = True
accesslog = None
loglevel = "warning"
logger_class = ServerLog


def on_starting(_server: Any) -> None:
    exit_if_unusable(_settings.database_url)
    start_log(_settings)
    exposure.bind(_settings)
    for warning in exposure.warnings:
        log.warning(warning)
    if _settings.prometheus_multiproc_dir:
        metrics.wipe(_settings.prometheus_multiproc_dir)


def post_fork(server: Any, _worker: Any) -> None:
    replica.master_pid = server.pid


def post_worker_init(worker: Any) -> None:
    """Greets for run.py. Handles signals: uvicorn, once it has ended, repeats the signal it got."""
    raise_open_files()
    if WANTED in worker.cfg.raw_env and worker.age == 1:
        click.echo(greeting(_settings))
    for name in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(name, worker.handle_exit)


def raise_open_files() -> None:
    """Many systems allow 1,024 files at first, fewer than there may be connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard if hard != resource.RLIM_INFINITY else 2 * MOST_CONNECTIONS
    wanted = min(most, 2 * MOST_CONNECTIONS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def child_exit(_server: Any, worker: Any) -> None:
    if _settings.prometheus_multiproc_dir:
        metrics.forget_worker(worker.pid, _settings.prometheus_multiproc_dir)
