"""The clock of a connection, moved by hand: who takes too long is sent away, and an honest slow
client is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from app import connections
from app.connections import Connection, check_all
from testkit.machine import HANGS_SECONDS

_BIG = b"x" * 30_000_000
_KEEP_ALIVE = 75  # seconds, as in app/serving.py


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Reads the body, and answers with as much as the path asks for."""
    if scope["path"] == "/bug":
        raise ArithmeticError
    if scope["path"] == "/long":
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return
    while (await receive()).get("more_body"):
        pass
    content = _BIG if scope["path"] == "/big" else b"done"
    headers = [(b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


class Client:
    """One connection to a server in this process."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        clock: float,
    ) -> None:
        self.reader, self.writer, self.clock = reader, writer, clock
        self.state: ServerState

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        await asyncio.sleep(0.05)

    async def later(self, seconds: float) -> None:
        """What the server does `seconds` after the client came, its clock being otherwise that of
        the machine.
        """
        check_all(self.clock + seconds)
        await asyncio.sleep(0.05)

    @property
    def is_open(self) -> bool:
        return len(Connection.open) == 1

    async def answer(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), HANGS_SECONDS)


def run(main: Callable[[Client], Awaitable[None]]) -> None:
    async def whole() -> None:
        settings: dict[str, Any] = {"lifespan": "off", "log_config": None, "access_log": False}
        config = Config(application, ws="none", timeout_keep_alive=_KEEP_ALIVE, **settings)
        state = ServerState()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(config, state, {}), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        clock = loop.time()  # before it comes, so that it is never cut off too early
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.05)
        try:
            client = Client(reader, writer, clock)
            client.state = state
            await main(client)
        finally:
            writer.close()
            for each in tuple(Connection.open):
                each.transport.abort()
            server.close()
            await asyncio.sleep(0.05)

    asyncio.run(whole())


_GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
_POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n"


def test_a_silent_connection_ends_after_the_time_for_a_head() -> None:
    async def main(client: Client) -> None:
        await client.later(connections.HEAD_SECONDS - 1)
        assert client.is_open
        await client.later(connections.HEAD_SECONDS + 5)
        assert await client.answer() == b""

    run(main)


@pytest.mark.parametrize("before", [b"", _GET])
def test_half_a_head_ends_so_too_with_an_answer_whatever_trickles_in(before: bytes) -> None:
    async def main(client: Client) -> None:
        await client.send(before + b"GET / HTTP/1.1\r\nX:")
        await client.send(b" y\r\nZ: y\r\n")
        await client.later(connections.HEAD_SECONDS - 2)
        assert client.is_open
        await client.later(connections.HEAD_SECONDS + 5)
        answer = await client.answer()
        assert answer.count(b"HTTP/1.1 200 ") == (1 if before else 0)
        assert b"HTTP/1.1 408 Request Timeout" in answer

    run(main)


def test_half_a_body_ends_and_a_slow_one_has_time_as_long_as_it_moves() -> None:
    async def main(client: Client) -> None:
        await client.send(_POST + b"x" * (10 * connections.SLOWEST_BYTES))
        await client.later(connections.PAUSE_SECONDS + 9)
        assert client.is_open
        await client.later(connections.PAUSE_SECONDS + 15)
        assert b"HTTP/1.1 408 " in await client.answer()

    run(main)


def test_a_client_that_reads_nothing_is_cut_off_and_one_that_reads_slowly_is_not() -> None:
    async def main(client: Client) -> None:
        await client.send(_GET.replace(b"/ ", b"/big "))
        await client.later(0)
        await client.later(connections.PAUSE_SECONDS - 1)
        assert client.is_open
        await client.reader.readexactly(10_000_000)
        await asyncio.sleep(0.3)
        await client.later(connections.PAUSE_SECONDS + 30)
        assert client.is_open
        await client.later(10**6)
        assert not Connection.open

    run(main)


def test_what_many_leave_unread_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(client: Client) -> None:
        await client.send(_GET.replace(b"/ ", b"/big "))
        await client.later(0)
        assert client.is_open
        monkeypatch.setattr(connections, "MOST_UNREAD_BYTES", 1_000_000)
        await client.later(1)
        assert not Connection.open

    run(main)


def test_an_idle_connection_that_was_served_is_left_to_the_keep_alive_time() -> None:
    async def main(client: Client) -> None:
        await client.send(_GET)
        await client.later(connections.HEAD_SECONDS + 5)
        await client.send(_GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert (await client.answer()).count(b"HTTP/1.1 200 ") == 2

    run(main)


def test_an_idle_connection_ends_after_the_keep_alive_time() -> None:
    async def main(client: Client) -> None:
        await client.send(_GET)
        await client.later(_KEEP_ALIVE - 5)
        assert client.is_open
        await client.later(_KEEP_ALIVE + 5)
        assert (await client.answer()).count(b"HTTP/1.1 200 ") == 1

    run(main)


def test_who_is_refused_and_neither_reads_nor_leaves_is_cut_off() -> None:
    async def main(client: Client) -> None:
        await client.send(b"garbage\r\n\r\n")
        await client.later(connections.LINGER_SECONDS - 1)
        assert client.is_open
        await client.later(connections.LINGER_SECONDS + 5)
        assert not Connection.open

    run(main)


def test_a_bug_is_the_usual_error_and_a_request_that_is_interrupted_has_no_answer() -> None:
    async def bug(client: Client) -> None:
        await client.send(_GET.replace(b"/ ", b"/bug "))
        answer = await client.answer()
        assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert b'"request_id": "' in answer

    async def interrupted(client: Client) -> None:
        await client.send(_GET.replace(b"/ ", b"/long "))
        for task in client.state.tasks:
            task.cancel()
        with suppress(ConnectionResetError):
            assert await client.answer() == b""

    run(bug)
    run(interrupted)
