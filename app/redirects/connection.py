"""The only Redis connection: scripts, timeouts, circuit breaker, what a new connection is told."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

from app import metrics
from app.breaker import Breaker

log = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 0.25
_PAUSE_SECONDS = 1.0  # after a failure
_BATCH = 500

Command = Sequence[str | int]
Handshake = Callable[[], Iterable[Command]]
"""Returns the commands that a new connection sends first: the updates that Redis has missed."""


class RedisUnavailable(Exception):
    """Redis did not do it. `unknown`: it may have, or may still, because the command was sent."""

    def __init__(self, unknown: bool = False) -> None:
        super().__init__("Redis is unavailable")
        self.unknown = unknown


class Script:
    """A Lua script, the file `name`.lua beside this module."""

    def __init__(self, name: str) -> None:
        self.text = Path(__file__).with_name(f"{name}.lua").read_text(encoding="ascii")
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


FOLLOW = Script("follow")


def new_breaker() -> Breaker:
    """One for all connections to one Redis. A call waits for a connection and for its answer."""
    return Breaker(_PAUSE_SECONDS, 2 * _TIMEOUT_SECONDS)


# ---- threads ----


class RedisConnection:
    """Redis for threads: short timeouts, no retries, no call for a second after a failure.

    Without Redis every call raises RedisUnavailable, as in an outage. `insist` calls also while
    the circuit breaker is open.
    """

    def __init__(self) -> None:
        self.bind("", list)

    def bind(self, url: str, handshake: Handshake) -> None:
        self.url, self._handshake = url, handshake
        self.breaker = new_breaker()
        self._client = self._new_client() if url else redis.Redis()

    def _new_client(self) -> redis.Redis:
        return redis.Redis.from_url(
            self.url,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,  # saves two round trips for each new connection
            redis_connect_func=self._shake_hands,
        )

    def _shake_hands(self, connection: Any) -> None:
        connection.on_connect()
        commands = list(self._handshake())
        for start in range(0, len(commands), _BATCH):
            _ask_all(connection, commands[start : start + _BATCH])

    def call(self, *command: str | int, insist: bool = False) -> Any:
        """The answer to one command; raises RedisUnavailable."""
        return self._guarded(lambda connection: _ask(connection, *command), insist)

    def run(
        self, script: Script, keys: Sequence[str], *values: str | int, insist: bool = False
    ) -> Any:
        """The answer of a script; raises RedisUnavailable."""
        return self._guarded(
            lambda connection: _run(connection, script, len(keys), *keys, *values), insist
        )

    def call_all(self, commands: Sequence[Command], insist: bool = False) -> None:
        """Sends many commands in one write: a Redis that hangs does them first when it goes on."""
        self._guarded(lambda connection: _ask_all(connection, commands), insist)

    def state(self) -> str:
        if not self.url:
            return "disabled"
        try:
            self.call("PING")
            return "connected"
        except RedisUnavailable:
            return "disconnected"

    def _guarded(self, work: Callable[[Any], Any], insist: bool) -> Any:
        began = self.breaker.begin()
        if not self.url or (began is None and not insist):
            raise RedisUnavailable
        client, began = self._client, began or time.monotonic()
        try:
            answer = _with_connection(client.connection_pool, work)
        except redis.ResponseError as error:  # full, read only, a key of another type
            self.breaker.answered()
            metrics.cache_failures.inc()
            log.warning("Redis refused: %s", error)
            raise RedisUnavailable from error
        except (redis.RedisError, ValueError) as error:  # no answer, or no Redis
            metrics.cache_failures.inc()
            opened = self.breaker.failed(began)
            log.warning("Redis failed%s: %s", " and gets no call for a second" * opened, error)
            self._renew(client)
            raise RedisUnavailable(unknown=True) from error
        self.breaker.answered()
        return answer

    def _renew(self, client: redis.Redis) -> None:
        """Drops all connections: changes may have been missed, and a new one is told them."""
        if client is self._client:
            self._client = self._new_client()
            client.connection_pool.disconnect(inuse_connections=False)


def _with_connection(pool: Any, work: Callable[[Any], Any]) -> Any:
    """Without redis-py's client: what it does around a command costs as much as the command."""
    connection = pool.get_connection()
    try:
        return work(connection)
    finally:
        pool.release(connection)


def _ask(connection: Any, *command: str | int) -> Any:
    connection.send_command(*command)
    return connection.read_response()


def _run(connection: Any, script: Script, *arguments: str | int) -> Any:
    try:
        return _ask(connection, "EVALSHA", script.sha, *arguments)
    except redis.exceptions.NoScriptError:
        return _ask(connection, "EVAL", script.text, *arguments)


def _ask_all(connection: Any, commands: Sequence[Command]) -> None:
    connection.send_packed_command(connection.pack_commands(commands))
    refused = None
    for _ in commands:
        try:
            connection.read_response()
        except redis.ResponseError as error:
            refused = error
    if refused:
        raise refused


redis_connection = RedisConnection()


# ---- the event loop ----


class LoopConnection(asyncio.Protocol):
    """One connection of an event loop, with one call on its way at a time.

    Requests that arrive during a call are sent together as the next one. `lost` is called when the
    connection ends, with the moment at which a call began that timed out, if that was why.
    """

    def __init__(self, breaker: Breaker, lost: Callable[[float | None], None]) -> None:
        self._loop, self._breaker, self._lost = asyncio.get_running_loop(), breaker, lost
        self._timed_out: float | None = None
        self._reader = hiredis.Reader()
        self._orders: deque[asyncio.Future[Any]] = deque()
        self._next: list[tuple[str, str, asyncio.Future[Any]]] = []
        self._called: list[tuple[str, str, asyncio.Future[Any]]] = []
        self._called_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def order(self, *command: Any) -> asyncio.Future[Any]:
        """The answer to any command of the handshake, before the first call."""
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._transport.write(hiredis.pack_command(command))
        self._orders.append(reply)
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
        self._transport.write(hiredis.pack_command(command))
        if self._timer is None:
            self._timer = self._loop.call_later(_TIMEOUT_SECONDS, self._look)

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
        if not isinstance(reply, list):  # the script is lost: the next connection loads it
            self._transport.abort()
            return
        for (_, _, waiting), held in zip(self._called, reply, strict=True):
            if not waiting.done():  # its client may have left
                waiting.set_result(held)
        self._called = []
        if self._next:
            self._loop.call_soon(self._call)  # after what else this turn of the loop brings

    def _look(self) -> None:
        """Ends the connection when a call timed out; looks again while there is one."""
        self._timer = None
        if self._called:
            left = self._called_at + _TIMEOUT_SECONDS - time.monotonic()
            if left < -_TIMEOUT_SECONDS:  # this process was descheduled: wait as long again
                self._called_at, left = time.monotonic(), _TIMEOUT_SECONDS
            if left <= 0:
                self._timed_out = self._called_at
                self._transport.abort()
            else:
                self._timer = self._loop.call_later(left, self._look)

    def connection_lost(self, _error: Exception | None) -> None:
        """What was not sent is unknown as well, rather than waiting for another call."""
        self._lost(self._timed_out)
        for order in self._orders:
            order.cancel()
        for _, _, reply in (*self._called, *self._next):
            if not reply.done():
                reply.set_exception(RedisUnavailable(unknown=True))
        self._called, self._next = [], []
        self._orders.clear()

    def close(self) -> None:
        self._transport.abort()


class LoopRedis:
    """Redis for an event loop: opens a connection at the first request that needs one.

    After a loss at the earliest a second later, unless all that was wrong is one slow call.
    """

    def __init__(self, url: str, breaker: Breaker, handshake: Handshake) -> None:
        self._breaker, self._handshake = breaker, handshake
        self._address: Any = parse_url(url)  # type: ignore[no-untyped-call]
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
            connection = await asyncio.wait_for(self._connect(), 4 * _TIMEOUT_SECONDS)
            await asyncio.wait_for(self._shake_hands(connection), 4 * _TIMEOUT_SECONDS)
            self._open = connection
        except (OSError, TimeoutError, asyncio.CancelledError):
            self._breaker.failed(began)
            self._lost()
            if connection is not None:
                connection.close()
        finally:
            self._opening = None

    async def _connect(self) -> LoopConnection:
        loop, address = asyncio.get_running_loop(), self._address

        def protocol() -> LoopConnection:
            return LoopConnection(self._breaker, self._lost)

        if "path" in address:
            return (await loop.create_unix_connection(protocol, address["path"]))[1]
        secure = True if "connection_class" in address else None
        port = address.get("port", 6379)
        return (await loop.create_connection(protocol, address["host"], port, ssl=secure))[1]

    async def _shake_hands(self, connection: LoopConnection) -> None:
        address, loop = self._address, asyncio.get_running_loop()
        commands: list[Command] = []
        if address.get("password"):
            commands.append(("AUTH", address.get("username", "default"), address["password"]))
        commands.append(("SELECT", address.get("db", 0)))
        commands.append(("SCRIPT", "LOAD", FOLLOW.text))
        commands += await loop.run_in_executor(None, lambda: list(self._handshake()))
        for reply in await asyncio.gather(*(connection.order(*command) for command in commands)):
            if isinstance(reply, hiredis.ReplyError):
                raise ConnectionError(f"Redis refused the handshake: {reply}")

    def close(self) -> None:
        if self._open is not None:
            self._open.close()

    def _lost(self, timed_out: float | None = None) -> None:
        self._open = None
        if timed_out is None or self._breaker.failed(timed_out):
            self._again_at = time.monotonic() + _PAUSE_SECONDS


STREAM = "clicks"
