"""Limits an address' requests for codes that no link has: counts them, then refuses look-ups.

What the cache has is answered always: a refused address may be shared by many visitors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from app.errors import DeadLink
from app.problems import QUOTA_EXCEEDED
from app.redirects import recording
from app.redirects.clicks import Click
from app.redirects.connection import RedisUnavailable, redis_connection
from app.redirects.links import Link, link_key
from app.redirects.quotas import Standing, wrong_codes
from app.redirects.recording import Found
from app.schemas import POSSIBLE_CODE

T = TypeVar("T")


def find(
    short_code: str, address: str, look_up: Callable[[str], T | None], is_new: bool = True
) -> T | None:
    """What `look_up` finds, None for a code that cannot exist; raises DeadLink above the limit.

    A request that is not new may be recorded as a click already: then it is looked up first.
    """
    if not POSSIBLE_CODE.fullmatch(short_code):
        return None
    if is_new:
        _refuse_look_up(short_code, address)
    found = look_up(short_code)
    if found is None:
        _count(address)
    return found


def follow(click: Click, address: str) -> Found | None:
    """As recording.follow; raises DeadLink above the limit."""
    if error := refusal(click, address):
        raise error
    found = recording.follow(click)
    if found is None:
        _count(address)
    return found


def refusal(click: Click, address: str) -> DeadLink | None:
    """Why the database is not asked for this click, whose code the cache does not have.

    None for a click with an unknown outcome: Redis did not answer, so `asked` is False. Such a
    click is stored or cancelled by recording.follow.
    """
    standing = wrong_codes.refusal(address) if click.asked and click.link is None else None
    return _refused(standing) if standing else None


def _refuse_look_up(short_code: str, address: str) -> None:
    """Without an answer of Redis only the database can tell which codes there are: it is asked."""
    standing = wrong_codes.refusal(address)
    if standing is None:
        return
    try:
        held = redis_connection.call("GET", link_key(short_code))
    except RedisUnavailable:
        return
    if Link.parse(held) is None:
        raise _refused(standing)


def _count(address: str) -> None:
    standing = wrong_codes.count(address)
    if standing is not None:
        raise _refused(standing)


def _refused(standing: Standing) -> DeadLink:
    """A 429; a browser gets a page."""
    error = DeadLink(429, standing.reason(), "limited")
    error.problem_type = QUOTA_EXCEEDED
    error.headers |= standing.fields()
    return error
