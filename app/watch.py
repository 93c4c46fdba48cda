"""Cuts the connections to a PostgreSQL server that stopped answering in a statement."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from typing import Any

STATEMENT_SECONDS = 5  # a statement that takes longer has lost its client; the server ends it
# A server that has not ended it by now is no longer there.
_TIMEOUT_SECONDS = STATEMENT_SECONDS + 1.0
_LOOK_SECONDS = 0.25


class Watch:
    """Cuts connections whose server stopped answering; the driver would wait without end."""

    def __init__(self) -> None:
        self._renew()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[int, tuple[float, float, Any]] = {}
        self._thread: threading.Thread | None = None
        self._ran = 0.0  # seconds that this process ran; a stopped process reads no answers

    def begin(self, conn: Any) -> None:
        """A statement of this connection begins."""
        with self._lock:
            self._running[id(conn)] = (self._ran, time.monotonic(), conn)
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
                self._thread.start()

    def end(self, conn: Any) -> None:
        """It has ended; not before `conn` can no longer be cut for it."""
        with self._lock:
            del self._running[id(conn)]

    def _look(self) -> None:
        while True:
            before = time.monotonic()
            time.sleep(_LOOK_SECONDS)
            self._ran += min(time.monotonic() - before, 2 * _LOOK_SECONDS)
            with self._lock:
                for ran, began, conn in self._running.values():
                    if self._ran - ran > _TIMEOUT_SECONDS and not _may_take_longer(conn):
                        conn.pool.timed_out(conn, began)
                        _cut(conn)


def _may_take_longer(conn: Any) -> bool:
    """A server that writes no longer go to may never answer."""
    return bool(conn.no_timeouts and conn.server == conn.pool.server)


def _cut(conn: Any) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(conn.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


watch = Watch()
