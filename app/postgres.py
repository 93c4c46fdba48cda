"""The PostgreSQL pool: notices a server that does not answer, sets up each connection."""

from __future__ import annotations

import logging
import re
import select
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psycopg2
from peewee import PostgresqlDatabase
from playhouse.pool import MaxConnectionsExceeded, PooledPostgresqlDatabase

from app.breaker import Breaker
from app.pooling import DIRECT, OWN_SETTINGS, TIMEOUTS, beginnings
from app.statements import Connection, Cursor
from app.unavailable import MISSING, READ_ONLY, DatabaseUnavailable, DatabaseUnusable

log = logging.getLogger(__name__)

_PAUSE_SECONDS = 1.0
CONNECT_SECONDS = 1
_KNOCK_SECONDS = 0.7
_FULL = re.compile("too many (clients|connections)|remaining connection slots")

_TROUBLE = """
SELECT CASE WHEN current_setting('transaction_read_only') = 'on' THEN %s
WHEN to_regclass('urls') IS NULL THEN %s ELSE (
    SELECT 'no permission'
    FROM unnest(ARRAY['users', 'urls', 'events', 'facts', 'click_claims', 'click_journal',
        'cache_updates']) AS name,
    unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
    WHERE NOT has_table_privilege(to_regclass(name), privilege) LIMIT 1
) END, current_setting('default_transaction_read_only') = 'on'
"""
_PAST = -1  # the age of a connection that goes back into no pool


Server = tuple[str, int]
"""Host and port; a host that begins with / is a folder of sockets, and "" is libpq's own."""
_NOWHERE = "", 0


class _Opening(PostgresqlDatabase):
    """What the pool does for a new connection, and for a new one only."""

    breaker: Breaker
    age: int
    server: Server
    connect_params: dict[str, Any]
    _adapter: Any
    _in_use: dict[Any, Any]

    def _connect(self) -> Any:
        began, errors = self._begin(), []
        for server in self._servers():
            try:
                self._knock(*server)
                conn = self._open(*server)
                break
            except (psycopg2.Error, OSError) as error:
                errors.append(error)
        else:
            raise self._refusal(errors, began) from errors[-1]
        self._prefer(server)
        conn.pool, conn.server, conn.age = self, server, self.age
        _prepare(conn)
        return conn

    def _servers(self) -> list[Server]:
        """Each host and its port; first that of the last connection.

        libpq tries no other host after one that accepts a connection and closes it.
        """
        hosts = str(self.connect_params.get("host", "")).split(",")
        ports = list(map(int, str(self.connect_params.get("port", 5432)).split(",")))
        servers = zip(hosts, ports if len(ports) > 1 else ports * len(hosts), strict=True)
        return sorted(servers, key=lambda each: each != self.server)

    def _open(self, host: str, port: int) -> Any:
        at = {"host": host, "port": port} if host else {}
        conn = self._adapter.connect(self, **{**self.connect_params, **at})
        conn.autocommit = True
        return conn

    def _prefer(self, server: Server) -> None:
        """Idle connections to another server end: this one takes the writes."""
        if self.server not in (server, _NOWHERE):
            log.warning("the database is on %s:%s now, not on %s:%s", *server, *self.server)
            self.age += 1
        self.server = server

    def _begin(self) -> float:
        began = self.breaker.begin()
        if began is None:
            raise DatabaseUnavailable("the database did not answer a moment ago")
        return began

    def _knock(self, host: str, port: int) -> None:
        """Finds a host that does not answer, such as a stopped container, in less than a second."""
        if host and not host.startswith("/"):
            try:
                socket.create_connection((host, port), _KNOCK_SECONDS).close()
            except OSError as error:
                raise OSError(f"no connection to {host}: {error}") from error

    def _refusal(self, errors: list[Exception], began: float) -> Exception:
        """A refusal is an answer. When connections have run out, one of ours is free soon."""
        text = "; ".join(map(str, errors))
        if not (_FULL.search(text) or all("FATAL:" in str(error) for error in errors)):
            self.breaker.failed(began)
            return DatabaseUnavailable(text)
        self.breaker.answered()
        if self._in_use and _FULL.search(text):
            return MaxConnectionsExceeded(text)  # type: ignore[no-any-return]
        return DatabaseUnavailable(text)


def _prepare(conn: Connection) -> None:
    encoding = conn.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        name = conn.info.dbname
        conn.close()
        raise DatabaseUnusable(
            f"the database {name} is encoded in {encoding}, and must be in UTF8: "
            "createdb -E UTF8 -T template0",
            "its encoding is not UTF8",
        )
    mine = conn.cursor()
    mine.execute(OWN_SETTINGS)
    if not mine.fetchall():
        options = conn.pool.connect_params.get("options", "")
        conn.beginnings = beginnings(options, conn.server_version)


class Postgres(PooledPostgresqlDatabase, _Opening):  # type: ignore[misc]  # the pool is untyped
    """After a timeout one thread at a time finds out whether the server answers again."""

    def __init__(self, database: Any, **options: Any) -> None:
        self.age, self.server = 0, _NOWHERE
        longest = CONNECT_SECONDS * (1 + str(options.get("host", "")).count(","))
        self.breaker = Breaker(_PAUSE_SECONDS, longest + _PAUSE_SECONDS)
        super().__init__(database, connection_factory=Connection, cursor_factory=Cursor, **options)

    def connect(self, reuse_if_open: bool = False) -> Any:
        if not self._connections:
            self._begin()  # before waiting for threads that open a connection
        try:
            return super().connect(reuse_if_open)
        except MaxConnectionsExceeded as error:
            raise DatabaseUnavailable(f"all connections are in use: {error}") from error

    def _of_thread(self) -> Any:
        return self.connection()  # type: ignore[no-untyped-call]

    def execute_later(self, sql: str, values: Sequence[Any]) -> None:
        """Sends a statement with the next one of the running transaction, in one round trip.

        An error is raised there; the result is lost.
        """
        conn = self._of_thread()
        conn.unsent += (conn.cursor().mogrify(sql, values),)

    def look_for_leader(self) -> None:
        """Finds out which of several servers takes writes, for work that waits for one of them."""
        servers = self._servers()
        for server in servers if len(servers) > 1 else ():
            with suppress(psycopg2.Error, OSError):
                self._knock(*server)
                self._open(*server).close()
                self.breaker.answered()
                self._prefer(server)
                return

    def timed_out(self, conn: Connection, began: float) -> None:
        """A statement that began then had no answer."""
        self.breaker.failed(began, watched=True)
        self.renew(conn)

    def renew(self, conn: Connection) -> None:
        """Ends idle connections as old as this one: its server is gone, or takes no writes."""
        if conn.age == self.age:
            self.age += 1

    def _is_closed(self, conn: Any) -> bool:
        if conn.closed or conn.age != self.age:
            return True
        poll = select.poll()  # an idle connection has nothing to say, unless the server closed it
        poll.register(conn.fileno(), select.POLLIN | select.POLLHUP)
        return bool(poll.poll(0))

    def trouble(self) -> str:
        """Why nothing can be written, as far as that can be seen without writing."""
        names = [READ_ONLY, MISSING]
        found: Any = self.execute_sql(_TROUBLE, names)  # type: ignore[no-untyped-call]
        why, session_is = found.fetchone()
        if why == READ_ONLY and session_is:
            self._of_thread().age = _PAST  # a new session may write again, this one never does
        return str(why or "")

    def is_pooled(self) -> bool:
        """Whether a pooler is between this thread's connection and PostgreSQL."""
        return self._of_thread().beginnings is not DIRECT

    def look_for_damage(self) -> None:
        """Reading everything would take too long here; the server says where it meets damage."""

    def lift_timeouts(self, lifted: bool) -> None:
        """Lifts the statement and lock timeouts of this thread's connection, or restores them."""
        conn = self._of_thread()
        conn.no_timeouts = lifted
        if conn.beginnings is not DIRECT:
            if not conn.is_between_transactions():
                self.execute_sql(conn.settings().decode())  # type: ignore[no-untyped-call]
            return
        verb = "SET {} = 0" if lifted else "RESET {}"
        self.execute_sql("; ".join(map(verb.format, TIMEOUTS)))  # type: ignore[no-untyped-call]
