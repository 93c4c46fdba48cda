"""Which hosts are banned: links to them lead nowhere. A process knows a change within a second."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from app.database import DatabaseUnavailable, db
from app.schemas import covered, host_of

FRESH_SECONDS = 1.0
_held: ContextVar[bool] = ContextVar("held", default=False)


class Bans:
    """The table `banned_hosts`, read again when what was read is older than FRESH_SECONDS."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """The next question reads the table."""
        self._hosts: frozenset[str] = frozenset()
        self._read_at = -FRESH_SECONDS

    def hosts(self) -> Collection[str]:
        """Raises DatabaseUnavailable."""
        began = time.monotonic()
        if began - self._read_at >= FRESH_SECONDS:
            rows: Any = db.execute_sql("SELECT host FROM banned_hosts").fetchall()
            self._hosts, self._read_at = frozenset(host for (host,) in rows), began
        return self._hosts

    def last_hosts(self) -> Collection[str]:
        """The same; without the database, or within `held`, the last ones that were read."""
        if not _held.get():
            with suppress(DatabaseUnavailable):
                return self.hosts()
        return self._hosts

    @contextmanager
    def held(self) -> Iterator[None]:
        """For a block in which this thread's connection is busy: `last_hosts` reads nothing."""
        self.last_hosts()
        token = _held.set(True)
        try:
            yield
        finally:
            _held.reset(token)

    def covers(self, address: str) -> bool:
        """Whether a web address leads to a banned host. Raises DatabaseUnavailable."""
        hosts = self.hosts()
        return bool(hosts) and covered(host_of(address), hosts)


bans = Bans()
