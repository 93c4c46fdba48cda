"""Drills on Redis and the log: broken cached links, stream ids from the future, a full disk."""

from __future__ import annotations

import itertools
import json
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import redis

from app.redirects.clicks import Click, visitor
from app.redirects.connection import STREAM
from app.redirects.links import link_key
from testkit.servers import HANGS_SECONDS, wait_for
from tests.drills.drill import Drill, Ground
from tests.stack.compose import Stack, fetch, get_json
from tests.stack.links import call
from tests.stack.report import require

_LOGS = "/var/log/holdfast"

_POISONS = (
    b"",
    b"garbage",
    b"\xff\xfe\x00",
    b"a",
    b"a garbage",
    b"a 1 2",
    b"a one two https://wrong.example/",
    b"a 9 0 https://wrong.example/",  # no link has the id 0
    b"d",
    b"a" * 100_000,
)


# ---- a poisoned cache ----


def _poisoned_cache(ground: Ground) -> None:
    keys = [link_key(code) for code in ground.codes]
    with ground.strike("poisoned-cache") as hit, closing(ground.redis()) as held:
        with hit.fault():
            for round_ in range(4):
                _poison(held, keys, round_)
                _poison(held, list(held.scan_iter("answer:*")), round_)
                time.sleep(1)
        hit.mended()
        wait_for(
            lambda: all(held.type(key) == b"string" and _is_link(held.get(key)) for key in keys),
            what="good entries in place of the poisoned ones",
        )


def _poison(held: redis.Redis, keys: list[Any], first: int) -> None:
    """Each key another one; now and then it becomes a list, which is no text at all."""
    for key, poison in zip(
        keys, itertools.islice(itertools.cycle((*_POISONS, None)), first, None), strict=False
    ):
        if poison is not None:
            held.set(key, poison, ex=3600)
        else:
            with held.pipeline() as together:
                together.delete(key).rpush(key, b"a list").execute()


def _is_link(entry: Any) -> bool:
    return bool(entry) and entry.startswith(b"a ") and b"https://example.com/" in entry


# ---- the clock was ahead, and is set back ----


def _clock_set_back(ground: Ground) -> None:
    """Redis never gives an id below the last one: the clicks that follow one from the future all
    get its millisecond.
    """
    name = f"clock-{secrets.token_hex(4)}"
    with ground.strike("clock-set-back") as hit, closing(ground.redis()) as held:
        with hit.fault():
            ahead = int(time.time() * 1000) + 30_000
            entry = held.get(link_key(ground.codes[0]))
            click = Click(ground.codes[0], visitor("192.0.2.1", name, ""), ms=ahead)
            held.xadd(STREAM, {"click": click.line().encode() + entry}, id=f"{ahead}-0")
            time.sleep(5)
            last = held.xinfo_stream(STREAM)["last-generated-id"]
            require(
                int(last.split(b"-")[0]) == ahead and int(last.split(b"-")[1]) > 100,
                f"the stream did not go on behind {ahead}: {last!r}",
            )
        hit.mended()
    stored = ground.stack.sql(f"SELECT count(*) FROM events WHERE details LIKE '%{name}%'")
    require(stored == "1", f"the click from the future is stored {stored} times")


# ---- no room for logs ----


def _no_room_for_logs(ground: Ground) -> None:
    """One replica finds its log directory full.

    It serves as before, and logs again when there is room.
    """
    stack = ground.stack
    own = f"http://{stack.address('app1')}:8000"
    with ground.strike("logs-disk-full") as hit:
        with _full_logs(stack, "app1"), hit.fault():
            for number in range(50):
                url = call(
                    own, "POST", "/urls", {"original_url": f"https://example.com/full/{number}"}
                )
                require(
                    fetch(f"{own}/{url['short_code']}")[0] == 302,
                    "a replica without room for its log does not redirect",
                )
            require(get_json(f"{own}/logs") == [], "the log directory is not full")
            time.sleep(3)
        hit.mended()
    mark = f"room-again-{secrets.token_hex(4)}"
    fetch(f"{own}/users", X_Request_ID=mark)
    wait_for(
        lambda: mark in json.dumps(get_json(f"{own}/logs?lines=1000")),
        what="the replica's lines in the log",
    )


@contextmanager
def _full_logs(stack: Stack, service: str) -> Iterator[None]:
    """A file system without room for a single file, from its first moment on, in the place of the
    log directory.
    """
    mount = ["nsenter", "--target", str(stack.pid(service)), "--mount", "--pid"]
    _run(*mount, "mount", "-t", "tmpfs", "-o", "nr_inodes=1,mode=777", "tmpfs", _LOGS)
    try:
        yield
    finally:
        _run(*mount, "umount", "--lazy", _LOGS)


def _run(*command: str) -> None:
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
    )
    require(done.returncode == 0, f"{' '.join(command)}: {done.stderr}")


DRILLS = [
    Drill("poisoned-cache", _poisoned_cache, short=True),
    Drill("logs-disk-full", _no_room_for_logs, short=True),
    Drill("clock-set-back", _clock_set_back, short=True),
]
