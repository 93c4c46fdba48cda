"""Runs a WSGI application under ASGI: reads the body, then gives the request to one thread."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import suppress
from functools import partial
from io import BytesIO
from queue import SimpleQueue
from tempfile import SpooledTemporaryFile
from typing import IO, Any
from urllib.parse import unquote_to_bytes

from app import limits

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Answer = tuple[int, list[tuple[bytes, bytes]], bytes, Any]

_IN_MEMORY_BYTES = 256 * 1024
# These have threads of their own, and so are answered while a database blocks all others.
_PROBES = frozenset(("/health", "/health/ready", "/ready", "/metrics"))


class ClientLeft(Exception):
    """The connection ended before the body did."""


Call = tuple[asyncio.Future[Any], Callable[[Any], Any], Any]


class _Threads:
    """`number` threads for an event loop; they are `full` when `most` calls wait for one.

    The standard library's pool costs as much per call as a small request. The thread that became
    idle last gets the next call: its memory is still in the processor's cache (5 % per request).
    """

    def __init__(self, number: int, name: str, most: int) -> None:
        self._most = most
        self._waiting: deque[Call] = deque()
        self._idle: list[SimpleQueue[Call]] = [SimpleQueue() for _ in range(number)]
        for calls in self._idle:
            threading.Thread(target=self._serve, args=(calls,), name=name, daemon=True).start()

    @property
    def full(self) -> bool:
        return not self._idle and len(self._waiting) >= self._most

    async def run(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """What `function` returns."""
        call = asyncio.get_running_loop().create_future(), function, argument
        if self._idle:
            self._idle.pop().put(call)
        else:
            self._waiting.append(call)
        try:
            return await call[0]
        finally:
            if call[0].cancelled():  # the client left; perhaps before it began
                with suppress(ValueError):
                    self._waiting.remove(call)

    def _serve(self, calls: SimpleQueue[Call]) -> None:
        while True:
            result, function, argument = calls.get()
            try:
                done = partial(self._settle, calls, result.set_result, function(argument))
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                done = partial(self._settle, calls, result.set_exception, error)
            try:
                result.get_loop().call_soon_threadsafe(done)
            except RuntimeError:  # the loop has ended
                self._idle.append(calls)
            del result, argument, done  # else they live until the next call

    def _settle(
        self, calls: SimpleQueue[Call], settle: Callable[[Any], None], outcome: Any
    ) -> None:
        """In the event loop: hands the outcome over, and gives the thread its next call."""
        with suppress(asyncio.InvalidStateError):  # the client has left
            settle(outcome)
        while self._waiting:
            call = self._waiting.popleft()
            if not call[0].cancelled():
                calls.put(call)
                return
        self._idle.append(calls)


class ThreadedWsgi:
    """An ASGI application that runs `wsgi` on `threads` threads.

    When `waiting` requests wait for a thread, the next one gets `asgi.overloaded` in its environ.
    An answer whose application has set `asgi.streams` there is sent piece by piece.
    `answered` is called in the event loop before each answer. Calls raise ClientLeft.
    """

    def __init__(
        self,
        wsgi: Any,
        threads: int,
        waiting: int = 1000,
        answered: Callable[[], None] = lambda: None,
    ) -> None:
        self._wsgi, self._answered = wsgi, answered
        self._threads = _Threads(threads, "wsgi", waiting)
        self._probes = _Threads(2, "probes", sys.maxsize)
        self._refusing = _Threads(1, "refusing", sys.maxsize)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        environ = _environ(scope)
        with await _read(environ, receive) as body:
            environ["wsgi.input"] = body
            status, headers, content, rest = await self._threads_for(scope, environ).run(
                self._answer, environ
            )
        if environ["asgi.body_is_left"]:
            headers.append((b"Connection", b"close"))
        self._answered()
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content, "more_body": rest is not None})
        if rest is not None:
            await self._send_rest(rest, send)

    async def _send_rest(self, rest: Any, send: Send) -> None:
        """Sends piece after piece, each made on one of the threads once the client reads on."""
        pieces = iter(rest)
        try:
            while piece := await self._threads.run(_next_of, pieces):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        finally:
            with suppress(ValueError):  # the client left while the next piece is being made
                rest.close()
        await send({"type": "http.response.body", "body": b""})

    async def run(self, function: Callable[[Any], Any], argument: Any) -> Any:
        """What `function` returns, on one of the threads."""
        return await self._threads.run(function, argument)

    @property
    def full(self) -> bool:
        return self._threads.full

    def _threads_for(self, scope: Scope, environ: dict[str, Any]) -> _Threads:
        if scope["path"] in _PROBES:
            return self._probes
        if self._threads.full and "must_run" not in scope:  # that one learns what became of it
            environ["asgi.overloaded"] = True
            return self._refusing
        return self._threads

    def _answer(self, environ: dict[str, Any]) -> Answer:
        started: list[Any] = []
        chunks: Any = self._wsgi(environ, lambda *start: started.extend(start[:2]))
        content, rest = b"", chunks
        if "asgi.streams" not in environ:
            content, rest = _joined(chunks), None
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in started[1]]
        return int(started[0][:3]), headers, content, rest


def _joined(chunks: Any) -> bytes:
    try:
        return b"".join(chunks)
    finally:
        getattr(chunks, "close", lambda: None)()


def _next_of(pieces: Iterator[bytes]) -> bytes:
    """The next piece that is not empty, or b"" at the end."""
    return next(filter(None, pieces), b"")


async def _read(environ: dict[str, Any], receive: Receive) -> IO[bytes]:
    """The request's body; reads at most one message more than the largest body has.

    A body that is refused anyway stays unread. CONTENT_LENGTH becomes what was read.
    """
    environ["asgi.body_is_left"] = False
    if "CONTENT_LENGTH" not in environ and "HTTP_TRANSFER_ENCODING" not in environ:
        return BytesIO()
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    most = limits.largest_body(method, path)
    misplaced = limits.is_misplaced(method, path, environ.get("CONTENT_TYPE", ""))
    if misplaced or int(environ.get("CONTENT_LENGTH", 0)) > most:
        environ["asgi.body_is_left"] = True
        return BytesIO()
    body = SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - the caller closes it
    size, more = 0, True
    while more and size <= most:
        message = await receive()
        if message["type"] == "http.disconnect":
            body.close()
            raise ClientLeft
        size += body.write(message.get("body", b""))
        more = message.get("more_body", False)
    body.seek(0)
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ["CONTENT_LENGTH"], environ["asgi.body_is_left"] = str(size), more
    return body


def _environ(scope: Scope) -> dict[str, Any]:
    """PEP 3333's environment without the body, and the scope itself as `asgi.scope`."""
    server, client = scope.get("server") or ("localhost", 80), scope.get("client") or ("", 0)
    environ = {
        "asgi.scope": scope,
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": f"[{server[0]}]" if ":" in server[0] else server[0],
        "SERVER_PORT": str(server[1] or 0),
        "REMOTE_ADDR": client[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        _add_header(environ, name.decode("latin-1"), value.decode("latin-1"))
    return environ


def _add_header(environ: dict[str, Any], name: str, value: str) -> None:
    """Adds a header, but not Upgrade, for which Werkzeug finds no route, nor a name with `_`.

    WSGI could not tell that name from the one with a hyphen, which proxies check.
    """
    if "_" in name or name == "upgrade":
        return
    key = name.upper().replace("-", "_")
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = f"HTTP_{key}"
    environ[key] = f"{environ[key]},{value}" if key in environ else value
