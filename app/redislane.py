"""The fast lane's connection to Redis: all that is asked while one call is on its way is the next call, and silence is never waited for."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import hiredis
from redis.connection import parse_url

from app.breaker import Breaker
from app.cache import link_key, new_breaker
from app.clicks import STREAM, Click
from app.database import DatabaseUnavailable, released
from app.services import freshness

_TIMEOUT_SECONDS = 0.25
_PAUSE_SECONDS = 1.0

# What app.clicks.FOLLOW does, for all requests of one call. KEYS: the stream and the links; ARGV: the clicks' lines.
# Nothing in it can fail half way.
FOLLOW_ALL = """
local entries = {}
for i = 2, #KEYS do
  local entry = redis.pcall('GET', KEYS[i])
  if type(entry) ~= 'string' then entry = false end
  if entry and string.byte(entry) == 97 then
    local added = redis.pcall('XADD', KEYS[1], '*', 'click', ARGV[i - 1] .. entry)
    if type(added) ~= 'string' then entry = false end
  end
  entries[i - 1] = entry
end
return entries
"""
_SHA = hashlib.sha1(FOLLOW_ALL.encode(), usedforsecurity=False).hexdigest()

Reply = bytes | Click | None
"""What Redis holds for a code, or nothing; or the click that it may have recorded before it fell silent."""


Question = tuple[Click, asyncio.Future[Reply]]


class Connection(asyncio.Protocol):
    """One connection to Redis, with one call on its way at a time.

    `lost` is called when it ends, with the moment at which a call began that was not answered in time, if that was why.
    """

    def __init__(self, breaker: Breaker, lost: Callable[[float | None], None]) -> None:
        self._loop, self._breaker, self._lost = asyncio.get_running_loop(), breaker, lost
        self._silent_since: float | None = None
        self._reader = hiredis.Reader()
        self._sender, self._numbers = secrets.token_hex(6), itertools.count()
        self._orders: deque[asyncio.Future[Any]] = deque()
        self._asked: list[Question] = []
        self._called: list[Question] = []
        self._called_at = 0.0
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def order(self, *command: Any) -> asyncio.Future[Any]:
        """Any other command, before the first call."""
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._transport.write(hiredis.pack_command(command))
        self._orders.append(reply)
        return reply

    def follow(self, short_code: str, who: str) -> asyncio.Future[Reply]:
        """What Redis holds for a code, one click more when that is an active link.

        What is asked while a call is on its way goes with the next one: the busier the server, the more requests share a call.
        """
        if not self._asked and not self._called:
            self._loop.call_soon(self._call)
        reply: asyncio.Future[Reply] = self._loop.create_future()
        self._asked.append(
            (
                Click(
                    short_code,
                    who,
                    f"{self._sender}{next(self._numbers):x}",
                    time.time_ns() // 1_000_000,
                ),
                reply,
            )
        )
        return reply

    def _call(self) -> None:
        if not self._asked:
            return  # the connection ended in this turn
        self._called, self._asked, self._called_at = self._asked, [], time.monotonic()
        keys = [link_key(click.short_code) for click, _ in self._called]
        lines = [click.line() for click, _ in self._called]
        command: tuple[Any, ...] = ("EVALSHA", _SHA, len(keys) + 1, STREAM, *keys, *lines)
        self._transport.write(hiredis.pack_command(command))
        if self._watch is None:
            self._watch = self._loop.call_later(_TIMEOUT_SECONDS, self._look)

    def data_received(self, data: bytes) -> None:
        self._breaker.answered()
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            if self._orders:
                order = self._orders.popleft()
                if not order.done():
                    order.set_result(reply)
            else:
                self._resolve(reply)

    def _resolve(self, reply: Any) -> None:
        if not isinstance(
            reply, list
        ):  # the script is gone, Redis is full or read only: a new connection will see
            self._transport.abort()
            return
        for (_, waiting), entry in zip(self._called, reply, strict=True):
            if not waiting.done():  # its client may have left
                waiting.set_result(entry)
        self._called = []
        if self._asked:
            self._loop.call_soon(self._call)  # after what else this turn of the event loop brings

    def _look(self) -> None:
        """Ends the connection when the call on its way has waited for too long; looks again while there is one."""
        self._watch = None
        if self._called:
            left = self._called_at + _TIMEOUT_SECONDS - time.monotonic()
            if (
                left < -_TIMEOUT_SECONDS
            ):  # late: this process did not run, and maybe Redis did not either
                self._called_at, left = time.monotonic(), _TIMEOUT_SECONDS
            if left <= 0:
                self._silent_since = self._called_at
                self._transport.abort()
            else:
                self._watch = self._loop.call_later(left, self._look)

    def connection_lost(self, _error: Exception | None) -> None:
        """Redis may have recorded what it was asked; what it was not asked yet is treated alike, rather than waiting for another Redis call."""
        self._lost(self._silent_since)
        for order in self._orders:
            order.cancel()
        for click, reply in (*self._called, *self._asked):
            if not reply.done():
                click.unsure = True
                reply.set_result(click)
        self._called, self._asked = [], []
        self._orders.clear()

    def close(self) -> None:
        self._transport.abort()


class Lane:
    """The connection to the Redis at `url`, opened by the request that first misses it.

    At the earliest a second after it was lost, unless all that was wrong is that one call was slow.
    """

    def __init__(self, url: str, breaker: Breaker | None = None) -> None:
        self._breaker = breaker or new_breaker()
        self._address: Any = parse_url(url)  # type: ignore[no-untyped-call]
        self._open: Connection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._again_at = 0.0

    def connection(self) -> Connection | None:
        if self._open is None and self._opening is None and time.monotonic() >= self._again_at:
            began = self._breaker.begin()
            if began is not None:
                self._opening = asyncio.get_running_loop().create_task(self._try(began))
        return self._open

    async def _try(self, began: float) -> None:
        connection = None
        try:
            connection = await asyncio.wait_for(self._connect(), 4 * _TIMEOUT_SECONDS)
            await asyncio.wait_for(self._greet(connection), 4 * _TIMEOUT_SECONDS)
            self._open = connection
        except (OSError, TimeoutError, asyncio.CancelledError):
            self._breaker.failed(began)
            self._lost()
            if connection is not None:
                connection.close()
        finally:
            self._opening = None

    async def _connect(self) -> Connection:
        loop, address = asyncio.get_running_loop(), self._address
        if "path" in address:
            return (
                await loop.create_unix_connection(
                    lambda: Connection(self._breaker, self._lost), address["path"]
                )
            )[1]
        secure = True if "connection_class" in address else None
        return (
            await loop.create_connection(
                lambda: Connection(self._breaker, self._lost),
                address["host"],
                address.get("port", 6379),
                ssl=secure,
            )
        )[1]

    async def _greet(self, connection: Connection) -> None:
        """Nothing is asked of a Redis that may have missed changes of links before it has been told them."""
        if self._address.get("password"):
            await connection.order(
                "AUTH", self._address.get("username", "default"), self._address["password"]
            )
        await connection.order("SELECT", self._address.get("db", 0))
        await connection.order("SCRIPT", "LOAD", FOLLOW_ALL)
        if not await asyncio.get_running_loop().run_in_executor(None, _told_everything):
            raise ConnectionError("Redis has yet to be told of changes")

    def close(self) -> None:
        if self._open is not None:
            self._open.close()

    def _lost(self, silent_since: float | None = None) -> None:
        self._open = None
        if silent_since is None or self._breaker.failed(silent_since):
            self._again_at = time.monotonic() + _PAUSE_SECONDS


def _told_everything() -> bool:
    """Without the database nobody knows better than Redis."""
    with released():
        try:
            freshness.deliver_due()
            return freshness.count_due() == 0
        except DatabaseUnavailable:
            return True
