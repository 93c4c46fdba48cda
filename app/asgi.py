"""Runs the Flask application under an ASGI server: one thread and one hop for each request, the body read before it starts."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from functools import partial
from io import BytesIO
from queue import SimpleQueue
from tempfile import SpooledTemporaryFile
from typing import IO, Any
from urllib.parse import unquote_to_bytes, urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Answer = tuple[int, list[tuple[bytes, bytes]], bytes]

_IN_MEMORY_BYTES = 256 * 1024
# While a database that hangs keeps all threads waiting, whoever watches this replica must still see that it lives.
_WATCHED = frozenset(("/health", "/health/ready", "/ready", "/metrics"))
_HAS_BODY = frozenset((b"content-length", b"transfer-encoding"))


class _Threads:
    """Threads that work for an event loop; the standard library's pool costs as much for each call as a small request."""

    def __init__(self, number: int, name: str) -> None:
        self._calls: SimpleQueue[tuple[Any, asyncio.Future[Any], Callable[[Any], Any], Any]] = SimpleQueue()
        for _ in range(number):
            threading.Thread(target=self._serve, name=name, daemon=True).start()

    def run(self, function: Callable[[Any], Any], argument: Any) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        result = loop.create_future()
        self._calls.put((loop, result, function, argument))
        return result

    def _serve(self) -> None:
        while True:
            loop, result, function, argument = self._calls.get()
            if result.cancelled():
                continue  # its client has left before it began
            try:
                done = partial(_settle, result.set_result, function(argument))
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                done = partial(_settle, result.set_exception, error)
            with suppress(RuntimeError):  # the loop has ended, and nobody waits any more
                loop.call_soon_threadsafe(done)
            del result, argument, done  # or they would live until the next call


def _settle(settle: Callable[[Any], None], outcome: Any) -> None:
    with suppress(asyncio.InvalidStateError):  # its client has left
        settle(outcome)


class ThreadedWsgi:
    """An ASGI application that runs `wsgi` on `threads` threads; bodies are taken up to a byte over `largest_body` bytes.

    `answered` is called in the event loop before an answer is sent.
    """

    def __init__(self, wsgi: Any, threads: int, largest_body: int, answered: Callable[[], None] = lambda: None) -> None:
        self._wsgi, self._answered = wsgi, answered
        self._largest_body = largest_body
        self._threads = _Threads(threads, "wsgi")
        self._watched = _Threads(2, "watched")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with await self._read(scope, receive) as body:
            threads = self._watched if scope["path"] in _WATCHED else self._threads
            status, headers, content = await threads.run(self._answer, _environ(scope, body))
        self._answered()
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _read(self, scope: Scope, receive: Receive) -> IO[bytes]:
        """The request's body; of one that is too large only as much as shows that it is."""
        if not any(name in _HAS_BODY for name, _ in scope["headers"]):
            return BytesIO()
        body = SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - the caller closes it
        if _announced_bytes(scope) > self._largest_body:
            return body
        size, more = 0, True
        while more and size <= self._largest_body:
            message = await receive()
            size += body.write(message.get("body", b""))
            more = message.get("more_body", False)
        body.seek(0)
        return body

    def _answer(self, environ: dict[str, Any]) -> Answer:
        started: list[Any] = []
        chunks: Iterable[bytes] = self._wsgi(environ, lambda *start: started.extend(start[:2]))
        try:
            content = b"".join(chunks)
        finally:
            getattr(chunks, "close", lambda: None)()
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in started[1]]
        return int(started[0][:3]), headers, content


def _announced_bytes(scope: Scope) -> int:
    return next((int(value) for name, value in scope["headers"] if name == b"content-length" and value.isdigit()), 0)


def _environ(scope: Scope, body: IO[bytes]) -> dict[str, Any]:
    """PEP 3333's environment, as Gunicorn's own WSGI workers make it, and the scope itself as `asgi.scope`."""
    server, client = scope.get("server") or ("localhost", 80), scope.get("client") or ("", 0)
    environ = {
        "asgi.scope": scope,
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(_path(scope)).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].partition(b"#")[0].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or 0),
        "REMOTE_ADDR": client[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        _add_header(environ, name.decode("latin-1"), value.decode("latin-1"))
    return environ


def _path(scope: Scope) -> bytes:
    """The path as it was sent; a proxy may have sent a whole URL, and some client a fragment."""
    raw: bytes = scope["raw_path"].partition(b"#")[0]
    return raw if raw.startswith(b"/") else urlsplit(raw).path or b"/"


def _add_header(environ: dict[str, Any], name: str, value: str) -> None:
    key = name.upper().replace("-", "_")
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = f"HTTP_{key}"
    environ[key] = f"{environ[key]},{value}" if key in environ else value
