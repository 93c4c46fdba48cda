"""Sends statements to PostgreSQL: as few round trips as possible, and none without an end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, connection, cursor

from app.pooling import DIRECT, Beginnings
from app.unavailable import meaning
from app.watch import watch

_READ_ONLY = "25006"  # SQLSTATE
_ENDS = ("COMMIT", "ROLLBACK")


class Connection(connection):  # type: ignore[misc]  # psycopg2 is untyped
    """`no_timeouts`: its statements may take any time. `age`: its pool's at its start.

    `unsent`: statements that go out with the next one, in one round trip; first of them BEGIN.
    `server`: its host and port. `beginnings`: what a pooler in between makes necessary.
    """

    pool: Any
    server = ("", 0)
    beginnings: Beginnings = DIRECT
    age = 0
    no_timeouts = False
    unsent: tuple[bytes, ...] = ()

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().cursor(*arguments, **options)
        except psycopg2.Error as error:
            raise meaning(error) from None

    def settings(self) -> bytes:
        """What sets the session of a transaction, "" without a pooler."""
        return self.beginnings.lifted if self.no_timeouts else self.beginnings.settings

    def begin(self, sql: str) -> bytes:
        begin, settings = self.beginnings.begin if sql == "BEGIN" else sql, self.settings()
        return b"; ".join((begin.encode(), settings)) if settings else begin.encode()

    def unsent_before(self, sql: str) -> tuple[bytes, ...]:
        """What is to be sent before `sql`; several statements at once are a transaction, too."""
        if self.beginnings is DIRECT or not self.is_between_transactions():
            return self.unsent
        return self.unsent if "CONCURRENTLY" in sql else (self.settings(), *self.unsent)

    def is_between_transactions(self) -> bool:
        idle = self.info.transaction_status == TRANSACTION_STATUS_IDLE
        return idle and not (self.unsent and self.unsent[0].startswith(b"BEGIN"))


class Cursor(cursor):  # type: ignore[misc]  # psycopg2 is untyped
    def execute(self, sql: str, *values: Any) -> None:
        """Runs `sql`, and before it what is unsent; BEGIN itself waits for the next statement."""
        conn = self.connection
        if sql.startswith("BEGIN"):
            conn.unsent = (conn.begin(sql),)
            return
        unsent, conn.unsent = conn.unsent_before(sql), ()
        if sql in _ENDS and unsent:
            if unsent[0].startswith(b"BEGIN") and (len(unsent) == 1 or sql == "ROLLBACK"):
                return  # the server knows nothing of this transaction
            unsent = unsent if sql == "COMMIT" else ()
        if sql.startswith("ROLLBACK TO"):
            unsent = ()  # SAVEPOINT has sent all that came before it
        if unsent:
            self._ask(super().execute, b"; ".join((*unsent, self.mogrify(sql, *values))))
        else:
            self._ask(super().execute, sql, *values)

    def copy_expert(self, *arguments: Any, **options: Any) -> None:
        if self.connection.unsent:
            self.execute("SELECT 1")  # COPY goes alone
        self._ask(super().copy_expert, *arguments, **options)

    def _ask(self, send: Callable[..., None], *arguments: Any, **options: Any) -> None:
        conn = self.connection
        breaker = conn.pool.breaker
        watch.begin(conn)
        try:
            send(*arguments, **options)
        except psycopg2.Error as error:
            if error.pgcode:
                breaker.answered()
            if error.pgcode == _READ_ONLY or conn.closed:
                conn.pool.renew(conn)
            raise meaning(error) from None
        finally:
            watch.end(conn)
        breaker.answered()
