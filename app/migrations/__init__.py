"""The schema's history: numbered files, each applied once, in order, under a lock."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from flask import Flask, request
from playhouse.migrations import Runner

from app.database import DatabaseUnavailable, db, has_tables, lock, released, without_timeouts

log = logging.getLogger(__name__)


def apply() -> list[str]:
    """Brings the database up to date, one process at a time; returns the names it applied."""
    with released(), without_timeouts(), db.atomic():
        lock("migrations")
        runner = Runner(db.obj, str(Path(__file__).parent))
        # `up` first creates its own table, which a standby or a role without rights cannot.
        return runner.up() if any(not step.applied for step in runner.status()) else []


def is_current() -> bool:
    """Whether every migration of this version is applied; changes nothing.

    A database of a newer version has them, too.
    """
    with released():
        if not has_tables():
            return False
        runner = Runner(db.obj, str(Path(__file__).parent))
        return all(step.applied for step in runner.status())


class Lost(DatabaseUnavailable):
    """Tables are missing that were there: the database was lost, or is another one."""


def _nothing() -> None:
    pass


class Schema:
    """Whether this process saw the schema up to date; the database may be unavailable first.

    `afterwards` is called once, when it has.
    """

    ready: bool
    afterwards: Callable[[], None]

    def __init__(self) -> None:
        self.bind(lambda: 0)

    def bind(self, waiting: Callable[[], int]) -> None:
        """Begins with another database; `waiting` returns how many clicks Redis keeps for it."""
        self.ready = self._seen = False
        self._waiting = waiting
        self.afterwards = _nothing

    def apply_unless_lost(self) -> list[str]:
        """As `apply`; raises Lost when tables are missing and clicks wait for the links in them."""
        with released():
            lost = not has_tables() and (self._seen or self._waiting() > 0)
        if lost:
            self._seen = True  # else one failed call of Redis would let the next try make tables
            raise Lost(
                "it has no tables, but clicks wait for it or it had some: restore a dump, "
                "or begin anew without one (docs/backup.md)"
            )
        return apply()

    def ensure(self) -> bool:
        if not self.ready:
            try:
                self.apply_unless_lost()
                self.ready = self._seen = True
                self.afterwards()
                self.afterwards = _nothing
            except DatabaseUnavailable as error:
                log.warning("the schema cannot be checked yet: %s", error)
        return self.ready

    def check(self, has_tables: bool) -> bool:
        """As `ensure`, for callers that know whether the tables exist."""
        self.ready = self.ready and has_tables
        return self.ensure()

    def install(self, app: Flask) -> None:
        app.before_request(self._ensure_for_requests)

    def _ensure_for_requests(self) -> None:
        if not self.ready and request.blueprint not in _WITHOUT:
            self.ensure()


_WITHOUT = ("ops", "logs", "status", "assets")
"""The blueprints that answer without tables."""
schema = Schema()
