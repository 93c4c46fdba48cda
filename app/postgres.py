"""The PostgreSQL pool: it notices a server that went away, or fell silent, and refuses at once while it is known to be."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
from peewee import OperationalError
from playhouse.pool import PooledPostgresqlDatabase
from psycopg2.errors import UndefinedTable
from psycopg2.extensions import connection, cursor

_PAUSE_SECONDS = 1.0
CONNECT_SECONDS = 2  # the shortest that libpq honours
_KNOCK_SECONDS = 0.7
STATEMENT_SECONDS = 5  # a statement that takes longer has lost its client; the server ends it
_SILENCE_SECONDS = STATEMENT_SECONDS + 1.0  # so a server that has not ended it by now is no longer there
_LOOK_SECONDS = 0.25


class _Watch:
    """Cuts the connections whose server fell silent in a statement, for the driver would wait for it for ever."""

    def __init__(self) -> None:
        self.last_silence = -_PAUSE_SECONDS
        self._renew()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[int, tuple[float, Connection]] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def over(self, conn: Connection) -> Iterator[None]:
        with self._lock:
            self._running[id(conn)] = (time.monotonic(), conn)
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
            time.sleep(_LOOK_SECONDS)
            with self._lock:
                for since, conn in self._running.values():
                    if time.monotonic() - since > _SILENCE_SECONDS and not conn.patient:
                        self.last_silence = time.monotonic()
                        _cut(conn)


def _cut(conn: Connection) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(conn.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


_watch = _Watch()


class Connection(connection):  # type: ignore[misc]  # psycopg2 is untyped
    """`patient` while its statements may take as long as they take."""

    patient = False


class Cursor(cursor):  # type: ignore[misc]  # psycopg2 is untyped
    def execute(self, *arguments: Any) -> None:
        with _watch.over(self.connection):
            try:
                super().execute(*arguments)
            except UndefinedTable as error:  # a server that came back without what was in it is as good as away
                raise psycopg2.OperationalError(str(error)) from error

    def copy_expert(self, *arguments: Any, **options: Any) -> None:
        with _watch.over(self.connection):
            super().copy_expert(*arguments, **options)


class Postgres(PooledPostgresqlDatabase):  # type: ignore[misc]  # the pool is untyped
    """Connections are opened by one thread at a time once it has failed; the others are refused meanwhile."""

    _away_until = 0.0
    _trying = 0  # the thread that finds out whether the server is back

    def __init__(self, database: Any, **options: Any) -> None:
        super().__init__(database, connection_factory=Connection, cursor_factory=Cursor, **options)
        self._idle_dropped = time.monotonic()

    def connect(self, reuse_if_open: bool = False) -> Any:
        self._refuse_while_away()
        if self._away_until:
            self._trying, self._away_until = threading.get_ident(), time.monotonic() + CONNECT_SECONDS + _PAUSE_SECONDS
        try:
            opened = super().connect(reuse_if_open)
        except OperationalError:
            self._trying, self._away_until = 0, time.monotonic() + _PAUSE_SECONDS
            raise
        self._trying, self._away_until = 0, 0.0
        return opened

    def _connect(self) -> Any:
        self._refuse_while_away()  # it may have failed while we waited for our turn
        self._knock()
        return super()._connect()

    def _knock(self) -> None:
        """A host that says nothing, such as a container that is just being taken down, keeps libpq waiting for two seconds, and clients with it."""
        host = self.connect_params.get("host", "")
        if host and not host.startswith("/") and "," not in host:
            try:
                socket.create_connection((host, self.connect_params.get("port", 5432)), _KNOCK_SECONDS).close()
            except OSError as error:
                raise OperationalError(f"nobody answers at {host}: {error}") from error

    def _refuse_while_away(self) -> None:
        silence = _watch.last_silence
        if silence > self._idle_dropped:
            self._idle_dropped, self._away_until = silence, max(self._away_until, silence + _PAUSE_SECONDS)
            self.close_idle()
        if time.monotonic() < self._away_until and self._trying != threading.get_ident():
            raise OperationalError("the database did not answer a moment ago")

    def _is_closed(self, conn: Any) -> bool:
        if conn.closed:
            return True
        poll = select.poll()  # an idle connection has nothing to say, unless the server closed it
        poll.register(conn.fileno(), select.POLLIN | select.POLLHUP)
        return bool(poll.poll(0))

    def be_patient(self, patient: bool) -> None:
        """Whether this thread's statements may take as long as they take, unlike a request's."""
        self.connection().patient = patient
        self.execute_sql("SET statement_timeout = 0; SET lock_timeout = 0" if patient else "RESET statement_timeout; RESET lock_timeout")
