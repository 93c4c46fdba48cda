"""Drills on Redis: killed, stopped, hanging, full, and emptied."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from redis import Redis

from tests.drills.drill import Drill, Ground
from tests.drills.replicas import kill
from tests.stack.compose import docker
from tests.stack.pace import wait_for
from tests.stack.report import require

DOWN = ("RedisDown", "critical", 30)


def _killed(ground: Ground) -> None:
    """Each click was on the disk before it was answered."""
    with ground.strike("redis-killed") as hit, hit.fault():
        kill(hit, "redis")


def _stopped(ground: Ground) -> None:
    with ground.strike("redis-stopped") as hit:
        try:
            with hit.fault(DOWN):
                ground.stack.stop("redis")
                hit.lasts(30)
        finally:
            ground.stack.start("redis")
        hit.mended()


def _hanging(ground: Ground) -> None:
    """Its kernel still accepts connections and commands.

    When it goes on, it records clicks that were stored elsewhere meanwhile.
    """
    container = f"{ground.stack.project}-redis-1"
    with ground.strike("redis-hanging") as hit:
        try:
            with hit.fault(DOWN):
                docker("pause", container)
                hit.lasts(10)
        finally:
            docker("unpause", container)
        hit.mended()


# ---- full ----


@contextmanager
def _without_room(redis: Redis) -> Iterator[None]:
    room = redis.config_get("maxmemory")["maxmemory"]
    redis.config_set("maxmemory", 1)
    try:
        yield
    finally:
        redis.config_set("maxmemory", room)


def _full(ground: Ground) -> None:
    """It forgets the links, then refuses the clicks; whoever asks is answered from the database."""
    with ground.strike("redis-full") as hit, closing(ground.redis()) as redis:
        with _without_room(redis), hit.fault():
            wait_for(lambda: refused(redis) > 0, what="a refusal")
            before = refused(redis)
            hit.lasts(10)
            require(refused(redis) > before, "Redis did not stay full")
        hit.mended()
        ground.wait_cached()


def refused(redis: Redis) -> int:
    """How many commands it has answered with an error because it is full."""
    return int(redis.info("errorstats").get("errorstat_OOM", {}).get("count", 0))


# ---- emptied ----

_FLUSH_WHEN_READ = """
if redis.call('XLEN', 'clicks') > 0 then return 0 end
redis.call('FLUSHALL')
return 1
"""


def _flushed(ground: Ground) -> None:
    """At a moment when every click has been read, of which there are few and short ones: links,
    position and epoch are gone, and nothing that was promised.
    """
    with ground.strike("redis-flushed") as hit, closing(ground.redis()) as redis:
        with hit.fault():
            wait_for(
                lambda: any(redis.eval(_FLUSH_WHEN_READ, 0) for _ in range(200)),
                what="a moment without a click that waits",
            )
        ground.wait_cached()


def _flushed_unread(ground: Ground) -> None:
    """FLUSHALL destroys the clicks that wait to be read, as rm does a file: those, at most, are
    lost, and none of the others.
    """
    with ground.strike("redis-flushed-unread") as hit, closing(ground.redis()) as redis:
        with hit.fault():
            wait_for(lambda: redis.xlen("clicks") > 0, what="a click that waits")
            entries, _ = redis.pipeline(transaction=True).xrange("clicks").flushall().execute()
        hit.destroyed = {_name(fields) for _, fields in entries}
        ground.wait_cached()


def _name(fields: dict[bytes, bytes]) -> str:
    """The User-Agent of a stream's entry: a line `id ms code visitor`, and the link's."""
    visitor: dict[str, Any] = json.loads(fields[b"click"].split(b"\n", 1)[0].split(b" ", 3)[3])
    return str(visitor["user_agent"])


DRILLS = [
    Drill("redis-killed", _killed, short=True),
    Drill("redis-stopped", _stopped),
    Drill("redis-hanging", _hanging, short=True),
    Drill("redis-full", _full, short=True),
    Drill("redis-flushed", _flushed, short=True),
    Drill("redis-flushed-unread", _flushed_unread),
]
