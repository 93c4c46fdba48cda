"""The front beside a Redis of its own: what it answers, what Flask does, Redis failures."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
from flask import Flask

from app import logs
from app.asgi import ThreadedWsgi
from app.redirects.batching import LoopRedis
from app.redirects.connection import RedisConnection
from app.redirects.front import Front
from app.redirects.links import handshake
from testkit.servers import HANGS_SECONDS, Postgres, Redis, Silent, free_port
from tests.conftest import Api
from tests.logbook import Log

pytestmark = pytest.mark.services

Asgi = Callable[[dict[str, Any], Any, Any], Awaitable[None]]
Answer = tuple[int, dict[str, str], bytes]


def scope(method: str, target: str, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"sho.rt"), *headers],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1234),
    }


async def ask(app: Asgi, request: dict[str, Any], *chunks: bytes) -> Answer:
    """Sends one request, its body in chunks, straight to the application."""
    waiting = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks)}
        for number, chunk in enumerate(chunks or (b"",), 1)
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app(request, receive, send)
    headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message["body"] for message in sent[1:])


async def opened(front: Front) -> None:
    """The first request opens the connection; those before it is open go to Flask."""
    async with asyncio.timeout(HANGS_SECONDS):
        while not front._redis.connection():
            await asyncio.sleep(0.01)


def run(app: Front, main: Callable[[Front], Awaitable[Any]]) -> Any:
    async def whole() -> Any:
        try:
            return await main(app)
        finally:
            app._redis.close()
            await asyncio.sleep(0.01)

    return asyncio.run(whole())


@pytest.fixture
def front(shared: Api, session_app: Flask, redis_server: Redis) -> Callable[..., Front]:
    def make(url: str = "", trusted_proxies: int = 0) -> Front:
        return Front(
            ThreadedWsgi(session_app, 4),
            LoopRedis(RedisConnection(url or redis_server.url, handshake)),
            trusted_proxies,
        )

    return make


def test_all_requests_of_a_moment_are_answered_and_each_is_a_click(
    front: Callable[..., Front], shared: Api
) -> None:
    links = [shared.url(f"https://example.com/{number}") for number in range(5)]

    async def main(app: Front) -> list[Answer]:
        await opened(app)
        answers = await asyncio.gather(
            *(ask(app, scope("GET", f"/{link['short_code']}")) for link in links * 4)
        )
        app._report()
        return list(answers)

    answers = run(front(), main)
    for number, (status, headers, body) in enumerate(answers):
        assert (status, headers["location"], headers["x-cache"], body) == (
            302,
            links[number % 5]["original_url"],
            "HIT",
            b"",
        )
    assert [shared.clicks(link) for link in links] == [4] * 5


def test_who_follows_is_taken_from_the_headers(front: Callable[..., Front], shared: Api) -> None:
    link = shared.url()
    headers = [
        (b"user-agent", b"one"),
        (b"user-agent", b"two"),
        (b"referer", b"https://r.example/"),
        (b"x-forwarded-for", b"1.1.1.1, 203.0.113.9"),
    ]

    async def main(app: Front) -> Answer:
        await opened(app)
        return await ask(
            app, scope("GET", f"/{link['short_code']}", *headers, (b"x-request-id", b"mine"))
        )

    assert run(front(trusted_proxies=1), main)[1]["x-request-id"] == "mine"
    details = shared.get("/events?type=clicked")[0]["details"]
    assert (details["ip"], details["user_agent"], details["referrer"]) == (
        "203.0.113.0",
        "one,two",
        "https://r.example/",
    )


def test_everything_else_is_answered_as_by_flask(front: Callable[..., Front], shared: Api) -> None:
    link = shared.url()
    gone = shared.url("https://gone.example/")
    shared.client.put(f"/urls/{gone['id']}", json={"is_active": False})

    async def main(app: Front) -> list[int]:
        # Its connection is not open yet.
        first = (await ask(app, scope("GET", f"/{link['short_code']}")))[0]
        await opened(app)
        requests = [
            scope("GET", "/nosuch"),
            scope("GET", f"/{gone['short_code']}"),
            scope("GET", "/users"),
            scope("HEAD", f"/{link['short_code']}"),
            scope("GET", f"/{link['short_code']}.qr"),
        ]
        return [first, *[(await ask(app, request))[0] for request in requests]]

    assert run(front(), main) == [302, 404, 410, 200, 302, 200]
    assert shared.clicks(link) == 1


def test_a_hit_and_a_404_cost_one_round_trip_to_redis_and_a_miss_two(
    front: Callable[..., Front], shared: Api, held: redis.Redis
) -> None:
    cached, forgotten, gone = shared.url(), shared.url(), shared.url()
    shared.client.put(f"/urls/{gone['id']}", json={"is_active": False})
    codes = {
        "hit": cached["short_code"],
        "miss": forgotten["short_code"],
        "deactivated": gone["short_code"],
        "unknown": "nosuch",
    }

    def reads() -> int:
        """How often Redis has read from a connection, this time included."""
        return int(held.info("stats")["total_reads_processed"])

    async def main(app: Front) -> dict[str, tuple[int, int]]:
        found = {}
        for _ in range(2):  # the first round opens connections and loads scripts
            await opened(app)
            held.delete(f"link:{codes['miss']}")
            for name, code in codes.items():
                before = reads()
                status = (await ask(app, scope("GET", f"/{code}")))[0]
                found[name] = status, reads() - before - 1
        return found

    assert run(front(), main) == {
        "hit": (302, 1),
        "miss": (302, 2),
        "deactivated": (410, 1),
        "unknown": (404, 1),
    }


def test_a_miss_is_503_while_the_database_is_unavailable_and_a_browser_gets_a_page_for_a_dead_link(
    front: Callable[..., Front],
    bound: Callable[..., Api],
    redis_server: Redis,
    postgres_server: Postgres,
) -> None:
    api = bound(database_url=postgres_server.url, redis_url=redis_server.url)
    cached = api.url()["short_code"]

    async def main(app: Front) -> list[tuple[int, str]]:
        await opened(app)
        html = (b"accept", b"text/html")
        answers = [await ask(app, scope("GET", "/nosuch", html))]
        postgres_server.kill()
        answers += [await ask(app, scope("GET", path)) for path in ("/nosuch", f"/{cached}")]
        return [(status, headers.get("content-type", "")) for status, headers, _ in answers]

    try:
        found = run(front(), main)
    finally:
        postgres_server.start()
    page = "text/html; charset=utf-8"
    assert found == [(404, page), (503, "application/json"), (302, "")]


def test_bodies_reach_flask_complete_and_too_large_ones_are_refused(
    front: Callable[..., Front],
) -> None:
    json, chunked = (b"content-type", b"application/json"), (b"transfer-encoding", b"chunked")

    async def main(app: Front) -> list[int]:
        chunks = await ask(
            app, scope("POST", "/shorten", json, chunked), b'{"url": "https://exam', b'ple.com/"}'
        )
        announced = await ask(
            app, scope("POST", "/shorten", json, (b"content-length", b"20000000"))
        )
        endless = await ask(app, scope("POST", "/shorten", json, chunked), *[b" " * 1_000_000] * 12)
        return [answer[0] for answer in (chunks, announced, endless)]

    assert run(front(), main) == [201, 413, 413]


def test_health_and_metrics_answer_while_all_threads_wait() -> None:
    waiting = threading.Event()

    def application(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        if environ["PATH_INFO"] == "/urls":
            waiting.wait(HANGS_SECONDS)
        start("200 OK", [])
        return [b""]

    async def main(app: ThreadedWsgi) -> list[int]:
        stuck = [asyncio.ensure_future(ask(app, scope("GET", "/urls"))) for _ in range(3)]
        try:
            async with asyncio.timeout(HANGS_SECONDS / 2):  # the others wait for longer
                paths = "/health", "/health/ready", "/metrics"
                return [(await ask(app, scope("GET", path)))[0] for path in paths]
        finally:
            waiting.set()
            await asyncio.gather(*stuck)

    assert asyncio.run(main(ThreadedWsgi(application, 2))) == [200, 200, 200]


def test_what_breaks_below_flask_reaches_the_server_and_a_client_that_left_harms_nobody() -> None:
    go_on = threading.Event()

    def application(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        asked.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] == "/broken":
            raise ArithmeticError("broken")
        go_on.wait(HANGS_SECONDS)
        start("200 OK", [])
        return [b"done"]

    async def main(app: ThreadedWsgi) -> bytes:
        asyncio.get_running_loop().set_exception_handler(
            lambda _loop, context: wrong.append(context)
        )
        with pytest.raises(ArithmeticError, match="broken"):
            await ask(app, scope("GET", "/broken"))
        left = asyncio.ensure_future(ask(app, scope("GET", "/slow")))
        while len(asked) < 2:
            await asyncio.sleep(0.01)
        left_too = asyncio.ensure_future(ask(app, scope("DELETE", "/never-begun")))
        await asyncio.sleep(0.01)
        left.cancel()
        left_too.cancel()
        await asyncio.sleep(0.01)
        go_on.set()
        return (await ask(app, scope("GET", "/next")))[2]

    wrong: list[Any] = []
    asked: list[str] = []
    assert asyncio.run(main(ThreadedWsgi(application, 1))) == b"done"
    assert not wrong
    assert asked == ["/broken", "/slow", "/next"]


def test_one_request_after_the_other_is_answered_by_one_thread() -> None:
    threads: list[int] = []

    def application(_environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        threads.append(threading.get_ident())
        start("200 OK", [])
        return [b""]

    async def main(app: ThreadedWsgi) -> None:
        for _ in range(10):
            await ask(app, scope("GET", "/urls"))

    asyncio.run(main(ThreadedWsgi(application, 8)))
    assert len(set(threads)) == 1


def test_lines_are_written_together_and_that_a_request_started_while_it_still_runs(
    front: Callable[..., Front], log: Log
) -> None:
    go_on = threading.Event()
    seen: list[str] = []

    def slow(_environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        time.sleep(0.1)  # as when it had to wait for its thread
        logs.request_lines.add(logs.Line(0, "1", "/urls", status=None))
        go_on.wait(HANGS_SECONDS)
        start("200 OK", [])
        return []

    async def main(app: Front) -> str:
        logs.request_lines.held = True
        logs.request_lines.add(logs.Line(0, "1", "/first", status=None))
        at_once = log.path.read_text()
        request = asyncio.ensure_future(
            ask(Front(ThreadedWsgi(slow, 1), app._redis, 0), scope("GET", "/urls"))
        )
        async with asyncio.timeout(HANGS_SECONDS / 2):  # the request waits for longer
            while len(log.lines()) < 2:
                await asyncio.sleep(0.01)
        seen.extend(entry["path"] for entry in log.entries())
        go_on.set()
        await request
        return at_once

    assert run(front(), main) == ""
    assert seen == ["/first", "/urls"]
    log.configure()
    assert not logs.request_lines.held


def test_whoever_has_an_answer_from_flask_finds_its_lines_in_the_log(
    front: Callable[..., Front], session_app: Flask, log: Log
) -> None:
    async def main(app: Front) -> list[str]:
        logs.request_lines.held = True
        flask = ThreadedWsgi(session_app, 1, answered=logs.request_lines.write)
        await ask(Front(flask, app._redis, 0), scope("GET", "/nosuch/path"))
        return [entry["message"] for entry in log.entries()]

    assert run(front(), main) == ["request started", "request finished"]


def test_a_redis_that_stops_answering_delays_what_was_asked_and_nothing_after_it(
    front: Callable[..., Front], shared: Api, redis_server: Redis
) -> None:
    link = shared.url()

    async def main(app: Front) -> list[int]:
        await opened(app)
        redis_server.send(signal.SIGSTOP)
        try:
            asked = await asyncio.gather(
                *(ask(app, scope("GET", f"/{link['short_code']}")) for _ in range(3))
            )
            later = await ask(app, scope("GET", f"/{link['short_code']}"))
        finally:
            redis_server.send(signal.SIGCONT)
        return [answer[0] for answer in (*asked, later)]

    assert run(front(), main) == [302] * 4


def test_a_lost_script_is_loaded_again_and_no_click_is_lost_or_doubled(
    front: Callable[..., Front], shared: Api, held: redis.Redis
) -> None:
    link = shared.url()

    async def main(app: Front) -> None:
        await opened(app)
        held.script_flush()
        assert (await ask(app, scope("GET", f"/{link['short_code']}")))[0] == 302
        await asyncio.sleep(1.1)
        await opened(app)
        assert (await ask(app, scope("GET", f"/{link['short_code']}")))[1]["x-cache"] == "HIT"

    run(front(), main)
    assert shared.clicks(link) == 2


def test_where_no_redis_is_flask_answers(front: Callable[..., Front], shared: Api) -> None:
    link = shared.url()

    async def main(app: Front) -> int:
        status = 0
        for _ in range(3):
            status = (await ask(app, scope("GET", f"/{link['short_code']}")))[0]
            await asyncio.sleep(0.05)
        assert app._redis.connection() is None
        return status

    with Silent() as silent:
        for url in (
            f"redis://127.0.0.1:{free_port()}/0",
            f"redis://user:secret@127.0.0.1:{silent.port}/1",
            "unix:///nowhere/redis.sock",
        ):
            assert run(front(url), main) == 302


def test_the_server_starts_and_ends_it(front: Callable[..., Front]) -> None:
    sent: list[str] = []

    async def receive() -> Any:
        return {}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(front()({"type": "lifespan"}, receive, send))  # type: ignore[arg-type]
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
