"""The schema's history: numbered files, applied once, in order, by whichever process comes first."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from flask import Flask, request
from playhouse.migrations import Runner

from app.database import DatabaseUnavailable, db, has_tables, lock, patience, released

log = logging.getLogger(__name__)


def apply() -> list[str]:
    """Brings the database up to date, while everybody else who tries waits; returns the names it applied."""
    with released(), patience(), db.atomic():
        lock("migrations")
        runner = Runner(db.obj, str(Path(__file__).parent))
        # `up` would make its own table first, which neither a standby nor a role that owns nothing can.
        return runner.up() if any(not step.applied for step in runner.status()) else []


class Lost(DatabaseUnavailable):
    """There are no tables where there should be: the database was lost, or is another one."""


class Schema:
    """Remembers whether this process has seen the schema up to date: a replica may start while the database is away."""

    ready: bool

    def __init__(self) -> None:
        self.bind(lambda: 0)

    def bind(self, waiting: Callable[[], int]) -> None:
        """For another database; `waiting` tells how many clicks are kept for the one that there was."""
        self.ready = self._seen = False
        self._waiting = waiting

    def apply_unless_lost(self) -> list[str]:
        """As `apply`, but makes no new tables in the place of lost ones: clicks that wait would be stored there, where nobody knows their links."""
        with released():
            lost = not has_tables() and (self._seen or self._waiting() > 0)
        if lost:
            self._seen = True  # or a Redis that stalls for a moment would be reason enough to make them after all
            raise Lost(
                "it has no tables, but clicks wait for it or it had some: restore a dump, or begin anew without one (docs/backup.md)"
            )
        return apply()

    def ensure(self) -> bool:
        if not self.ready:
            try:
                self.apply_unless_lost()
                self.ready = self._seen = True
            except DatabaseUnavailable as error:
                log.warning("the schema cannot be checked yet: %s", error)
        return self.ready

    def check(self, has_tables: bool) -> bool:
        """As `ensure`, for callers that have just seen whether the tables are there."""
        self.ready = self.ready and has_tables
        return self.ensure()

    def install(self, app: Flask) -> None:
        app.before_request(self._ensure_for_requests)

    def _ensure_for_requests(self) -> None:
        if not self.ready and request.blueprint not in ("ops", "logs"):
            self.ensure()


schema = Schema()
