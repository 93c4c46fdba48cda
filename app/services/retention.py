"""Removes click events that are older than EVENT_RETENTION_DAYS, a few at a time.

Counters and roll-ups stay, and so do all other events. One process at a time works, a fifth of the
time at most. It looks at each click once a day, because imports may bring old ones at any time.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import Any

from app import database
from app.database import DatabaseUnavailable, db, now, released
from app.migrations import schema
from app.models import CLICK_TYPES, KeyValue

log = logging.getLogger(__name__)

BATCH = 1000
_PAUSE = 4  # times as long as the batch took
_LOCK_TIMEOUT_MS = 200
_IDLE_SECONDS = 60.0
_CLICKS = f"event_type IN {CLICK_TYPES}"
_NEXT = f"""
SELECT max(id) FROM (
    SELECT id FROM events WHERE id > ? AND {_CLICKS} ORDER BY id LIMIT {BATCH}
) AS batch
"""  # noqa: S608 - constants
_DELETE = f"""
DELETE FROM events WHERE id IN (
    SELECT id FROM events WHERE id > ? AND id <= ? AND {_CLICKS} AND timestamp < ? {{lock}}
)
"""  # noqa: S608 - constants

Pass = dict[str, Any]
"""`name`: its day and the setting. `after`: the last id that it saw. `removed`: how many clicks.
`not_before`: when the next batch is due, in seconds since 1970."""


class Retention:
    """What this process removes; nothing until it is bound."""

    days = 0

    def bind(self, days: int) -> None:
        """Clicks are kept for so many days; 0: for ever."""
        self.days = days

    def step(self) -> float:
        """Removes at most BATCH clicks if it is time; in how many seconds there may be more.

        Raises DatabaseUnavailable.
        """
        if not self.days:
            return _IDLE_SECONDS
        began = time.monotonic()
        with db.atomic():
            database.lock_briefly("retention", _LOCK_TIMEOUT_MS)
            state = self._current()
            wait: float = state["not_before"] - time.time()
            if 0 < wait <= _IDLE_SECONDS:  # another process did it; later: the clock was set back
                return wait
            wait = _IDLE_SECONDS
            if not state["ended"]:
                self._remove(state)
                wait = 0 if state["ended"] else _PAUSE * (time.monotonic() - began)
            _keep({**state, "not_before": time.time() + wait})
        if state["ended"] and state["removed"] and not wait:
            log.info("removed %d click events older than %d days", state["removed"], self.days)
        return wait

    def _current(self) -> Pass:
        fact = KeyValue.get_or_none(KeyValue.name == "retention")
        state: Pass = json.loads(fact.value) if fact else {"name": "", "not_before": 0}
        name = f"{now().date()} {self.days}"
        if state["name"] == name:
            return state
        return {**state, "name": name, "after": 0, "ended": False, "removed": 0}

    def _remove(self, state: Pass) -> None:
        """The next batch of the pass `state`, in the running transaction."""
        last = _run(_NEXT, state["after"]).fetchone()[0]
        if last is None:
            state["ended"] = True
            return
        before = now() - timedelta(days=self.days)
        # A row that is locked is being deleted; waiting for it could be a deadlock.
        lock = "FOR UPDATE SKIP LOCKED" if database.dialect().locks_rows else ""
        delete = _DELETE.format(lock=lock)
        state["removed"] += _run(delete, state["after"], last, before).rowcount
        state["after"] = last


def _keep(state: Pass) -> None:
    value = json.dumps(state)
    KeyValue.insert(name="retention", value=value).on_conflict(
        conflict_target=[KeyValue.name], update={KeyValue.value: value}
    ).execute()


def _run(sql: str, *values: Any) -> Any:
    return db.execute_sql(sql.replace("?", db.param), values)


retention = Retention()


def start() -> None:
    """Works on a thread of its own until the process ends, if the setting asks for it."""
    if retention.days:
        threading.Thread(target=_work, name="retention", daemon=True).start()


def _work() -> None:
    while True:
        wait = _IDLE_SECONDS
        with suppress(DatabaseUnavailable), released():
            wait = retention.step() if schema.ensure() else _IDLE_SECONDS
        time.sleep(wait)
