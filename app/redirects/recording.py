"""Follows a link and records the click, once, whichever store fails.

Each click begins as not recorded, at Redis. Each line is one step, and what it may find:

| outcome | step, and what it finds | new outcome | answer, or next step |
|---|---|---|---|
| not recorded | Redis: an active link; `follow.lua` appends the click | recorded | 302 |
| not recorded | Redis: a link that is not active | not recorded | 404, 410 |
| not recorded | Redis: no link, a special one, an error; open circuit breaker | same | database |
| not recorded | Redis: no answer | unknown | database |
| not recorded | database: active link; `put.lua` caches it, appends the click | recorded | 302 |
| not recorded | the same, but `put.lua`: an error; open circuit breaker | not recorded | event |
| not recorded | the same, but `put.lua`: no answer | unknown | event |
| unknown | database: active link; no script is called | unknown | event |
| any | database: special link (click limit) | same | event, by `spend` in storing.py |
| not recorded | database: no link, or one that is not active | not recorded | 404, 410 |
| unknown | the same; cancelled: the id is claimed, or its event deleted | not recorded | 404, 410 |
| any | database: unavailable | same | Redis again, even with its circuit breaker open |
| any | Redis again: an active link; `follow.lua` appends the click | recorded | 302 |
| any | Redis again: a link that is not active | same | 404, 410 |
| any | Redis again: no link, a special one, an error | same | 503 |
| any | Redis again: no answer | unknown | 503 |
| not recorded | event: row and counters, in one transaction | recorded | 302 |
| unknown | event and claim; nothing when the id is claimed: it is stored | recorded | 302 |
| any | event: database unavailable, or no answer to COMMIT | same | 503 |
| any | client has left before Redis answered or failed | same | none; counts if Redis has it |

A click that ends as unknown is cancelled later, when the database is available (cancelling.py),
unless its client has left: nobody was refused. One that ends as not recorded is not cancelled, and
counts if its COMMIT succeeded: a claim would cost each event an insert.

A claim is a database row with a click's id; whoever inserts it first decides about the click
(claims.py). The drain skips each id that is claimed, and claims what it stores. So a click with an
unknown outcome is stored once, whether Redis has it or not. answers.py knows the answers.
"""

from __future__ import annotations

from collections import namedtuple
from typing import NamedTuple

from app import metrics
from app.database import DatabaseUnavailable, db
from app.redirects.cancelling import cancel, cancel_later
from app.redirects.clicks import Click, Outcome
from app.redirects.connection import FOLLOW, STREAM, RedisUnavailable, redis_connection
from app.redirects.counting import orphans
from app.redirects.links import (
    ACTIVE,
    DELETED,
    LINK_COLUMNS,
    PUT,
    SPECIAL,
    Link,
    cache,
    cached_until,
    link_key,
    link_of,
)
from app.redirects.storing import as_spent, spend, store_alone


class Found(NamedTuple):
    link: Link
    cached: bool


def follow(click: Click) -> Found | None:
    """The link behind a code, its click recorded when it is active; None when there never was one.

    Raises DatabaseUnavailable when neither store can tell.
    """
    try:
        found = _follow(click)
        if found is None or found.link.state == DELETED:
            orphans.add()
        return found
    finally:
        if click.outcome is Outcome.UNKNOWN:
            cancel_later(click)


def _follow(click: Click) -> Found | None:
    if not click.asked and click.outcome is not Outcome.UNKNOWN:
        _ask_redis(click)
    (metrics.cache_hits if click.link else metrics.cache_misses).inc()
    if click.link is None or click.link.state == SPECIAL:
        try:
            link = _look_up(click.short_code)
        except DatabaseUnavailable:
            if not _redis_tells(click):
                raise
        else:
            return _follow_in_database(click, link)
    return Found(click.link, cached=True) if click.link else None


def _redis_tells(click: Click) -> bool:
    """Whether Redis alone can tell where a click leads to; a limit is in the database only."""
    if click.link is None:
        _ask_redis(click, insist=True)
    return click.link is not None and click.link.state != SPECIAL


def _ask_redis(click: Click, insist: bool = False) -> None:
    """Resolves the link and records the click in one round trip.

    `insist`: even with the circuit breaker open.
    """
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
    if link and link.state == SPECIAL:
        _cache(click.short_code, link)
        return Found(spend(click, link), cached=False)
    if click.outcome is Outcome.UNKNOWN:
        cancel(click)
    return _cache(click.short_code, link)


def _cache(short_code: str, link: Link | None) -> Found | None:
    """Caches deleted links too: after this answer no slower reader puts an old link there."""
    if link:
        cache.put_links([(short_code, link.text())])
    return Found(link, cached=False) if link else None


def record(click: Click, link: Link) -> None:
    """Records a click not known to be in Redis, on an active link; raises DatabaseUnavailable."""
    if click.outcome is not Outcome.UNKNOWN:
        try:
            keys = link_key(click.short_code), STREAM
            text = link.text()
            # Raises also for a full Redis: put.lua returns the error of its XADD.
            redis_connection.run(PUT, keys, text, cached_until(text), click.line())
            click.outcome = Outcome.RECORDED
            return
        except RedisUnavailable as error:
            if error.unknown:
                click.outcome = Outcome.UNKNOWN
    click.link = link
    store_alone(click)
    click.outcome = Outcome.RECORDED


def peek(short_code: str) -> Found | None:
    """As follow, without a click."""
    link = cache.get_link(short_code)
    if link and link.state != SPECIAL:
        return Found(link, cached=True)
    link = _look_up(short_code)
    found = _cache(short_code, link)
    return found and found._replace(link=as_spent([found.link])[0])


# Written by hand: peewee takes 0.2 ms to put it together, twice as long as PostgreSQL to answer.
_LOOK_UP = f"SELECT {LINK_COLUMNS} FROM urls WHERE short_code = ?"  # noqa: S608 - a constant
_Row = namedtuple("_Row", LINK_COLUMNS.replace("\n", ""))  # type: ignore[misc]


def _look_up(short_code: str) -> Link | None:
    """The link as the database has it, deleted ones too."""
    row = db.execute_sql(_LOOK_UP.replace("?", db.param), (short_code,)).fetchone()
    return link_of(_Row(*row)) if row else None
