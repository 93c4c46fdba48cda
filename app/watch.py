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
_LEADER_SECONDS = 10.0  # between two looks for another server, while work without timeouts lasts


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
        self._looked = 0.0  # when, in these seconds, for another server

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
                    if self._ran - ran > _TIMEOUT_SECONDS:
                        self._judge(began, conn)

    def _judge(self, began: float, conn: Any) -> None:
        """Cuts it, unless it has no timeouts and no other server takes the writes."""
        if not conn.no_timeouts or conn.server != conn.pool.server:
            conn.pool.timed_out(conn, began)
            _cut(conn)
        elif self._ran - self._looked > _LEADER_SECONDS:
            self._looked = self._ran
            threading.Thread(target=conn.pool.look_for_leader, daemon=True).start()


def _cut(conn: Any) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(conn.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


watch = Watch()
