"""The front's way without a task: what it answers, and what it leaves to one."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
import redis
from flask import Flask

from app.asgi import ThreadedWsgi
from app.direct import Exchange
from app.redirects.batching import LoopRedis
from app.redirects.clicks import Outcome
from app.redirects.connection import STREAM, RedisConnection
from app.redirects.front import Front
from app.redirects.links import handshake
from testkit.servers import HANGS_SECONDS, Redis
from tests.conftest import Api
from tests.redirects.test_front import ask, opened, run, scope

pytestmark = pytest.mark.services


class Transport:
    """Of a client; it keeps what is written."""

    def __init__(self) -> None:
        self.written, self.closing = b"", False

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True


class Flow:
    write_paused = False


class State:
    default_headers = ((b"date", b"today"),)


class Client:
    """The connection of one exchange; it knows how the exchange ended."""

    def __init__(self, request: Any) -> None:
        self.transport, self.flow, self.server_state = Transport(), Flow(), State()
        self.ended = asyncio.Event()
        self.handed_on = False
        self.exchange = Exchange(self, request, True)

    def on_response_complete(self) -> None:
        self.ended.set()

    def hand_on(self, _exchange: Exchange) -> None:
        self.handed_on = True
        self.ended.set()

    async def end(self) -> None:
        async with asyncio.timeout(HANGS_SECONDS):
            await self.ended.wait()


@pytest.fixture
def front(shared: Api, session_app: Flask, redis_server: Redis) -> Front:
    own = RedisConnection(redis_server.url, handshake)
    return Front(ThreadedWsgi(session_app, 4), LoopRedis(own), 0)


def begun(app: Front, code: str) -> Client:
    client = Client(scope("GET", f"/{code}"))
    assert app.begin(client.exchange.scope, client.exchange)
    assert not client.ended.is_set(), "never within begin"
    return client


def test_a_cached_link_is_answered_at_once_and_its_click_recorded(
    front: Front, shared: Api
) -> None:
    link = shared.url()

    async def main(app: Front) -> Client:
        await opened(app)
        client = begun(app, link["short_code"])
        await client.end()
        return client

    client = run(front, main)
    head, body = client.transport.written.split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 302 Found\r\ndate: today\r\nlocation: https://example.com/")
    assert (body, client.handed_on, client.exchange.response_complete) == (b"", False, True)
    assert "asked" not in client.exchange.scope
    assert shared.clicks(link) == 1


def test_what_is_not_cached_is_handed_on_with_what_redis_said(
    front: Front, shared: Api, held: redis.Redis
) -> None:
    link = shared.url()
    held.delete(f"link:{link['short_code']}")

    async def main(app: Front) -> tuple[Client, Any]:
        await opened(app)
        client = begun(app, link["short_code"])
        await client.end()
        asked = client.exchange.scope["asked"]
        assert (asked.click.asked, asked.click.outcome) == (True, Outcome.NOT_RECORDED)
        return client, await ask(app, client.exchange.scope)

    client, (status, headers, _) = run(front, main)
    assert (client.handed_on, client.transport.written) == (True, b"")
    assert (status, headers["x-cache"]) == (302, "MISS")
    assert shared.clicks(link) == 1


def test_without_an_answer_of_redis_it_is_handed_on_as_unknown_and_is_one_click(
    front: Front, shared: Api, redis_server: Redis
) -> None:
    link = shared.url()

    async def main(app: Front) -> tuple[Client, int]:
        await opened(app)
        with redis_server.frozen():
            client = begun(app, link["short_code"])
            await client.end()
            assert client.exchange.scope["asked"].click.outcome is Outcome.UNKNOWN
            return client, (await ask(app, client.exchange.scope))[0]

    client, status = run(front, main)
    assert (client.handed_on, client.exchange.scope["must_run"], status) == (True, True, 302)
    assert shared.clicks(link) == 1


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("how", ["disconnected", "closing"])
def test_whose_client_has_left_gets_no_answer_and_no_task(
    front: Front, shared: Api, held: redis.Redis, cached: bool, how: str
) -> None:
    code = shared.url()["short_code"]
    if not cached:
        held.delete(f"link:{code}")

    async def main(app: Front) -> Client:
        await opened(app)
        client, stays = begun(app, code), begun(app, code)
        if how == "closing":
            client.transport.close()
        client.exchange.disconnected = how == "disconnected"
        await stays.end()
        return client

    client = run(front, main)
    assert (client.transport.written, client.handed_on) == (b"", False)
    assert held.xlen(STREAM) == (2 if cached else 0), "a click that Redis has counts"


def test_an_answer_that_cannot_be_sent_yet_is_handed_on(front: Front, shared: Api) -> None:
    link = shared.url()

    async def main(app: Front) -> tuple[Client, Any]:
        await opened(app)
        client = begun(app, link["short_code"])
        client.flow.write_paused = True
        await client.end()
        return client, await ask(app, client.exchange.scope)

    client, (status, headers, _) = run(front, main)
    assert (client.handed_on, client.transport.written) == (True, b"")
    assert (status, headers["x-cache"]) == (302, "HIT")
    assert shared.clicks(link) == 1


def test_an_answer_that_fails_is_logged_handed_on_and_one_click(
    front: Front, shared: Api, caplog: pytest.LogCaptureFixture
) -> None:
    link, said = shared.url(), [{"X-Odd": "a\r\nb"}, {}]

    async def main(app: Front) -> tuple[Client, int]:
        await opened(app)
        app.allow(lambda _origin: said.pop(0))
        client = begun(app, link["short_code"])
        await client.end()
        return client, (await ask(app, client.exchange.scope))[0]

    with caplog.at_level(logging.ERROR, "app.redirects.front"):
        client, status = run(front, main)
    assert (client.handed_on, client.transport.written, status) == (True, b"", 302)
    assert "invalid header value" in caplog.text
    assert shared.clicks(link) == 1


def test_what_an_origin_is_told_is_made_once_and_kept_for_few_origins(
    front: Front, shared: Api
) -> None:
    code, asked_for = shared.url()["short_code"], []

    def told(origin: str) -> dict[str, str]:
        asked_for.append(origin)
        return {"X-Told": origin}

    async def main(app: Front) -> bytes:
        await opened(app)
        app.allow(told)
        for number in (1, 1, *range(150), 1):
            request = scope("GET", f"/{code}", (b"origin", b"o%d" % number))
            client = Client(request)
            app.begin(request, client.exchange)
            await client.end()
        return client.transport.written

    assert b"\r\nx-told: o1\r\n" in run(front, main)
    assert asked_for == ["o1", "o0", *(f"o{number}" for number in range(2, 150)), "o1"]


def test_it_begins_only_what_may_be_a_redirect_and_only_with_redis(
    front: Front, shared: Api
) -> None:
    code = shared.url()["short_code"]

    async def main(app: Front) -> list[bool]:
        requests = [scope("GET", f"/{code}"), scope("HEAD", f"/{code}"), scope("GET", "/health")]
        clients = [Client(request) for request in requests]
        before = app.begin(clients[0].exchange.scope, clients[0].exchange)
        await opened(app)
        return [before, *(app.begin(each.exchange.scope, each.exchange) for each in clients[1:])]

    assert run(front, main) == [False, False, False]
