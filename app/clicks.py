"""Clicks: recorded in Redis in the same round trip that finds the link, or at once in the database; drained exactly once."""

from __future__ import annotations

import itertools
import json
import logging
import os
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from app import database, metrics
from app.cache import ACTIVE, Away, Link, NoStore, Store, link_key
from app.database import db
from app.models import ClickClaim, Event, Fact

log = logging.getLogger(__name__)

STREAM, EPOCH = "clicks", "clicks:epoch"
_BATCH = 1000
_LATE_MS = 100  # a call is given up after 250; whoever runs it afterwards runs it later than this
_LONGEST = {"ip": 64, "user_agent": 300, "referrer": 500}

# In one round trip: what the link is and, when it is active, one click more.
FOLLOW = """
local entry = redis.call('GET', KEYS[1])
if entry and string.byte(entry) == 97 then
  redis.call('XADD', KEYS[2], '*', 'id', ARGV[1], 'ms', ARGV[2], 'code', ARGV[3], 'visitor', ARGV[4], 'link', entry)
end
return entry
"""

_APPEND = """
return redis.call('XADD', KEYS[1], '*', 'id', ARGV[1], 'ms', ARGV[2], 'code', ARGV[3], 'visitor', ARGV[4], 'link', ARGV[5])
"""

# An epoch names one life of the stream: after FLUSHALL, or on another Redis, ids may begin anew at any height.
_READ = """
redis.call('SET', KEYS[2], ARGV[1], 'NX')
local epoch = redis.call('GET', KEYS[2])
local from = '-'
if epoch == ARGV[2] then from = '(' .. ARGV[3] end
return {epoch, redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', ARGV[4])}
"""

_TRIM = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
local ms, seq = string.match(ARGV[2], '(%d+)-(%d+)')
return redis.call('XTRIM', KEYS[1], 'MINID', ms .. '-' .. string.format('%.0f', seq + 1))
"""

_BACKLOG = "return {redis.call('XLEN', KEYS[1]), redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)}"


class _Ids:
    """Ids that no other process gives, also not one that was forked from this one."""

    def __init__(self) -> None:
        self._renew()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._prefix, self._numbers = secrets.token_hex(6), itertools.count()

    def next(self) -> str:
        return f"{self._prefix}{next(self._numbers):x}"


_ids = _Ids()


def visitor(ip: str, user_agent: str, referrer: str) -> str:
    """Who followed a link, as the JSON object that the event's details keep; long values are cut, never refused."""
    given = {"ip": ip, "user_agent": user_agent, "referrer": referrer}
    return json.dumps({name: value[: _LONGEST[name]] for name, value in given.items()})


@dataclass
class Click:
    """One request to follow `short_code`; `unsure` once a call that may have recorded it got no answer."""

    short_code: str
    visitor: str
    id: str = field(default_factory=_ids.next)
    ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    unsure: bool = False

    def values(self) -> tuple[str, int, str, str]:
        return self.id, self.ms, self.short_code, self.visitor


class Drained(NamedTuple):
    """A click as it lies in the stream."""

    stream_id: str
    id: str
    ms: int
    short_code: str
    visitor: str
    link: Link

    @property
    def late(self) -> bool:
        """Whether Redis took it so long after it was sent that the sender may have given up."""
        return abs(int(self.stream_id.split("-")[0]) - self.ms) > _LATE_MS

    def details(self) -> str:
        return details_of(self.short_code, self.link.original_url, self.visitor)


def details_of(short_code: str, original_url: str, visitor_json: str) -> str:
    return json.dumps({"short_code": short_code, "original_url": original_url, **json.loads(visitor_json)})


class Clicks:
    """The handle that create_app binds."""

    def __init__(self) -> None:
        self.store: Store = NoStore()

    def bind(self, store: Store) -> None:
        self.store = store

    def follow(self, click: Click) -> Link | None:
        """The link from the cache; when it is active, the click is recorded. None: the cache cannot tell."""
        try:
            link = Link.parse(self.store.run(FOLLOW, (link_key(click.short_code), STREAM), *click.values()))
        except Away as away:
            click.unsure = away.unsure
            link = None
        (metrics.cache_hits if link else metrics.cache_misses).inc()
        return link

    def record(self, click: Click, link: Link) -> None:
        """Records a click on an active link that the cache did not have; raises when nobody can take it."""
        if not click.unsure:
            try:
                self.store.run(_APPEND, (STREAM,), *click.values(), link.entry())
                return
            except Away as away:
                click.unsure = away.unsure
        _write(click, link)

    def drain(self) -> int:
        """Moves into the database all clicks that Redis has taken before this call; returns how many."""
        try:
            waiting = self.store.run("return redis.call('XLEN', KEYS[1])", (STREAM,))
            drained = 0
            while drained < waiting:
                moved = self._drain_batch()
                drained += moved
                if not moved:
                    break
            return drained
        except Away:
            return 0

    def _drain_batch(self) -> int:
        with db.atomic():
            database.lock("drain")
            held = _held_position()
            epoch, entries = self.store.run(_READ, (STREAM, EPOCH), secrets.token_hex(8), held["epoch"], held["last"], _BATCH)
            if not entries:
                return 0
            held = {"epoch": epoch.decode(), "last": entries[-1][0].decode(), "drained": held["drained"] + len(entries)}
            _store([click for click in map(_parse, entries) if click])
            _keep_position(held)
        self._trim(held)
        return len(entries)

    def _trim(self, position: dict[str, Any]) -> None:
        try:
            self.store.run(_TRIM, (STREAM, EPOCH), position["epoch"], position["last"])
        except Away:
            log.warning("the drained clicks will be trimmed from the stream next time")

    def backlog(self) -> tuple[int, float]:
        """How many clicks wait in the stream, and for how many seconds the oldest has; raises Away."""
        length, oldest = self.store.run(_BACKLOG, (STREAM,))
        since = int(oldest[0][0].split(b"-")[0]) / 1000 if oldest else time.time()
        return int(length), max(0.0, time.time() - since)


def drained_total() -> int:
    """Clicks that came into the database by way of the stream, ever."""
    return int(_held_position()["drained"])


def _held_position() -> dict[str, Any]:
    fact = Fact.get_or_none(Fact.name == "clicks")
    return json.loads(fact.value) if fact else {"epoch": "", "last": "0-0", "drained": 0}


def _keep_position(position: dict[str, Any]) -> None:
    value = json.dumps(position)
    Fact.insert(name="clicks", value=value).on_conflict(conflict_target=[Fact.name], update={Fact.value: value}).execute()


def _parse(entry: tuple[bytes, Sequence[bytes]]) -> Drained | None:
    """A stream entry as a click; a thing that we cannot have written is logged, so that it cannot stop the others."""
    try:
        values = dict(zip(entry[1][::2], entry[1][1::2], strict=True))
        link = Link.parse(values[b"link"])
        if link and link.state == ACTIVE and isinstance(json.loads(values[b"visitor"]), dict):
            return Drained(entry[0].decode(), values[b"id"].decode(), int(values[b"ms"]), values[b"code"].decode(), values[b"visitor"].decode(), link)
    except (KeyError, ValueError):
        pass
    log.error("the stream holds an entry that is no click: %r", entry)
    return None


def _store(clicks: list[Drained]) -> None:
    """Writes the rows and counters of a batch; clicks on links that are gone for good go with them."""
    mine = _unclaimed(clicks)
    owners = _count(Counter(click.link.url_id for click in mine))
    rows = (
        (click.link.url_id, owners[click.link.url_id], "clicked", datetime.fromtimestamp(click.ms // 1000, UTC).replace(tzinfo=None), click.details())
        for click in mine
        if click.link.url_id in owners
    )
    database.bulk_insert("events", ("url_id", "user_id", "event_type", "timestamp", "details"), rows)


def _unclaimed(clicks: list[Drained]) -> list[Drained]:
    """Leaves out what its sender recorded itself; a late one is claimed, lest its sender still do so."""
    claimed = {row.click_id for row in ClickClaim.select().where(ClickClaim.click_id.in_([click.id for click in clicks]))}
    mine = [click for click in clicks if click.id not in claimed]
    late = [click.id for click in mine if click.late]
    if not late:
        return mine
    won = {row.click_id for row in ClickClaim.insert_many([(i,) for i in late], [ClickClaim.click_id]).on_conflict_ignore().returning(ClickClaim.click_id)}
    return [click for click in mine if not click.late or click.id in won]


def _count(clicks_of: Counter[int]) -> dict[int, int | None]:
    """Adds to the counters of links; returns the owner of each link that still exists."""
    if not clicks_of:
        return {}
    pairs = ", ".join(f"({url_id}, {count})" for url_id, count in sorted(clicks_of.items()))
    rows = db.execute_sql(
        f"WITH more (id, clicks) AS (VALUES {pairs}) UPDATE urls SET click_count = click_count + more.clicks "  # noqa: S608 - integers
        "FROM more WHERE urls.id = more.id RETURNING urls.id, urls.user_id"
    )
    return dict(rows.fetchall())


def _write(click: Click, link: Link) -> None:
    with db.atomic():
        if click.unsure and not _claim(click.id):
            return  # the stream had it after all
        owners = _count(Counter({link.url_id: 1}))
        if link.url_id in owners:
            Event.insert(
                url=link.url_id, user=owners[link.url_id], event_type="clicked", details=details_of(click.short_code, link.original_url, click.visitor)
            ).execute()


def _claim(click_id: str) -> bool:
    return bool(list(ClickClaim.insert(click_id=click_id).on_conflict_ignore().returning(ClickClaim.click_id)))


def forget_old_claims(before: datetime) -> int:
    """Claims older than any call that may still be on its way are of no use."""
    return int(ClickClaim.delete().where(ClickClaim.claimed_at < before).execute())


clicks = Clicks()
