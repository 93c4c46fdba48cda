"""Clicks on links with a click limit: the link's row decides, so no replica lets one too many by.

A person's click is counted by an UPDATE that does nothing once the limit is reached.
"""

from __future__ import annotations

from typing import Any

from app.database import db
from app.models import Event
from app.redirects.clicks import Click, Outcome
from app.redirects.drain import claim_alone
from app.redirects.links import SPENT, Link
from app.redirects.visitors import kind_of

_PERSON = "people_count = people_count + 1"
_ROBOT = "robot_count = robot_count + 1"
_COUNT = """UPDATE urls SET click_count = click_count + 1, {counter}
    WHERE id = ? AND people_count < max_clicks AND is_active AND deleted_at IS NULL
    RETURNING user_id"""
_IS_SPENT = "SELECT people_count >= max_clicks FROM urls WHERE id = ?"


def spend(click: Click, link: Link) -> Link:
    """Stores the click; the link as SPENT, and nothing stored, when its limit was reached before.

    A robot's click is stored too, and leaves the limit as it is. Raises DatabaseUnavailable.
    """
    if is_spent(link):  # most requests of a spent link end here, without waiting for its row
        return _spent(link)
    click.link = link
    with db.atomic():
        # An unknown click that is claimed already was stored by a drain, before the limit was set.
        is_new = click.outcome is not Outcome.UNKNOWN or claim_alone(click.id)
        stored = not is_new or _store(click, link)
    click.outcome = Outcome.RECORDED if stored else Outcome.NOT_RECORDED
    return link if stored else _spent(link)


def is_spent(link: Link) -> bool:
    row = db.execute_sql(_IS_SPENT.replace("?", db.param), (link.url_id,)).fetchone()
    return bool(row and row[0])


def _spent(link: Link) -> Link:
    return link._replace(state=SPENT)


def _store(click: Click, link: Link) -> bool:
    """Counts the click and inserts its event; False when the limit is reached."""
    counter = _ROBOT if kind_of(click.visitor, link.original_url).robot else _PERSON
    sql = _COUNT.format(counter=counter).replace("?", db.param)
    row: Any = db.execute_sql(sql, (link.url_id,)).fetchone()
    if row is None:
        return False
    values = {"event_type": "clicked", "details": click.details()}
    Event.insert(url=link.url_id, user=row[0], **values).execute()
    return True
