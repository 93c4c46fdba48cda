"""The PostgreSQL pool: notices a server that does not answer, sets up each connection."""

from __future__ import annotations

import re
import select
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg2
from peewee import PostgresqlDatabase
from playhouse.pool import MaxConnectionsExceeded, PooledPostgresqlDatabase
from psycopg2.extensions import connection, cursor

from app.breaker import Breaker
from app.unavailable import MISSING, DatabaseUnavailable, DatabaseUnusable, meaning
from app.watch import watch

_PAUSE_SECONDS = 1.0
CONNECT_SECONDS = 1
_KNOCK_SECONDS = 0.7
_FULL = re.compile("too many (clients|connections)|remaining connection slots")

# What options cannot set: PGTZ comes after them, and older servers do not know the others.
_OWN_SETTINGS = """
SELECT set_config(name, CASE name WHEN 'TimeZone' THEN 'UTC' ELSE '0' END, false) FROM pg_settings
WHERE name IN ('TimeZone', 'idle_session_timeout', 'transaction_timeout')
"""

_TROUBLE = """
SELECT CASE WHEN current_setting('transaction_read_only') = 'on' THEN 'it is read only'
WHEN to_regclass('urls') IS NULL THEN %s ELSE (
    SELECT 'no permission'
    FROM unnest(ARRAY['users', 'urls', 'events', 'facts', 'click_claims', 'click_journal',
        'cache_updates']) AS name,
    unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
    WHERE NOT has_table_privilege(to_regclass(name), privilege) LIMIT 1
) END
"""


_ENDS = ("COMMIT", "ROLLBACK")


class Connection(connection):  # type: ignore[misc]  # psycopg2 is untyped
    """`no_timeouts`: its statements may take any time. `age`: its pool's at its start.

    `unsent`: statements that go out with the next one, in one round trip; first of them BEGIN.
    """

    pool: Postgres
    age = 0
    no_timeouts = False
    unsent: tuple[bytes, ...] = ()

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        with _translated():
            return super().cursor(*arguments, **options)


class Cursor(cursor):  # type: ignore[misc]  # psycopg2 is untyped
    def execute(self, sql: str, *values: Any) -> None:
        """Runs `sql`, and before it what is unsent; BEGIN itself waits for the next statement."""
        conn, unsent = self.connection, self.connection.unsent
        if sql.startswith("BEGIN"):
            conn.unsent = (sql.encode(),)
            return
        conn.unsent = ()
        if sql in _ENDS and unsent:
            if unsent[0].startswith(b"BEGIN") and (len(unsent) == 1 or sql == "ROLLBACK"):
                return  # the server knows nothing of this transaction
            unsent = unsent if sql == "COMMIT" else ()
        if sql.startswith("ROLLBACK TO"):
            unsent = ()  # SAVEPOINT has sent all that came before it
        with self._asked():
            if unsent:
                super().execute(b"; ".join((*unsent, self.mogrify(sql, *values))))
            else:
                super().execute(sql, *values)

    def copy_expert(self, *arguments: Any, **options: Any) -> None:
        if self.connection.unsent:
            self.execute("SELECT 1")  # COPY goes alone
        with self._asked():
            super().copy_expert(*arguments, **options)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        breaker = self.connection.pool.breaker
        try:
            with watch.over(self.connection):
                yield
        except psycopg2.Error as error:
            if error.pgcode:
                breaker.answered()
            raise meaning(error) from None
        breaker.answered()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except psycopg2.Error as error:
        raise meaning(error) from None


class _Opening(PostgresqlDatabase):
    """What the pool does for a new connection, and for a new one only."""

    breaker: Breaker
    age: int
    _in_use: dict[Any, Any]

    def _connect(self) -> Any:
        began = self._begin()
        try:
            self._knock()
            conn = super()._connect()  # type: ignore[misc]  # peewee is untyped
        except (psycopg2.Error, OSError) as error:
            raise self._refusal(error, began) from error
        conn.pool, conn.age = self, self.age
        _prepare(conn)
        return conn

    def _begin(self) -> float:
        began = self.breaker.begin()
        if began is None:
            raise DatabaseUnavailable("the database did not answer a moment ago")
        return began

    def _knock(self) -> None:
        """Finds a host that does not answer, such as a stopped container, in less than a second."""
        host = self.connect_params.get("host", "")
        if host and not host.startswith("/") and "," not in host:
            port = self.connect_params.get("port", 5432)
            try:
                socket.create_connection((host, port), _KNOCK_SECONDS).close()
            except OSError as error:
                raise OSError(f"no connection to {host}: {error}") from error

    def _refusal(self, error: Exception, began: float) -> Exception:
        """A refusal is an answer. When connections have run out, one of ours is free soon."""
        if "FATAL:" not in str(error):
            self.breaker.failed(began)
        else:
            self.breaker.answered()
            if self._in_use and _FULL.search(str(error)):
                full: Exception = MaxConnectionsExceeded(str(error))
                return full
        return DatabaseUnavailable(str(error))


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
    conn.cursor().execute(_OWN_SETTINGS)


class Postgres(PooledPostgresqlDatabase, _Opening):  # type: ignore[misc]  # the pool is untyped
    """After a timeout one thread at a time finds out whether the server answers again."""

    def __init__(self, database: Any, **options: Any) -> None:
        self.age = 0
        self.breaker = Breaker(_PAUSE_SECONDS, CONNECT_SECONDS + _PAUSE_SECONDS)
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

    def timed_out(self, began: float) -> None:
        """A statement that began then had no answer; idle connections are not used again."""
        if self.breaker.failed(began, watched=True):
            self.age += 1

    def _is_closed(self, conn: Any) -> bool:
        if conn.closed or conn.age != self.age:
            return True
        poll = select.poll()  # an idle connection has nothing to say, unless the server closed it
        poll.register(conn.fileno(), select.POLLIN | select.POLLHUP)
        return bool(poll.poll(0))

    def trouble(self) -> str:
        """Why nothing can be written, as far as that can be seen without writing."""
        found: Any = self.execute_sql(_TROUBLE, [MISSING])  # type: ignore[no-untyped-call]
        return str(found.fetchone()[0] or "")

    def look_for_damage(self) -> None:
        """Reading everything would take too long here; the server says where it meets damage."""

    def lift_timeouts(self, lifted: bool) -> None:
        """Lifts the statement and lock timeouts of this thread's connection, or restores them."""
        self._of_thread().no_timeouts = lifted
        verb = "SET {} = 0" if lifted else "RESET {}"
        both = "; ".join(verb.format(name) for name in ("statement_timeout", "lock_timeout"))
        self.execute_sql(both)  # type: ignore[no-untyped-call]
