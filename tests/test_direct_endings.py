"""How connections end while an application that needs no task owes them an answer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from app.connections import Connection, check_all
from tests.test_direct import REQUEST, Application, answers, rest, send, serve, until


def waiting() -> Application:
    app = Application()
    app.waits = True
    return app


def answered(app: Application) -> None:
    app.answer(app.waiting[0])


def handed_on(app: Application) -> None:
    app.waiting[0].hand_on()


ENDS = pytest.mark.parametrize("end", [answered, handed_on])


@ENDS
def test_a_server_that_ends_answers_first_and_then_closes(end: Callable[..., None]) -> None:
    app = waiting()

    async def client(connection: socket.socket) -> None:
        await send(connection, REQUEST)
        await until(lambda: len(app.waiting) == 1)
        (served,) = Connection.open
        served.shutdown()
        end(app)
        assert (await rest(connection)).endswith(b"connection: close\r\n\r\n")

    serve(app, client)


@ENDS
def test_a_client_that_closes_its_side_has_its_answer(end: Callable[..., None]) -> None:
    app = waiting()

    async def client(connection: socket.socket) -> None:
        await send(connection, REQUEST)
        await until(lambda: len(app.waiting) == 1)
        (served,) = Connection.open
        connection.shutdown(socket.SHUT_WR)
        await until(lambda: served._client_ended)
        end(app)
        assert (await rest(connection)).startswith(b"HTTP/1.1 302 ")

    serve(app, client)


@ENDS
def test_what_is_wrong_behind_a_request_is_refused_after_its_answer(
    end: Callable[..., None],
) -> None:
    app = waiting()

    async def client(connection: socket.socket) -> None:
        await send(connection, REQUEST + b"garbage\r\n\r\n")
        await until(lambda: len(app.waiting) == 1)
        end(app)
        first, second = (await rest(connection)).split(b"HTTP/1.1 ")[1:]
        assert (first[:3], second[:3]) == (b"302", b"400")

    serve(app, client)


def test_who_left_is_told_nothing_and_costs_nothing() -> None:
    app = waiting()

    async def client(connection: socket.socket) -> None:
        await send(connection, REQUEST)
        await until(lambda: len(app.waiting) == 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
        connection.close()
        await until(lambda: app.waiting[0].left)
        answered(app)

    serve(app, client)
    assert app.in_tasks == 0


def test_a_request_that_is_served_is_no_idle_connection() -> None:
    app = waiting()

    async def client(connection: socket.socket) -> None:
        await send(connection, REQUEST)
        await until(lambda: len(app.waiting) == 1)
        check_all(asyncio.get_running_loop().time() + 10**6)
        answered(app)
        await answers(connection, 1)
        check_all(asyncio.get_running_loop().time() + 10**6)
        assert await rest(connection) == b""

    serve(app, client)
