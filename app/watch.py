"""Cuts the connections to a PostgreSQL server that stopped answering in a statement."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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

    @contextmanager
    def over(self, conn: Any) -> Iterator[None]:
        with self._lock:
            self._running[id(conn)] = (self._ran, time.monotonic(), conn)
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                del self._running[id(conn)]

    def _look(self) -> None:
        while True:
            before = time.monotonic()
            time.sleep(_LOOK_SECONDS)
            self._ran += min(time.monotonic() - before, 2 * _LOOK_SECONDS)
            with self._lock:
                for ran, began, conn in self._running.values():
                    if self._ran - ran > _TIMEOUT_SECONDS and not conn.no_timeouts:
                        conn.pool.timed_out(began)
                        _cut(conn)


def _cut(conn: Any) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(conn.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


watch = Watch()
