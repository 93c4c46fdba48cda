"""One request that an application answers without a task, or hands on to its ASGI part."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import HEADER_VALUE_RE, STATUS_LINE

Begin = Callable[[Any, "Exchange"], bool]
"""What an application with `begin` does for the scope of a GET; False: nothing."""


class _Connection(Protocol):
    transport: Any
    flow: Any
    server_state: Any

    def on_response_complete(self) -> None: ...

    def hand_on(self, exchange: Exchange) -> None: ...


class _NoEvent:
    """Nobody waits for the body of a GET without one."""

    def set(self) -> None:
        pass


class Exchange:
    """The request that `begin` took on: it calls one of `answer` and `hand_on`, in a later turn.

    For the connection it is what uvicorn's cycle is. That one, its task and the two messages of
    an answer cost a third of a cached redirect.
    """

    __slots__ = (
        "_connection",
        "disconnected",
        "keep_alive",
        "more_body",
        "response_complete",
        "scope",
    )
    response_started, body, message_event = False, b"", _NoEvent()

    def __init__(self, connection: _Connection, scope: Any, keep_alive: bool) -> None:
        self._connection, self.scope, self.keep_alive = connection, scope, keep_alive
        self.more_body = True  # until the parser is through
        self.disconnected = self.response_complete = False

    @property
    def left(self) -> bool:
        """Whether nobody waits for an answer any more."""
        return self.disconnected or self._connection.transport.is_closing()

    def answer(self, status: int, headers: bytes) -> None:
        """Sends an answer without a body, unless it cannot be sent yet: see `response_complete`.

        `headers`: by lines_of.
        """
        connection, keep_alive = self._connection, self.keep_alive
        if connection.flow.write_paused:
            return
        start = _start(status, *connection.server_state.default_headers)
        end = b"\r\n" if keep_alive else b"connection: close\r\n\r\n"
        connection.transport.write(start + headers + end)
        self.response_complete = True
        if not keep_alive:
            connection.transport.close()
        connection.on_response_complete()

    def hand_on(self) -> None:
        """Gives the request to the ASGI application."""
        self._connection.hand_on(self)


def lines_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Header lines as uvicorn sends them; raises ValueError for a value that it refuses."""
    lines = [(name.lower(), value) for name, value in headers]
    if any(HEADER_VALUE_RE.search(value) for _, value in lines):
        raise ValueError("invalid header value")
    return b"".join([b"%b: %b\r\n" % line for line in lines])


@lru_cache(maxsize=20)
def _start(status: int, *headers: tuple[bytes, bytes]) -> bytes:
    """The status line and the server's own headers, such as the date."""
    return STATUS_LINE[status] + b"".join([b"%b: %b\r\n" % header for header in headers])
