"""Gunicorn's worker process: uvicorn's, with the limits and timeouts of app/connections.py."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn_worker import UvicornWorker

from app.connections import Connection, check_all

# One phrase on every Python.
STATUS_LINE[413] = b"HTTP/1.1 413 Content Too Large\r\n"
STATUS_LINE[422] = b"HTTP/1.1 422 Unprocessable Content\r\n"


class Worker(UvicornWorker):  # type: ignore[misc]  # it is untyped
    """One process with one event loop; the threads are those of app/asgi.py."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        "loop": "uvloop",
        "http": Connection,
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "proxy_headers": False,  # app/__init__.py counts the proxies
        "server_header": False,
        "timeout_notify": 0,  # every second
        "timeout_graceful_shutdown": 7,  # a second before Gunicorn kills
    }

    def _install_sigquit_handler(self) -> None:
        """SIGQUIT, by which Gunicorn ends workers at once, is SIGTERM to uvicorn."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGQUIT, signal.raise_signal, signal.SIGTERM)

    async def callback_notify(self) -> None:
        self.notify()
        check_all(asyncio.get_running_loop().time())
        if os.getppid() != self.ppid:  # the master is dead
            signal.raise_signal(signal.SIGTERM)
