"""The fast lane's connection to Redis: all that one turn of the event loop asks is one command, and silence is never waited for."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import hiredis
from redis.connection import parse_url

from app.cache import link_key
from app.clicks import STREAM, Click
from app.database import AWAY, released
from app.services import freshness

_TIMEOUT_SECONDS = 0.25
_PAUSE_SECONDS = 1.0

# What app.clicks.FOLLOW does, for all requests of one turn of the event loop. KEYS: the stream and the links;
# ARGV: the time, the sender, the number of its first click, and the visitors. Nothing in it can fail half way.
FOLLOW_ALL = """
local entries = {}
for i = 2, #KEYS do
  local entry = redis.pcall('GET', KEYS[i])
  if type(entry) ~= 'string' then entry = false end
  if entry and string.byte(entry) == 97 then
    local added = redis.pcall('XADD', KEYS[1], '*', 'id', ARGV[2] .. string.format('%x', ARGV[3] + i - 2), 'ms', ARGV[1],
      'code', string.sub(KEYS[i], 6), 'visitor', ARGV[i + 2], 'link', entry)
    if type(added) ~= 'string' then entry = false end
  end
  entries[i - 1] = entry
end
return entries
"""
_SHA = hashlib.sha1(FOLLOW_ALL.encode(), usedforsecurity=False).hexdigest()

Reply = bytes | Click | None
"""What Redis holds for a code, or nothing; or the click that it may have recorded before it fell silent."""


class Question(NamedTuple):
    short_code: str
    visitor: str
    reply: asyncio.Future[Reply]


class Call(NamedTuple):
    """What one turn of the event loop asked in one command."""

    sent_at: float
    ms: int
    first: int
    questions: list[Question]


class Connection(asyncio.Protocol):
    """One connection to Redis, which answers in the order of the calls; `lost` is called when it ends."""

    def __init__(self, lost: Callable[[], None]) -> None:
        self._loop, self._lost = asyncio.get_running_loop(), lost
        self._reader = hiredis.Reader()
        self._sender, self._number = secrets.token_hex(6), 0
        self._asked: list[Question] = []
        self._sent: deque[Call | asyncio.Future[Any]] = deque()
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def order(self, *command: Any) -> asyncio.Future[Any]:
        """Any other command."""
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._transport.write(hiredis.pack_command(command))
        self._sent.append(reply)
        return reply

    def follow(self, short_code: str, who: str) -> asyncio.Future[Reply]:
        """What Redis holds for a code, one click more when that is an active link; all of one turn leave together."""
        if not self._asked:
            self._loop.call_soon(self._send)
        reply: asyncio.Future[Reply] = self._loop.create_future()
        self._asked.append(Question(short_code, who, reply))
        return reply

    def _send(self) -> None:
        questions, self._asked = self._asked, []
        if not questions:
            return  # the connection ended in this turn
        call = Call(self._loop.time(), time.time_ns() // 1_000_000, self._number, questions)
        self._number += len(questions)
        keys = [link_key(question.short_code) for question in questions]
        visitors = [question.visitor for question in questions]
        command: tuple[Any, ...] = ("EVALSHA", _SHA, len(keys) + 1, STREAM, *keys, call.ms, self._sender, call.first, *visitors)
        self._transport.write(hiredis.pack_command(command))
        self._sent.append(call)
        if self._watch is None:
            self._watch = self._loop.call_later(_TIMEOUT_SECONDS, self._look)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            call = self._sent.popleft()
            if isinstance(call, Call):
                self._resolve(call, reply)
            elif not call.done():
                call.set_result(reply)

    def _resolve(self, call: Call, reply: Any) -> None:
        if not isinstance(reply, list):  # the script is gone, Redis is full or read only: a new connection will see
            self._give_up(call)
            self._transport.abort()
            return
        for question, entry in zip(call.questions, reply, strict=True):
            if not question.reply.done():  # its client may have left
                question.reply.set_result(entry)

    def _give_up(self, call: Call) -> None:
        for number, question in enumerate(call.questions, call.first):
            if not question.reply.done():
                question.reply.set_result(Click(question.short_code, question.visitor, f"{self._sender}{number:x}", call.ms, unsure=True))

    def _look(self) -> None:
        """Ends the connection when its oldest call has waited for too long; looks again while there are calls."""
        self._watch = None
        oldest = next((call for call in self._sent if isinstance(call, Call)), None)
        if oldest is not None:
            left = oldest.sent_at + _TIMEOUT_SECONDS - self._loop.time()
            if left <= 0:
                self._transport.abort()
            else:
                self._watch = self._loop.call_later(left, self._look)

    def connection_lost(self, _error: Exception | None) -> None:
        self._lost()
        for call in self._sent:
            if isinstance(call, asyncio.Future):
                call.cancel()
            else:
                self._give_up(call)
        for question in self._asked:  # these never left
            if not question.reply.done():
                question.reply.set_result(None)
        self._sent.clear()
        self._asked.clear()

    def close(self) -> None:
        self._transport.abort()


class Lane:
    """The connection to the Redis at `url`, opened by the request that first misses it, at the earliest a second after it was lost."""

    def __init__(self, url: str) -> None:
        self._address: Any = parse_url(url)  # type: ignore[no-untyped-call]
        self._open: Connection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._away_until = 0.0

    def connection(self) -> Connection | None:
        if self._open is None and self._opening is None and time.monotonic() >= self._away_until:
            self._opening = asyncio.get_running_loop().create_task(self._try())
        return self._open

    async def _try(self) -> None:
        connection = None
        try:
            connection = await asyncio.wait_for(self._connect(), 4 * _TIMEOUT_SECONDS)
            await asyncio.wait_for(self._greet(connection), 4 * _TIMEOUT_SECONDS)
            self._open = connection
        except (OSError, TimeoutError, asyncio.CancelledError):
            self._lost()
            if connection is not None:
                connection.close()
        finally:
            self._opening = None

    async def _connect(self) -> Connection:
        loop, address = asyncio.get_running_loop(), self._address
        if "path" in address:
            return (await loop.create_unix_connection(lambda: Connection(self._lost), address["path"]))[1]
        secure = True if "connection_class" in address else None
        return (await loop.create_connection(lambda: Connection(self._lost), address["host"], address.get("port", 6379), ssl=secure))[1]

    async def _greet(self, connection: Connection) -> None:
        """Nothing is asked of a Redis that may have missed changes of links before it has been told them."""
        if self._address.get("password"):
            await connection.order("AUTH", self._address.get("username", "default"), self._address["password"])
        await connection.order("SELECT", self._address.get("db", 0))
        await connection.order("SCRIPT", "LOAD", FOLLOW_ALL)
        if not await asyncio.get_running_loop().run_in_executor(None, _told_everything):
            raise ConnectionError("Redis has yet to be told of changes")

    def close(self) -> None:
        if self._open is not None:
            self._open.close()

    def _lost(self) -> None:
        self._open, self._away_until = None, time.monotonic() + _PAUSE_SECONDS


def _told_everything() -> bool:
    """Without the database nobody knows better than Redis."""
    with released():
        try:
            freshness.deliver_due()
            return freshness.count_due() == 0
        except AWAY:
            return True
