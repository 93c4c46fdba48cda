"""Stores one click in the database at once; on a link with a click limit only below the limit.

recording.py says when. What `spend` does with a click, in one transaction:

| outcome | what it finds | what it does | new outcome | answer |
|---|---|---|---|---|
| not recorded | below the limit | event | recorded | 302 |
| not recorded | the limit is reached | nothing | not recorded | 410 |
| unknown | the id is claimed: the drain has stored it | nothing | recorded | 302 |
| unknown | below the limit | claim and event | recorded | 302 |
| unknown | the limit is reached | claim, noted as cancelled | not recorded | 410 |
| any | below the limit, and a repeat of a request that was stored | no event | recorded | 302 |

With a limit that is reached, a repeat is answered with 302 too: its first attempt was a click.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from app import metrics
from app.database import db, dialect
from app.models import Event
from app.redirects import attempts
from app.redirects.claims import claim_alone, note_cancelled
from app.redirects.clicks import Click, Outcome
from app.redirects.counting import Lines, count, line_of
from app.redirects.drain import moment
from app.redirects.links import SPECIAL, SPENT, Link
from app.redirects.rollups import fold_sometimes
from app.unavailable import LockedTooLong

_LOCK_TRIES = 4


def store_alone(click: Click) -> None:
    """Stores the click; raises DatabaseUnavailable.

    A locked counter is waited for several times: no other store takes the click.
    """
    for _ in range(_LOCK_TRIES - 1):
        with suppress(LockedTooLong):
            return _store_once(click)
    return _store_once(click)


def _store_once(click: Click) -> None:
    with db.atomic():
        if _is_new(click):
            _insert(click)


def _is_new(click: Click) -> bool:
    """Whether the click is not stored yet. One with an unknown outcome is claimed from now on."""
    return click.outcome is not Outcome.UNKNOWN or claim_alone(click.id)


def _insert(click: Click) -> None:
    link: Any = click.link
    owners = count(Lines((line_of(click),)))
    if link.url_id in owners:
        Event.insert(
            url=link.url_id,
            user=owners[link.url_id],
            event_type="clicked",
            timestamp=moment(click.ms),
            details=click.details(),
        ).execute()
        metrics.clicks_direct.inc()
        fold_sometimes()


_CLICKS_LEFT = "SELECT id, people_count < max_clicks FROM urls WHERE id IN ({}) {}"


def _have_clicks_left(ids: Sequence[int], lock: str = "") -> dict[int, bool]:
    """Whether each of these links with a limit has not reached it; `lock` such as FOR UPDATE."""
    sql = _CLICKS_LEFT.format(", ".join(map(str, ids)), lock if dialect().locks_rows else "")
    return dict(db.execute_sql(sql).fetchall())


def _has_clicks_left(link: Link, lock: str = "") -> bool:
    return bool(_have_clicks_left([link.url_id], lock).get(link.url_id))


def as_spent(links: Sequence[Link]) -> list[Link]:
    """The links; SPENT those that have had all the clicks that they may have."""
    ids = [link.url_id for link in links if link.state == SPECIAL]
    left = _have_clicks_left(ids) if ids else {}
    return [
        link._replace(state=SPENT) if link.state == SPECIAL and not left.get(link.url_id) else link
        for link in links
    ]


def spend(click: Click, link: Link) -> Link:
    """Stores the click; the link as SPENT, with nothing stored, when the limit was reached before.

    A robot's click is stored too, and leaves the limit as it is. Raises DatabaseUnavailable.
    """
    left, click.link = _has_clicks_left(link), link
    # Most requests of a spent link go on without a transaction, which waits for its row.
    if left or click.outcome is Outcome.UNKNOWN:
        left = _spend_one(click, link)
        click.outcome = Outcome.RECORDED if left else Outcome.NOT_RECORDED
    # Asked afterwards: what another attempt stored before it may have been the last click left.
    return link if left or attempts.is_repeat(click) else link._replace(state=SPENT)


def _spend_one(click: Click, link: Link) -> bool:
    """Stores the click, unless it repeats another; False when it is refused, and never counts.

    It locks the link after the drain, as the drain does.
    """
    with db.atomic():
        if not _is_new(click):
            return True
        left = _has_clicks_left(link, "FOR UPDATE")
        if left and not attempts.is_repeat(click):
            _insert(click)
            attempts.note(click)
        elif not left and click.outcome is Outcome.UNKNOWN:
            note_cancelled(click.id)  # for `cancel`, should COMMIT have no answer
    return left
