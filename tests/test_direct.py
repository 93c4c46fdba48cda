"""An application that answers without a task, on real connections of this process."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from app.connections import Connection
from app.direct import Exchange, lines_of
from testkit.machine import HANGS_SECONDS

LONG = b"x" * 2**20
REQUEST = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"


class Application:
    """Answers without a task, and with one what it cannot: the same header each time."""

    def __init__(self, value: bytes = b"short") -> None:
        self.headers = [(b"X-Value", value)]
        self.direct, self.in_tasks, self.broken = 0, 0, False
        self.waits, self.waiting = False, list[Exchange]()

    def begin(self, _scope: Any, exchange: Exchange) -> bool:
        if self.broken:
            raise ArithmeticError("broken")
        if self.waits:
            self.waiting.append(exchange)
        else:
            asyncio.get_running_loop().call_soon(self.answer, exchange)
        return True

    def answer(self, exchange: Exchange) -> None:
        lines = lines_of([*self.headers, (b"Content-Length", b"0")])
        exchange.answer(302, lines)
        if exchange.response_complete:
            self.direct += 1
        else:
            exchange.hand_on()

    async def __call__(self, _scope: Any, _receive: Any, send: Callable[..., Any]) -> None:
        self.in_tasks += 1
        headers = [*self.headers, (b"Content-Length", b"0")]
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def serve(app: Application, client: Callable[[socket.socket], Awaitable[None]]) -> None:
    """Runs `client` with a connection to a server that has small buffers."""

    async def main() -> None:
        config = Config(app, log_config=None, ws="none", access_log=False, proxy_headers=False)
        config.load()
        loop, listener = asyncio.get_running_loop(), socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        server = await loop.create_server(
            lambda: Connection(config, ServerState(), {}), sock=listener
        )
        try:
            async with asyncio.timeout(HANGS_SECONDS):
                with socket.socket() as connection:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    connection.setblocking(False)
                    await loop.sock_connect(connection, listener.getsockname())
                    await client(connection)
                await until(lambda: not Connection.open)
        finally:
            server.close()
            Connection.open.clear()  # after a failure

    asyncio.run(main())


async def send(connection: socket.socket, request: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(connection, request)


async def answers(connection: socket.socket, number: int) -> bytes:
    """What comes until there were so many answers."""
    got = bytearray()
    while got.count(b"\r\n\r\n", -4) < 1 or got.count(b"HTTP/1.1 ") < number:
        more = await asyncio.get_running_loop().sock_recv(connection, 2**20)
        assert more, got
        got += more
    return bytes(got)


async def rest(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    got = b""
    while more := await asyncio.get_running_loop().sock_recv(connection, 2**20):
        got += more
    return got


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.005)


def test_while_the_client_does_not_read_a_task_waits_with_the_next_answer() -> None:
    app = Application(LONG)

    async def client(connection: socket.socket) -> None:
        await send(connection, REQUEST)
        await until(lambda: app.direct == 1)
        await send(connection, REQUEST)
        await until(lambda: app.in_tasks == 1)
        one, other = (await answers(connection, 2)).split(b"HTTP/1.1 ")[1:]
        assert one == other
        assert one.startswith(b"302 Found\r\nx-value: xxx")
        await send(connection, REQUEST)
        await answers(connection, 1)

    serve(app, client)
    assert (app.direct, app.in_tasks) == (2, 1)


def test_requests_behind_another_one_get_tasks_in_their_order() -> None:
    app = Application()

    async def client(connection: socket.socket) -> None:
        await send(connection, REQUEST * 5)
        found = await answers(connection, 5)
        assert len(set(found.split(b"HTTP/1.1 ")[1:])) == 1

    serve(app, client)
    assert (app.direct, app.in_tasks) == (1, 4)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
        b"GET /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"GET /%61 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"OTHER /a HTTP/1.1\r\nHost: h\r\n\r\n",
    ],
)
def test_whatever_is_no_plain_get_has_a_task(request_bytes: bytes) -> None:
    app = Application()

    async def client(connection: socket.socket) -> None:
        await send(connection, request_bytes)
        assert (await answers(connection, 1)).startswith(b"HTTP/1.1 302 Found\r\nx-value: short")

    serve(app, client)
    assert (app.direct, app.in_tasks) == (0, 1)


def test_a_bug_before_the_answer_leaves_it_to_the_task(caplog: pytest.LogCaptureFixture) -> None:
    app = Application()
    app.broken = True

    async def client(connection: socket.socket) -> None:
        await send(connection, REQUEST)
        await answers(connection, 1)

    with caplog.at_level(logging.ERROR):
        serve(app, client)
    assert app.in_tasks == 1
    assert "ArithmeticError: broken" in caplog.text


def test_a_header_that_would_break_the_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid header value"):
        lines_of([(b"Location", b"a\r\nb: c")])
