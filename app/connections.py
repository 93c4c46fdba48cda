"""The HTTP connections of a worker process: uvicorn's, with limits, timeouts and an orderly end."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import secrets
import signal
from http import HTTPStatus
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn_worker import UvicornWorker

log = logging.getLogger("gunicorn.error")

MOST_CONNECTIONS = 2000  # of one worker process; then those that only wait make room for new ones
HEAD_SECONDS = 15  # for the request line and the headers, as Nginx gives them
PAUSE_SECONDS = 20  # for a body or an answer, and more for what has come or gone:
SLOWEST_BYTES = 1024  # a second, slower than any network that people use
LINGER_SECONDS, LINGER_BYTES = 30, 64 * 2**20  # to read an answer that came before its request ended
MOST_UNREAD_BYTES = 64 * 2**20  # of answers that clients are slow to take, all together
ABANDONED_SECONDS = 3  # a client that closed its side has probably left
MOST_URL_BYTES, MOST_HEAD_BYTES, MOST_HEADERS = 8190, 32 * 1024, 100
MOST_PIPELINED = 1000

_ODD_METHOD = re.compile(rb"[A-Z][A-Z0-9$_.-]{0,199}(?= )")
_UPGRADE = re.compile(rb"\r\nupgrade *:", re.IGNORECASE)
_ONCE = (b"host", b"content-type")


class _Again(Exception):
    """The parser would take the body of this request for another protocol."""


class Connection(HttpToolsProtocol):
    """What uvicorn's protocol does, for clients that are slow, broken or hostile as well."""

    open: ClassVar[set[Connection]] = set()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._gentle = _Gentle(self, transport)
        self._head, self._raw, self._begun = True, b"", 0
        self._method = b""
        self._since, self._bytes = self.loop.time(), 0
        self._running: tuple[Any, asyncio.Task[None]] | None = None
        self._refusal: tuple[int, str] | None = None
        self._deaf = self._ended = self._lingering = False
        self._unread, self._unread_before, self._unread_since = 0, 0, 0.0
        if len(self.open) >= MOST_CONNECTIONS:
            _make_room()
        self.open.add(self)
        if len(self.open) > MOST_CONNECTIONS:
            self.refuse(503, "This server has too many connections")

    def connection_lost(self, exc: Exception | None) -> None:
        self.open.discard(self)
        super().connection_lost(exc)
        self.pipeline.clear()
        if self._running:
            self._running[0].disconnected = True
            self._running[1].cancel()

    # ---- what comes in ----

    def data_received(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._deaf:
            if self._lingering and self._bytes > LINGER_BYTES:
                self.transport.abort()
            return
        if self._head:
            self._raw += data
        else:
            self._raw = b"" if self.cycle.more_body else data
        self._feed(data)
        if self._head and len(self._raw) > MOST_HEAD_BYTES and not self._deaf:
            self._refuse_long_head()

    def _feed(self, data: bytes) -> None:
        """Gives `data` to the parser; nothing may be taken for another protocol than HTTP."""
        self._unset_keepalive_if_required()
        self._begun = 0
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                self._mend_or_refuse(error)
                return

    def _mend_or_refuse(self, error: httptools.HttpParserError) -> None:
        """The parser knows its own list of methods, and drops the body of what asks for an upgrade."""
        raw = self._raw if self._begun <= 1 else b""
        method = _ODD_METHOD.match(raw)
        if isinstance(error, httptools.HttpParserInvalidMethodError) and method:
            self._method = method[0]
            self._start_anew(b"PATCH" + raw[method.end() :])
        elif isinstance(error.__context__, _Again) and raw:
            head, end, body = raw.partition(b"\r\n\r\n")
            self._start_anew(_UPGRADE.sub(b"\r\nx-upgrade:", head) + end + body)
        elif self._refusal:
            self.refuse(*self._refusal)
        else:
            ours = isinstance(error, httptools.HttpParserCallbackError)
            self.refuse(400, "The request is not valid HTTP" if ours else str(error))

    def _start_anew(self, raw: bytes) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._raw = b""
        self._feed(raw)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun += 1
        if not self._head:
            self._head, self._since, self._bytes = True, self.loop.time(), 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head:  # a trailer is no header
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        problem = self._problem()
        if problem:
            self._refusal = problem
            raise ValueError
        self._head, self._raw, self._since, self._bytes = False, b"", self.loop.time(), 0
        super().on_headers_complete()
        if self._method:
            self.scope["method"], self._method = self._method.decode(), b""
        if self._has_body or self.scope["method"] == "CONNECT":
            self.cycle.transport = self._gentle
        if self.scope["method"] == "CONNECT":
            self.cycle.keep_alive, self._deaf = False, True
        if len(self.pipeline) > MOST_PIPELINED:
            self.transport.abort()

    def _problem(self) -> tuple[int, str] | None:
        """What is wrong with a head that the parser lets pass."""
        if self._is_long():
            return (414, "The address is too long") if len(self.url) > MOST_URL_BYTES else _LONG
        names = [name for name, _ in self.headers]
        version = self.parser.get_http_version()
        coding = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        self._has_body = bool(coding) or b"content-length" in names
        if version not in ("1.0", "1.1") or any(names.count(name) > 1 for name in _ONCE):
            return 400, "The request is not valid HTTP/1.1"
        if coding and (coding != [b"chunked"] or version == "1.0"):
            return 400, "The only transfer coding is chunked, in HTTP/1.1"
        if not self.url.startswith(b"/"):
            self._rewrite_url()
        if self._has_body and self.parser.should_upgrade():
            raise _Again
        return None

    def _is_long(self) -> bool:
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        return size > MOST_HEAD_BYTES or len(self.headers) > MOST_HEADERS or len(self.url) > MOST_URL_BYTES

    def _rewrite_url(self) -> None:
        """A proxy may send a whole URL; CONNECT names a host, which is nothing that is here."""
        if self.parser.get_method() == b"CONNECT":
            self.url = b"/"
        elif self.url != b"*":
            parts = httptools.parse_url(self.url)
            self.url = (parts.path or b"/") + (b"?" + parts.query if parts.query else b"")

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client may close its side and still wait for its answer."""
        self._ended = True
        running = self._running and not self._running[0].response_complete
        if self._lingering:
            return False
        if (self._head and self._raw) or (self.cycle and self.cycle.more_body):
            self.refuse(400, "The request has no end")
            return True
        if running:
            self.cycle.keep_alive = False
            self.loop.call_later(ABANDONED_SECONDS, self.transport.abort)
        return bool(running)

    # ---- what goes out ----

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)
        self._running = cycle, task

    def on_response_complete(self) -> None:
        self._running = None
        if self._lingering:
            return
        if self.cycle.response_complete and self.cycle.more_body:
            self.linger()
            return
        self._since = self.loop.time()
        super().on_response_complete()
        if self._refusal and not self._running:
            self.refuse(*self._refusal)

    def refuse(self, status: int, why: str) -> None:
        """Ends the connection with an answer, after those to earlier requests."""
        self._deaf = True
        if self.pipeline and self.cycle.more_body:
            self.pipeline.popleft()
        cycle = self._running[0] if self._running else None
        if cycle and not cycle.response_complete and not cycle.more_body:
            self._refusal = status, why
            return
        self._refusal = None
        if cycle and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        if cycle and cycle.response_started:
            self.transport.abort()
        else:
            if status not in (408, 503):
                log.warning("Invalid request from ip=%s: %s", (self.client or ("",))[0], why)
            self.transport.write(_answer(status, why))
            self.linger()

    def _refuse_long_head(self) -> None:
        line = b"\n" not in self._raw
        self.refuse(*((414, "The address is too long") if line else _LONG))

    def linger(self) -> None:
        """Closes when the client has read the answer: to close at once would take it away from it."""
        if self._ended or self.transport.is_closing():
            self.transport.close()
            return
        self._lingering = self._deaf = True
        self._since, self._bytes = self.loop.time(), 0
        self.transport.write_eof()
        self.flow.resume_reading()

    def end_answer(self) -> None:
        """What uvicorn's closing of a connection is, where its request has a body."""
        if self.cycle.more_body:
            self.linger()
        else:
            self.transport.close()

    # ---- timeouts ----

    @property
    def waits(self) -> float | None:
        """Since when nothing happens here but that the client is waited for; None while it is served."""
        serves = self._running and not self._running[0].more_body
        return None if serves else self._since

    def check(self, now: float) -> None:
        """Ends what takes too long."""
        seconds = now - self._since
        if self._lingering:
            if seconds > LINGER_SECONDS:
                self.transport.abort()
        elif self.waits is None or self.transport.is_closing():
            pass
        elif self._head:
            if seconds > HEAD_SECONDS:
                self._time_out(bool(self._raw))
        elif self.cycle and self.cycle.more_body:
            if seconds > PAUSE_SECONDS + self._bytes / SLOWEST_BYTES:
                self._time_out(True)
        self._check_reading(now)

    def _time_out(self, began: bool) -> None:
        if began:
            self.refuse(408, "The request took too long")
        else:
            self.transport.close()

    def _check_reading(self, now: float) -> None:
        self._unread = self.transport.get_write_buffer_size()
        if not self._unread or self._unread > self._unread_before:
            self._unread_before, self._unread_since = self._unread, now
        taken = self._unread_before - self._unread
        if now - self._unread_since > PAUSE_SECONDS + taken / SLOWEST_BYTES:
            self.transport.abort()

    @property
    def unread(self) -> tuple[float, int]:
        return self._unread_since, self._unread


class _Gentle:
    """A connection's transport as uvicorn uses it for one request, whose end waits for the client."""

    def __init__(self, connection: Connection, transport: Any) -> None:
        self.close = connection.end_answer
        self.write, self.is_closing = transport.write, transport.is_closing


_LONG = (431, "The headers are too long")


def _answer(status: int, why: str) -> bytes:
    phrase = HTTPStatus(status).phrase
    request_id = secrets.token_hex(8)
    error = {"error": phrase, "message": why, "status": status, "request_id": request_id}
    body = json.dumps(error) + "\n"
    return (
        f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nX-Request-ID: {request_id}\r\n"
        f"Connection: close\r\n\r\n{body}"
    ).encode()


def _make_room() -> None:
    """Ends the connection that has been waiting for its client for the longest."""
    waiting = [(since, id(each), each) for each in Connection.open if (since := each.waits) is not None]
    if waiting:
        oldest = min(waiting)[2]
        Connection.open.discard(oldest)
        oldest.transport.abort()


def check_all(now: float) -> None:
    """Ends the connections that take too long, and the slowest readers when too much is unread."""
    for each in tuple(Connection.open):
        each.check(now)
    slow = sorted((*each.unread, id(each), each) for each in Connection.open if each.unread[1])
    total = sum(size for _, size, _, _ in slow)
    for _, size, _, each in slow:
        if total <= MOST_UNREAD_BYTES:
            break
        each.transport.abort()
        total -= size


class Worker(UvicornWorker):
    """Gunicorn's worker process, with the connections above."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        "loop": "uvloop",
        "http": Connection,
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "proxy_headers": False,  # app/__init__.py counts the proxies
        "server_header": False,
        "timeout_notify": 0,  # every second
        "timeout_graceful_shutdown": 7,  # a second before Gunicorn kills
    }

    def _install_sigquit_handler(self) -> None:
        """Gunicorn's own way to end its workers; uvicorn knows SIGTERM."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGQUIT, signal.raise_signal, signal.SIGTERM)

    async def callback_notify(self) -> None:
        self.notify()
        check_all(asyncio.get_running_loop().time())
        if os.getppid() != self.ppid:
            signal.raise_signal(signal.SIGTERM)
