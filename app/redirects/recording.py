"""Follows a link and records the click, once, whichever store fails; cancels refused clicks.

A click is not recorded at first. What becomes of it:

| outcome so far | what happens | outcome | then |
|---|---|---|---|
| not recorded | Redis holds an active link; `follow.lua` appends the click | recorded | 302 |
| not recorded | Redis holds an inactive or deleted link | not recorded | 410, 404 |
| not recorded | Redis has no link, refuses, or its breaker is open | not recorded | database |
| not recorded | Redis does not answer | unknown | database |
| not recorded | database: link active; `put.lua` caches it, appends the click | recorded | 302 |
| not recorded | the same, and Redis refuses or its circuit breaker is open | recorded | row, 302 |
| not recorded | the same, and Redis does not answer | unknown | next line |
| unknown | database: link active; row and claim of the id in one transaction | recorded | 302 |
| unknown | database: no active link; the id claimed or its event deleted | cancelled | 410, 404 |
| any | database unavailable; Redis, asked even now, holds an active link | recorded | 302 |
| unknown | database unavailable, Redis too | unknown | 503, cancelled later |
| not recorded | database unavailable, Redis too, or without the link | not recorded | 503 |

Row: event and counter in one transaction. The drain skips each id that is claimed, and claims what
it stores; so a click with an unknown outcome is stored once, whether Redis has it or not.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import Any, NamedTuple

from app import metrics
from app.database import DatabaseUnavailable, db
from app.models import Event, Url
from app.redirects.clicks import Click, Outcome
from app.redirects.connection import FOLLOW, STREAM, RedisUnavailable, redis_connection
from app.redirects.counting import Lines, count, line_of, line_of_event, orphans
from app.redirects.drain import claim_alone, moment
from app.redirects.links import ACTIVE, DELETED, PUT, Link, cache, link_key
from app.redirects.rollups import fold_sometimes
from app.repeating import UntilDone
from app.unavailable import LockedTooLong

_LOCK_TRIES = 4
_MOST_TO_CANCEL, _BATCH = 100_000, 200


class Found(NamedTuple):
    link: Link
    cached: bool


def follow(click: Click) -> Found | None:
    """The link behind a code, its click recorded when it is active; None when there is none.

    Raises DatabaseUnavailable when neither store can tell.
    """
    try:
        found = _follow(click)
        if found is None:
            orphans.add()
        return found
    finally:
        if click.outcome is Outcome.UNKNOWN:
            cancel_later(click)


def _follow(click: Click) -> Found | None:
    if not click.asked and click.outcome is not Outcome.UNKNOWN:
        _ask_redis(click)
    (metrics.cache_hits if click.link else metrics.cache_misses).inc()
    if click.link is None:
        try:
            link = _look_up(click.short_code)
        except DatabaseUnavailable:
            _ask_redis(click, insist=True)
            if click.link is None:
                raise
        else:
            return _follow_in_database(click, link)
    return _found(click.link, cached=True)


def _found(link: Link | None, cached: bool) -> Found | None:
    return None if link is None or link.state == DELETED else Found(link, cached)


def _ask_redis(click: Click, insist: bool = False) -> None:
    """Resolves the link and records the click in one round trip; `insist`: breaker open or not."""
    try:
        keys = STREAM, link_key(click.short_code)
        click.learn(redis_connection.run(FOLLOW, keys, click.line(), insist=insist)[0])
    except RedisUnavailable as error:
        if error.unknown:
            click.outcome = Outcome.UNKNOWN


def _follow_in_database(click: Click, link: Link | None) -> Found | None:
    if link and link.state == ACTIVE:
        record(click, link)
        return Found(link, cached=False)
    if click.outcome is Outcome.UNKNOWN:
        cancel(click)
    return _cache(click.short_code, link)


def _cache(short_code: str, link: Link | None) -> Found | None:
    """Caches deleted links too: after this answer no slower reader puts an old link there."""
    if link:
        cache.put_links([(short_code, link.entry())])
    return _found(link, cached=False)


def record(click: Click, link: Link) -> None:
    """Records a click on an active link that Redis did not have; raises DatabaseUnavailable."""
    if click.outcome is not Outcome.UNKNOWN:
        try:
            keys = link_key(click.short_code), STREAM
            redis_connection.run(PUT, keys, link.entry(), cache.ttl_seconds, click.line())
            click.outcome = Outcome.RECORDED
            return
        except RedisUnavailable as error:
            if error.unknown:
                click.outcome = Outcome.UNKNOWN
    click.link = link
    _store_alone(click)
    click.outcome = Outcome.RECORDED
    fold_sometimes()


def peek(short_code: str) -> Found | None:
    """As follow, without a click."""
    link = cache.get_link(short_code)
    return _found(link, cached=True) if link else _cache(short_code, _look_up(short_code))


# Written by hand: peewee takes 0.2 ms to put it together, twice as long as PostgreSQL to answer.
_LOOK_UP = """
SELECT CASE WHEN deleted_at IS NOT NULL THEN 'd' WHEN is_active THEN 'a' ELSE 'i' END,
    version, id, original_url
FROM urls WHERE short_code = ?
"""


def _look_up(short_code: str) -> Link | None:
    """The link as the database has it, deleted ones too."""
    row = db.execute_sql(_LOOK_UP.replace("?", db.param), (short_code,)).fetchone()
    return Link(*row) if row else None


def _store_alone(click: Click) -> None:
    """Stores one click. A locked counter is waited for several times: no other store takes it."""
    for _ in range(_LOCK_TRIES - 1):
        with suppress(LockedTooLong):
            return _store_once(click)
    return _store_once(click)


def _store_once(click: Click) -> None:
    link: Any = click.link
    with db.atomic():
        if click.outcome is Outcome.UNKNOWN and not claim_alone(click.id):
            return
        owners = count(Lines((line_of(click),)))
        if link.url_id in owners:
            Event.insert(
                url=link.url_id,
                user=owners[link.url_id],
                event_type="clicked",
                timestamp=moment(click.ms),
                details=click.details(),
            ).execute()


def cancel(click: Click) -> None:
    """Sees to it that an unknown click of a refused request is not counted.

    The drain will skip it, or what the drain has stored is deleted.
    """
    with db.atomic():
        if not claim_alone(click.id):
            _delete_event(click)
    click.outcome = Outcome.NOT_RECORDED


def _delete_event(click: Click) -> None:
    """Deletes one event of this visitor and second; if there are several, only ids differ."""
    url: Any = Url.get_or_none(Url.short_code == click.short_code)
    alike = (
        (Event.url == url) & (Event.event_type == "clicked") & (Event.timestamp == moment(click.ms))
    )
    for event in Event.select().where(alike) if url else ():
        if event.details.endswith(click.visitor[1:]):
            Event.delete().where(Event.id == event.id).execute()
            count(Lines({line_of_event(url.id, event.timestamp, event.details): -1}))
            return


_to_cancel: deque[Click] = deque(maxlen=_MOST_TO_CANCEL)


def cancel_later(click: Click) -> None:
    """As cancel, as soon as the database is there: by one thread of its own."""
    _to_cancel.append(click)
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
    return bool(_to_cancel)


_cancelling = UntilDone(cancel_due, "cancelling clicks")
