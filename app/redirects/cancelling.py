"""Cancels clicks with an unknown outcome whose requests were refused: they are not counted."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import Any

from app.database import DatabaseUnavailable, db
from app.models import Event, Url
from app.redirects.claims import claim_alone, note_cancelled
from app.redirects.clicks import Click, Outcome
from app.redirects.counting import uncount
from app.redirects.drain import moment
from app.redirects.visits import stored
from app.repeating import UntilDone

log = logging.getLogger(__name__)

_MOST, _BATCH = 100_000, 200
_LOG_SECONDS = 60.0


def cancel(click: Click) -> None:
    """Sees to it that an unknown click of a refused request is not counted.

    The drain will skip it, or its event is deleted. It is called again after a COMMIT without an
    answer. If that one succeeded, the claim is our own, and the event that is left another click's.
    """
    with db.atomic():
        is_claimed = not claim_alone(click.id)
        if note_cancelled(click.id) and is_claimed:
            _delete_event(click)
    click.outcome = Outcome.NOT_RECORDED


def _delete_event(click: Click) -> None:
    """Deletes an event of this visitor and second, if there is one.

    If several match they are identical except for the row id, so any will do.
    """
    url: Any = Url.get_or_none(Url.short_code == click.short_code)
    alike = (
        (Event.url == url) & (Event.event_type == "clicked") & (Event.timestamp == moment(click.ms))
    )
    for event in Event.select().where(alike) if url else ():
        if event.details.endswith(stored(click.visitor)[1:]):
            Event.delete().where(Event.id == event.id).execute()
            uncount(event)
            return


class _GivenUp:
    """How many clicks are not cancelled because too many wait: logged at once, then each minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number, self._next_at = 0, 0.0

    def add(self, click: Click) -> None:
        with self._lock:
            self._number += 1
            self._last = click.id
        if time.monotonic() >= self._next_at:
            self.say()

    def say(self) -> None:
        with self._lock:
            number, self._number = self._number, 0
            self._next_at = time.monotonic() + _LOG_SECONDS
        if number:
            said = "too many clicks wait to be cancelled; %d may be counted, the last one %s"
            log.error(said, number, self._last)


_given_up = _GivenUp()
_to_cancel: deque[Click] = deque()


def cancel_later(click: Click) -> None:
    """As cancel, as soon as the database is available: by one thread of its own.

    When too many wait, the oldest is given up, which is logged. It is counted if Redis has it.
    """
    _to_cancel.append(click)
    if len(_to_cancel) > _MOST:
        _given_up.add(_to_cancel.popleft())
    _cancelling.start()


def cancel_due() -> bool:
    """Cancels some of what waits; whether there is more. Raises DatabaseUnavailable."""
    for _ in range(min(len(_to_cancel), _BATCH)):
        click = _to_cancel.popleft()
        try:
            cancel(click)
        except DatabaseUnavailable:
            _to_cancel.append(click)
            raise
    if not _to_cancel:
        _given_up.say()
    return bool(_to_cancel)


_cancelling = UntilDone(cancel_due, "cancelling clicks")
