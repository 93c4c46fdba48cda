"""Gunicorn's settings, read from ours, and what happens when its workers come and go."""

from __future__ import annotations

from typing import Any

from app import metrics
from app.config import Settings
from app.process import replica

_settings = Settings.from_env()

bind = f"{_settings.app_host}:{_settings.app_port}"
workers = _settings.web_workers
threads = _settings.web_threads
worker_class = "gthread"
timeout = 60
graceful_timeout = 20
keepalive = 75  # longer than Nginx keeps an idle connection, so that it never sends into one that is closing
limit_request_line = 8190  # a path of 5,000 characters is a 404, not broken HTTP
control_socket_disable = True
accesslog = None
loglevel = "warning"


def on_starting(_server: Any) -> None:
    if _settings.prometheus_multiproc_dir:
        metrics.wipe(_settings.prometheus_multiproc_dir)


def post_fork(server: Any, _worker: Any) -> None:
    replica.master_pid = server.pid


def child_exit(_server: Any, worker: Any) -> None:
    if _settings.prometheus_multiproc_dir:
        metrics.forget_worker(worker.pid, _settings.prometheus_multiproc_dir)
