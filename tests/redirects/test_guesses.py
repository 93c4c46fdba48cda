"""The front refuses guesses by itself: neither Flask nor the database is asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from app.asgi import ThreadedWsgi
from app.redirects.batching import LoopRedis
from app.redirects.connection import RedisConnection
from app.redirects.front import Front
from app.redirects.links import handshake
from app.redirects.quotas import wrong_codes
from app.routes.origins import headers_for
from testkit.servers import Postgres, Redis
from tests.conftest import Api
from tests.redirects.test_front import Answer, ask, opened, run, scope

pytestmark = pytest.mark.services

HERE = "https://app.example.com"


@pytest.fixture
def flasks() -> list[str]:
    """The paths that Flask would have been asked for."""
    return []


@pytest.fixture
def front(redis_server: Redis, flasks: list[str]) -> Front:
    def flask(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        flasks.append(environ["PATH_INFO"])
        start("500 Internal Server Error", [])
        return [b""]

    redis = LoopRedis(RedisConnection(redis_server.url, handshake))
    return Front(ThreadedWsgi(flask, 4), redis, 0)


def test_a_refused_address_is_told_so_by_the_front_and_follows_what_the_cache_has(
    bound: Callable[..., Api],
    front: Front,
    flasks: list[str],
    redis_server: Redis,
    postgres_server: Postgres,
) -> None:
    stores = {"database_url": postgres_server.url, "redis_url": redis_server.url}
    code = bound(limits="on", limit_wrong_codes=1, **stores).url()["short_code"]

    async def main(app: Front) -> list[Answer]:
        await opened(app)
        wrong_codes.count("127.0.0.1")
        postgres_server.kill()
        paths = ("/guess", f"/{code}", "/other")
        return [await ask(app, scope("GET", path)) for path in paths]

    try:
        guess, hit, other = run(front, main)
    finally:
        postgres_server.start()
    assert [each[0] for each in (guess, hit, other)] == [429, 302, 429]
    assert guess[1]["ratelimit-policy"] == '"wrong-codes";q=1;w=60'
    assert json.loads(guess[2])["reason"] == "limited"
    assert flasks == []


def test_a_browser_gets_its_page_from_flask_unless_flask_has_many_such_requests(
    bound: Callable[..., Api], front: Front, flasks: list[str], redis_server: Redis
) -> None:
    bound(limits="on", limit_wrong_codes=1, redis_url=redis_server.url)

    async def main(app: Front) -> list[Answer]:
        await opened(app)
        wrong_codes.count("127.0.0.1")
        html = (b"accept", b"text/html,*/*;q=0.8")
        answers = [await ask(app, scope("GET", "/guess", html))]
        app._with_flask = 4
        return [*answers, await ask(app, scope("GET", "/other", html))]

    page, told = run(front, main)
    assert (page[0], flasks) == (500, ["/guess"])
    assert (told[0], told[1]["content-type"]) == (429, "application/json")


def test_a_guess_for_another_site_is_refused_by_the_front_too(
    bound: Callable[..., Api], front: Front, flasks: list[str], redis_server: Redis
) -> None:
    bound(limits="on", limit_wrong_codes=1, redis_url=redis_server.url)
    front.allow(partial(headers_for, frozenset((HERE,))))

    async def main(app: Front) -> list[Answer]:
        await opened(app)
        wrong_codes.count("127.0.0.1")
        origins = (b"origin", b"x"), (b"origin", HERE.encode())
        return [await ask(app, scope("GET", "/guess", each)) for each in origins]

    foreign, allowed = run(front, main)
    assert ([foreign[0], allowed[0]], flasks) == ([429, 429], [])
    assert "access-control-allow-origin" not in foreign[1]
    assert allowed[1]["access-control-allow-origin"] == HERE
