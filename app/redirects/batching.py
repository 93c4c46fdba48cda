"""Follows links for the event loop: all requests of a moment in one Redis call.

follow.lua resolves each link and appends its click: an active link in its answer means a recorded
click (Click.learn). Without an answer the click may be in the stream or not: RedisUnavailable says
that the outcome is unknown, and recording.py decides.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import hiredis

from app.breaker import Breaker
from app.redirects.connection import (
    FOLLOW,
    PAUSE_SECONDS,
    STREAM,
    TIMEOUT_SECONDS,
    RedisConnection,
    RedisUnavailable,
    Server,
    pack,
)


class LoopConnection(asyncio.Protocol):
    """One connection of an event loop, with one call on its way at a time.

    Requests that arrive during a call are sent together as the next one. `lost(began)` is called
    when the connection ends. `began` is the start time of the call that timed out, else None.
    """

    def __init__(self, breaker: Breaker, lost: Callable[[float | None], None]) -> None:
        self._loop, self._breaker, self._lost = asyncio.get_running_loop(), breaker, lost
        self._timed_out: float | None = None
        self._reader = hiredis.Reader()
        self._handshake: deque[asyncio.Future[Any]] = deque()
        self._next: list[tuple[str, str, asyncio.Future[Any]]] = []
        self._called: list[tuple[str, str, asyncio.Future[Any]]] = []
        self._called_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def send_handshake(self, *command: Any) -> asyncio.Future[Any]:
        """Sends one command of the handshake, before the first call; returns its reply."""
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._transport.write(pack(command))
        self._handshake.append(reply)
        return reply

    def follow(self, key: str, line: str) -> asyncio.Future[Any]:
        """What Redis holds under `key`, its click recorded; raises RedisUnavailable."""
        if not self._next and not self._called:
            self._loop.call_soon(self._call)
        reply = self._loop.create_future()
        self._next.append((key, line, reply))
        return reply

    def _call(self) -> None:
        if not self._next:
            return  # the connection ended in this turn
        self._called, self._next, self._called_at = self._next, [], time.monotonic()
        keys, lines, _ = zip(*self._called, strict=True)
        command = ("EVALSHA", FOLLOW.sha, len(keys) + 1, STREAM, *keys, *lines)
        self._transport.write(pack(command))
        if self._timer is None:
            self._timer = self._loop.call_later(TIMEOUT_SECONDS, self._check_timeout)

    def data_received(self, data: bytes) -> None:
        self._breaker.answered()
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            if self._handshake:
                waiting = self._handshake.popleft()
                if not waiting.done():
                    waiting.set_result(reply)
            else:
                self._resolve(reply)

    def _resolve(self, reply: Any) -> None:
        if not isinstance(reply, list):
            self._transport.abort()  # an error, e.g. NOSCRIPT: reconnect; the handshake loads it
            return
        for (_, _, waiting), held in zip(self._called, reply, strict=True):
            if not waiting.done():  # its client may have left
                waiting.set_result(held)
        self._called = []
        if self._next:
            self._loop.call_soon(self._call)  # after what else this turn of the loop brings

    def _check_timeout(self) -> None:
        """Ends the connection when a call timed out; checks again while there is one."""
        self._timer = None
        if self._called:
            left = self._called_at + TIMEOUT_SECONDS - time.monotonic()
            if left < -TIMEOUT_SECONDS:  # this process was descheduled: wait as long again
                self._called_at, left = time.monotonic(), TIMEOUT_SECONDS
            if left <= 0:
                self._timed_out = self._called_at
                self._transport.abort()
            else:
                self._timer = self._loop.call_later(left, self._check_timeout)

    def connection_lost(self, _error: Exception | None) -> None:
        """Fails all calls as unknown.

        Unsent calls too: it is safe, and faster than waiting for a new connection.
        """
        self._lost(self._timed_out)
        for waiting in self._handshake:
            waiting.cancel()
        for _, _, reply in (*self._called, *self._next):
            if not reply.done():
                reply.set_exception(RedisUnavailable(unknown=True))
        self._called, self._next = [], []
        self._handshake.clear()

    def close(self) -> None:
        self._transport.abort()


class LoopRedis:
    """Redis for an event loop: opens a connection at the first request that needs one.

    Reconnects after PAUSE_SECONDS; at once if a single call timed out, and others were answered.
    """

    def __init__(self, redis: RedisConnection) -> None:
        self._breaker, self._handshake = redis.breaker, redis.handshake
        self._server = Server(redis.url)
        self._open: LoopConnection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._again_at = 0.0

    def connection(self) -> LoopConnection | None:
        if self._open is None and self._opening is None and time.monotonic() >= self._again_at:
            began = self._breaker.begin()
            if began is not None:
                self._opening = asyncio.get_running_loop().create_task(self._try(began))
        return self._open

    async def _try(self, began: float) -> None:
        connection = None
        try:
            connection = await asyncio.wait_for(self._connect(), 4 * TIMEOUT_SECONDS)
            await asyncio.wait_for(self._shake_hands(connection), 4 * TIMEOUT_SECONDS)
            self._open = connection
        except (OSError, TimeoutError, asyncio.CancelledError):
            self._breaker.failed(began)
            self._lost()
            if connection is not None:
                connection.close()
        finally:
            self._opening = None

    async def _connect(self) -> LoopConnection:
        loop, server = asyncio.get_running_loop(), self._server

        def protocol() -> LoopConnection:
            return LoopConnection(self._breaker, self._lost)

        if server.path:
            return (await loop.create_unix_connection(protocol, server.path))[1]
        opened = await loop.create_connection(protocol, server.host, server.port, ssl=server.tls)
        return opened[1]

    async def _shake_hands(self, connection: LoopConnection) -> None:
        updates = await asyncio.get_running_loop().run_in_executor(None, self._handshake)
        commands = [*self._server.greeting, ("SCRIPT", "LOAD", FOLLOW.text), *updates]
        for reply in await asyncio.gather(
            *(connection.send_handshake(*command) for command in commands)
        ):
            if isinstance(reply, hiredis.ReplyError):
                raise ConnectionError(f"Redis refused the handshake: {reply}")

    def close(self) -> None:
        if self._open is not None:
            self._open.close()

    def _lost(self, timed_out: float | None = None) -> None:
        self._open = None
        if timed_out is None or self._breaker.failed(timed_out):
            self._again_at = time.monotonic() + PAUSE_SECONDS
