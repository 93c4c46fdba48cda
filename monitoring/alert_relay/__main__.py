"""Runs the relay: Gunicorn with one worker of a few threads, in which the sender lives, too.

Gunicorn replaces a worker that dies.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from pythonjsonlogger.json import JsonFormatter

from monitoring.alert_relay.relay import Relay
from monitoring.alert_relay.sender import Sender
from monitoring.alert_relay.service import create_app
from monitoring.alert_relay.settings import ConfigError, Settings


class Server(BaseApplication):  # type: ignore[misc]  # Gunicorn is untyped
    """Gunicorn, told all it needs to know without a file."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.sender: Sender | None = None
        super().__init__()

    def load_config(self) -> None:
        options = {
            "bind": _joined(self.settings.alert_relay_host, self.settings.alert_relay_port),
            "worker_class": "gthread",
            "threads": 4,
            "graceful_timeout": 2,
            # the file system is read-only, and Gunicorn's heartbeat is a file
            "worker_tmp_dir": "/dev/shm",  # noqa: S108
            "control_socket_disable": True,
            "loglevel": "warning",
            "proc_name": "alert-relay",
            "worker_exit": lambda _server, _worker: self.stop(),
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """In the worker, after the fork."""
        relay = Relay(self.settings)
        self.sender = Sender(relay)
        self.sender.start()
        return create_app(relay, self.sender)

    def stop(self, *_: Any) -> None:
        if self.sender:
            self.sender.stop()


def _joined(host: str, port: int) -> str:
    """An IPv6 address stands in brackets beside a port."""
    host = host.strip("[]")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def main() -> None:
    os.umask(0o077)  # what it writes is for its owner only
    handler = logging.StreamHandler()
    names = {"asctime": "timestamp", "levelname": "level", "name": "logger"}
    handler.setFormatter(
        JsonFormatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            "%Y-%m-%dT%H:%M:%S",
            rename_fields=names,
        )
    )
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        settings = Settings.from_env()
    except ConfigError as error:
        sys.exit(str(error))
    Server(settings).run()


if __name__ == "__main__":
    main()
