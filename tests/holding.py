"""A transaction of somebody else's, in PostgreSQL, for which requests have to wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg2

_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


@contextmanager
def holding(url: str, statement: str) -> Iterator[Callable[[], int]]:
    """Runs `statement` and commits at the end; yields how many statements wait for locks."""
    address = url.replace("postgresql+pool", "postgresql").partition("?")[0]
    with (
        closing(psycopg2.connect(address)) as connection,
        closing(psycopg2.connect(address)) as other,
    ):
        other.autocommit = True
        looking = other.cursor()

        def waiting() -> int:
            looking.execute(_WAITING)
            return int((looking.fetchone() or (0,))[0])

        connection.cursor().execute(statement)
        yield waiting
        connection.commit()
