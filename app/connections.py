"""The HTTP connections of a worker process: uvicorn's, with limits, timeouts and clean closing."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app import heads
from app.direct import Begin, Exchange
from app.reading import Reader

log = logging.getLogger("gunicorn.error")

MOST_CONNECTIONS = 2000  # per worker process; above it the one that waits longest is closed
HEAD_SECONDS = 15  # for the request line and the headers, as in Nginx
PAUSE_SECONDS = 20  # for a body or an answer, plus the time that its bytes take at
SLOWEST_BYTES = 1024  # per second
LINGER_SECONDS, LINGER_BYTES = 30, 64 * 2**20  # from an early answer to the end of its request
MOST_UNREAD_BYTES = 64 * 2**20  # of all answers that clients have not read
HALF_CLOSED_SECONDS = 3  # for an answer after the client has closed its side


class Connection(Reader):
    """uvicorn's protocol, with limits for slow, broken and hostile clients."""

    open: ClassVar[set[Connection]] = set()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.cycle: Any = None  # uvicorn's, or an exchange
        self._lingering_transport: Any = _LingeringTransport(self, transport)
        # uvicorn's cycle and its task, or an exchange
        self._running: tuple[Any, asyncio.Task[None] | None] | None = None
        self._begin: Begin | None = getattr(self.app, "begin", None)
        self._client_ended = self._lingering = False
        self.unread, self._most_unread, self.unread_since = 0, 0, 0.0  # bytes, bytes, loop time
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
            cycle, task = self._running
            cycle.disconnected = True
            if task:
                task.cancel()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._lingering and self._bytes > LINGER_BYTES:
            self.transport.abort()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keeps the transport open while a client that closed its side waits for its answer."""
        self._client_ended = True
        running = self._running and not self._running[0].response_complete
        if self._lingering:
            return False
        if (self._in_head and self._raw) or (self.cycle and self.cycle.more_body):
            self.refuse(400, "The request has no end")
            return True
        if running:
            self.cycle.keep_alive = False
            self.loop.call_later(HALF_CLOSED_SECONDS, self.transport.abort)
        return bool(running)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        cycle.send_500_response = self._break_off
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)
        self._running = cycle, task

    def begin_at_once(self, keep_alive: bool) -> bool:
        if self._begin is None or (self.cycle and not self.cycle.response_complete):
            return False
        exchange = Exchange(self, self.scope, keep_alive)
        try:
            began = self._begin(self.scope, exchange)
        except Exception:
            log.exception("A request is tried again in a task")
            return False
        if began:
            self.cycle, self._running = exchange, (exchange, None)
        return began

    def hand_on(self, exchange: Exchange) -> None:
        """Goes on with uvicorn's cycle and a task."""
        # fmt: off
        cycle = RequestResponseCycle(
            exchange.scope, self.transport, self.flow, self.logger, self.access_logger,
            self.access_log, self.server_state.default_headers, asyncio.Event(), False,
            exchange.keep_alive, self.on_response_complete,
        )
        # fmt: on
        cycle.more_body = exchange.more_body
        if self.cycle is exchange:
            self.cycle = cycle
        self._start_asgi_task(cycle, self.app)

    async def _break_off(self) -> None:
        """Instead of uvicorn's bare 500: no answer when the server ends, else our own."""
        task = asyncio.current_task()
        if task and task.cancelling():
            self.transport.abort()
        else:
            self._write_refusal(500, "An unexpected error; the log has it")
            self.linger()

    def begin_answer(self, after_body: bool) -> None:
        if after_body:
            self.cycle.transport = self._lingering_transport

    def on_response_complete(self) -> None:
        self._running = None
        if self._lingering:
            return
        if self.cycle.response_complete and self.cycle.more_body:
            self.linger()
            return
        self._since = self.loop.time()
        self._go_on()
        if self._refusal and not self._running:
            self.refuse(*self._refusal)

    def _go_on(self) -> None:
        """As uvicorn, without a timer for each pause: `check` ends them."""
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self.pipeline:
                self._start_asgi_task(*self.pipeline.pop())

    def refuse(self, status: int, why: str) -> None:
        """Closes the connection with an error, after the answers to earlier requests."""
        self._ignores_input = True
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
                log.warning("Invalid request: %s", why)  # not from whom: see VISITOR_ADDRESS
            self._write_refusal(status, why)
            self.linger()

    def _write_refusal(self, status: int, why: str) -> None:
        accept = heads.accepted(self.headers or [], self._raw)
        self.transport.write(heads.refusal(status, why, accept))

    def linger(self) -> None:
        """Closes once the client has closed: closing at once could discard the answer unread."""
        if self._client_ended or self.transport.is_closing():
            self.transport.close()
            return
        self._lingering = self._ignores_input = True
        self._since, self._bytes = self.loop.time(), 0
        self.transport.write_eof()
        self.flow.resume_reading()

    def end_answer(self) -> None:
        """Closes after an answer; lingers while the request's body is still coming."""
        if self.cycle.more_body:
            self.linger()
        else:
            self.transport.close()

    @property
    def waits(self) -> float | None:
        """Since when this connection waits for its client; None while a request is served."""
        serves = self._running and not self._running[0].more_body
        return None if serves else self._since

    def check(self, now: float) -> None:
        """Closes this connection when it has taken too long; `now` in the loop's seconds."""
        seconds = now - self._since
        if self._lingering and seconds > LINGER_SECONDS:
            self.transport.abort()
        elif self.waits is not None and not self._ignores_input and not self.transport.is_closing():
            self._check_waiting(seconds)
        self._check_reading(now)

    def _check_waiting(self, seconds: float) -> None:
        body = self.cycle and self.cycle.more_body
        most = HEAD_SECONDS if self._in_head else self.timeout_keep_alive
        if not (self._in_head and self._raw) and not body and seconds > most:
            self.transport.close()
        elif (self._in_head and seconds > HEAD_SECONDS) or (
            body and seconds > PAUSE_SECONDS + self._bytes / SLOWEST_BYTES
        ):
            self.refuse(408, "The request took too long")

    def _check_reading(self, now: float) -> None:
        self.unread = self.transport.get_write_buffer_size()
        if not self.unread or self.unread > self._most_unread:
            self._most_unread, self.unread_since = self.unread, now
        taken = self._most_unread - self.unread
        if now - self.unread_since > PAUSE_SECONDS + taken / SLOWEST_BYTES:
            self.transport.abort()


class _LingeringTransport:
    """The transport for one request with a body: to close it is to linger."""

    def __init__(self, connection: Connection, transport: Any) -> None:
        self.close = connection.end_answer
        self.write, self.is_closing = transport.write, transport.is_closing


def _make_room() -> None:
    """Closes the connection that has waited longest for its client."""
    waiting = [each for each in Connection.open if each.waits is not None]
    if waiting:
        oldest = min(waiting, key=lambda each: each.waits or 0)
        Connection.open.discard(oldest)
        oldest.transport.abort()


def check_all(now: float) -> None:
    """Closes slow connections, and the slowest readers above MOST_UNREAD_BYTES."""
    for each in tuple(Connection.open):
        each.check(now)
    total = sum(each.unread for each in Connection.open)
    for each in sorted(Connection.open, key=lambda each: each.unread_since):
        if total <= MOST_UNREAD_BYTES:
            break
        total -= each.unread
        if each.unread:
            each.transport.abort()
