"""The schema's history: numbered files, applied once, in order, by whichever process comes first."""

from __future__ import annotations

import logging
from pathlib import Path

from flask import Flask, request
from playhouse.migrations import Runner

from app.database import AWAY, db, lock, patience, released

log = logging.getLogger(__name__)


def apply() -> list[str]:
    """Brings the database up to date, while everybody else who tries waits; returns the names it applied."""
    with released(), patience(), db.atomic():
        lock("migrations")
        return list(Runner(db.obj, str(Path(__file__).parent)).up())


class Schema:
    """Remembers whether this process has seen the schema up to date: a replica may start while the database is away."""

    ready = False

    def ensure(self) -> bool:
        if not self.ready:
            try:
                apply()
                self.ready = True
            except AWAY as error:
                log.warning("the schema cannot be checked yet: %s", error)
        return self.ready

    def install(self, app: Flask) -> None:
        app.before_request(self._ensure_for_requests)

    def _ensure_for_requests(self) -> None:
        if not self.ready and request.blueprint not in ("ops", "logs"):
            self.ensure()


schema = Schema()
