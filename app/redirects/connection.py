"""The only Redis connection: scripts, timeouts, circuit breaker, pending updates."""

from __future__ import annotations

import hashlib
import logging
import os
import select
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import hiredis
from redis.connection import parse_url

from app import metrics
from app.breaker import Breaker

log = logging.getLogger(__name__)

STREAM = "clicks"
TIMEOUT_SECONDS = 0.25
PAUSE_SECONDS = 1.0  # after a failure
_BATCH = 500
# Errors that refuse every command; others refuse one.
_NO_ANSWER = ("LOADING", "NOAUTH", "WRONGPASS", "ERR max number of clients")

Command = tuple[str | int | bytes, ...]
pack: Callable[[Any], bytes] = hiredis.pack_command
Handshake = Callable[[], Sequence[Command]]
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


class Server:
    """Where a URL leads to, and who we are there."""

    def __init__(self, url: str) -> None:
        given: Any = parse_url(url)  # type: ignore[no-untyped-call]
        self.path, self.host = given.get("path"), given.get("host", "localhost")
        self.port = given.get("port", 6379)
        self.tls = _tls(given) if url.startswith("rediss") else None
        self.greeting: list[Command] = [("SELECT", given.get("db", 0))]
        if given.get("password"):
            user = given.get("username", "default")
            self.greeting.insert(0, ("AUTH", user, given["password"]))

    def connect(self) -> socket.socket:
        if self.path:
            line = socket.socket(socket.AF_UNIX)
            line.settimeout(TIMEOUT_SECONDS)
            line.connect(self.path)
            return line
        line = socket.create_connection((self.host, self.port), TIMEOUT_SECONDS)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.tls.wrap_socket(line, server_hostname=self.host) if self.tls else line


def _tls(given: dict[str, Any]) -> ssl.SSLContext:
    """The URL's options are redis-py's: ssl_ca_certs, ssl_cert_reqs, ssl_certfile, ssl_keyfile."""
    context = ssl.create_default_context(cafile=given.get("ssl_ca_certs"))
    context.check_hostname = bool(given.get("ssl_check_hostname", True))
    if given.get("ssl_cert_reqs") == "none":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if given.get("ssl_certfile"):
        context.load_cert_chain(given["ssl_certfile"], given.get("ssl_keyfile"))
    return context


class _Line:
    """A blocking connection; used by one thread at a time. redis-py's costs three times as much."""

    def __init__(self, server: Server, handshake: Handshake) -> None:
        self._reader, self._socket = hiredis.Reader(), server.connect()
        try:
            commands = [*server.greeting, *handshake()]
            for start in range(0, len(commands), _BATCH):
                self._greet(commands[start : start + _BATCH])
        except BaseException:
            self.close()
            raise

    def _greet(self, commands: Sequence[Command]) -> None:
        for reply in self.ask(commands):
            if isinstance(reply, hiredis.ReplyError):
                raise reply

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Sends all in one write: a Redis that hangs does them first when it goes on."""
        self._socket.sendall(b"".join([pack(command) for command in commands]))
        return [self._read() for _ in commands]

    def _read(self) -> Any:
        while (reply := self._reader.gets()) is False:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("Redis closed the connection")
            self._reader.feed(data)
        if isinstance(reply, hiredis.ReplyError) and str(reply).startswith(_NO_ANSWER):
            raise ConnectionError(str(reply))
        return reply

    def is_stale(self) -> bool:
        """Whether an idle connection was closed."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        self._socket.close()


class RedisConnection:
    """Redis for threads: short timeouts, no retries, no call for a second after a failure.

    Without Redis every call raises RedisUnavailable, as in an outage. `insist` calls also while
    the circuit breaker is open.
    """

    def __init__(self, url: str = "", handshake: Handshake = list) -> None:
        self.idle: list[_Line] = []
        self.bind(url, handshake)

    def bind(self, url: str, handshake: Handshake) -> None:
        """Changes the server; one circuit breaker is for all connections to it."""
        self.url, self.handshake = url, handshake
        self.breaker = Breaker(PAUSE_SECONDS, 2 * TIMEOUT_SECONDS)  # to connect, and to answer
        self.server = Server(url) if url else None
        self._drop(self.idle, None)

    def call(self, *command: str | int | bytes, insist: bool = False) -> Any:
        """The answer to one command; raises RedisUnavailable."""
        return self.call_all([command], insist)[0]

    def call_all(self, commands: Sequence[Command], insist: bool = False) -> list[Any]:
        """The answers to many commands, sent at once; raises RedisUnavailable."""
        replies = self._ask(commands, insist)
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):  # full, read only, a key of another type
                metrics.cache_failures.inc()
                log.warning("Redis refused: %s", reply)
                raise RedisUnavailable
        return replies

    def run(
        self, script: Script, keys: Sequence[str], *values: str | int, insist: bool = False
    ) -> Any:
        """The answer of a script; raises RedisUnavailable."""
        arguments = len(keys), *keys, *values
        (reply,) = self._ask([("EVALSHA", script.sha, *arguments)], insist)
        if isinstance(reply, hiredis.ReplyError):  # Redis may not have the script; nothing was done
            return self.call("EVAL", script.text, *arguments, insist=insist)
        return reply

    def state(self) -> str:
        if not self.url:
            return "disabled"
        with suppress(RedisUnavailable):
            self.call("PING")
            return "connected"
        return "disconnected"

    def _ask(self, commands: Sequence[Command], insist: bool) -> list[Any]:
        began = self.breaker.begin()
        if self.server is None or (began is None and not insist):
            raise RedisUnavailable
        idle, line, began = self.idle, None, began or time.monotonic()
        try:
            line = self._take(idle) or _Line(self.server, self.handshake)
            replies = line.ask(commands)
        except (OSError, hiredis.HiredisError) as error:
            metrics.cache_failures.inc()
            opened = self.breaker.failed(began)
            log.warning("Redis failed%s: %s", " (no calls for 1 s)" * opened, error)
            self._drop(idle, line)
            raise RedisUnavailable(unknown=line is not None) from error
        self.breaker.answered()
        if idle is self.idle:
            idle.append(line)
        else:
            line.close()
        return replies

    def _take(self, idle: list[_Line]) -> _Line | None:
        with suppress(IndexError):
            while (line := idle.pop()).is_stale():
                line.close()
            return line
        return None

    def _drop(self, idle: list[_Line], line: _Line | None) -> None:
        """Drops all connections: they may have missed updates, which a new one delivers first."""
        if idle is self.idle:
            self.idle = []
        if line:
            line.close()
        with suppress(IndexError):
            while True:
                idle.pop().close()


redis_connection = RedisConnection()
os.register_at_fork(after_in_child=lambda: redis_connection.idle.clear())
