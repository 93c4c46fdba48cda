"""The link cache: hits and misses, never an old link, also when Redis fails, is full or slow."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
import redis

from app import metrics
from app.redirects.connection import RedisUnavailable, redis_connection
from app.redirects.links import ACTIVE, Link, cache
from app.services import urls
from testkit.machine import Stopwatch
from testkit.servers import HANGS_SECONDS, Redis, Silent, free_port
from tests.conftest import Api, Command, pause_over

Bound = Callable[..., Api]


def follow(api: Api, code: str) -> tuple[int, str | None, str | None]:
    response = api.client.get(f"/{code}")
    return response.status_code, response.headers.get("Location"), response.headers.get("X-Cache")


# ---- hits and misses ----


@pytest.mark.services
def test_a_new_link_is_a_hit_and_an_evicted_one_a_miss_once(shared: Api, held: redis.Redis) -> None:
    code = shared.url("https://example.com/a")["short_code"]
    assert follow(shared, code) == (302, "https://example.com/a", "HIT")
    held.flushall()
    assert follow(shared, code) == (302, "https://example.com/a", "MISS")
    assert follow(shared, code) == (302, "https://example.com/a", "HIT")


def test_without_redis_every_redirect_is_a_miss_and_counted(bound: Bound) -> None:
    api = bound(redis_url="")
    url = api.url("https://example.com/a")
    assert [follow(api, url["short_code"])[2] for _ in range(3)] == ["MISS"] * 3
    assert api.clicks(url) == 3
    assert api.get("/health")["cache"] == "disabled"


@pytest.mark.services
def test_a_cached_link_expires(shared: Api, held: redis.Redis) -> None:
    code = shared.url()["short_code"]
    assert 0 < held.ttl(f"link:{code}") <= cache.ttl_seconds


@pytest.mark.services
def test_head_is_answered_from_the_cache_without_a_click(shared: Api) -> None:
    url = shared.url("https://example.com/a")
    response = shared.client.head(f"/{url['short_code']}")
    assert (response.status_code, response.headers["X-Cache"]) == (302, "HIT")
    assert shared.clicks(url) == 0


# ---- poison ----

POISONS = [b"", b"garbage", b"a", b"abc def", b"a x y z", b"a 1 2", b"\xff\xfe\x00"]


@pytest.mark.services
@pytest.mark.parametrize(
    "poison",
    [
        *POISONS,
        b"z 1 2 https://evil.example/",
        b"a 9 0 https://evil.example/",
        b"a 9 9223372036854775808 https://evil.example/",
    ],
)
def test_a_poisoned_entry_is_a_miss_that_is_counted_once_and_then_put_right(
    shared: Api, held: redis.Redis, poison: bytes
) -> None:
    url = shared.url("https://example.com/a")
    held.set(f"link:{url['short_code']}", poison)
    assert follow(shared, url["short_code"]) == (302, "https://example.com/a", "MISS")
    assert follow(shared, url["short_code"]) == (302, "https://example.com/a", "HIT")
    assert shared.clicks(url) == 2


@pytest.mark.services
def test_a_key_of_another_type_is_a_miss_that_is_counted_once_and_then_put_right(
    shared: Api, held: redis.Redis
) -> None:
    url = shared.url("https://example.com/a")
    held.delete(f"link:{url['short_code']}")
    held.lpush(f"link:{url['short_code']}", "x")
    assert follow(shared, url["short_code"]) == (302, "https://example.com/a", "MISS")
    assert follow(shared, url["short_code"]) == (302, "https://example.com/a", "HIT")
    assert shared.clicks(url) == 2


@pytest.mark.services
@pytest.mark.parametrize(
    "poison", [*POISONS, b"1", b"{}", b"[]", b"[1, false, null]", b"[[[[", b"[" * 100_000]
)
def test_a_poisoned_answer_is_a_miss_and_then_put_right(
    shared: Api, held: redis.Redis, poison: bytes
) -> None:
    assert shared.client.get("/products").headers["X-Cache"] == "MISS"
    (key,) = held.keys("answer:*")
    held.set(key, poison)
    answers = [shared.client.get("/products") for _ in range(2)]
    assert [
        (answer.status_code, answer.get_json(), answer.headers["X-Cache"]) for answer in answers
    ] == [(200, [], "MISS"), (200, [], "HIT")]


@pytest.mark.services
def test_a_restarted_redis_without_its_scripts_is_taught_them_again(
    shared: Api, held: redis.Redis
) -> None:
    url = shared.url("https://example.com/a")
    held.script_flush()
    assert follow(shared, url["short_code"]) == (302, "https://example.com/a", "HIT")
    assert shared.clicks(url) == 1


# ---- gone, silent, or something else ----


def ten_redirects(api: Api) -> tuple[Stopwatch, float]:
    """How long they took, stopwatch still running, and how often Redis was asked in vain."""
    url = api.url("https://example.com/a")
    before, watch = cache_failures(), Stopwatch()
    for _ in range(10):
        assert follow(api, url["short_code"]) == (302, "https://example.com/a", "MISS")
    asked = cache_failures() - before
    assert asked <= 1 + watch.wall  # once a second at most
    return watch, asked


def test_with_redis_gone_redirects_are_answered_and_counted_without_waiting(bound: Bound) -> None:
    without = ten_redirects(bound(redis_url=""))[0].seconds
    api = bound(redis_url=f"redis://127.0.0.1:{free_port()}/0")
    gone = ten_redirects(api)[0].seconds
    assert gone < 1 + 2 * without
    assert len(api.get("/events?type=clicked")) == 10
    assert api.get("/health")["cache"] == "disconnected"


def test_a_redis_that_never_answers_is_asked_once_a_second(bound: Bound) -> None:
    without = ten_redirects(bound(redis_url=""))[0].seconds
    with Silent() as silent:
        api = bound(redis_url=f"redis://127.0.0.1:{silent.port}/0")
        pause_over()
        api.url()  # it has just failed
        watch, asked = ten_redirects(api)
        assert watch.seconds < 1 + 0.4 * asked + 2 * without
    assert len(api.get("/events?type=clicked")) == 10


@pytest.mark.parametrize("where", ["nobody listens", "silent"])
def test_asking_in_vain_costs_a_quarter_of_a_second_once_a_second(bound: Bound, where: str) -> None:
    with Silent() as silent:
        port = silent.port if where == "silent" else free_port()
        bound(redis_url=f"redis://127.0.0.1:{port}/0")
        pause_over()
        before, watch = cache_failures(), Stopwatch()
        for _ in range(10):
            ask_in_vain()
        asked = cache_failures() - before
        assert 1 <= asked <= 1 + watch.wall
        assert watch.seconds < 0.4 * asked
        while cache_failures() == before + asked:
            assert watch.wall < HANGS_SECONDS
            time.sleep(0.01)
            ask_in_vain()
        assert watch.wall > asked


def ask_in_vain() -> None:
    with pytest.raises(RedisUnavailable):
        redis_connection.call("PING")


def cache_failures() -> float:
    """How often this process has asked Redis and got no answer."""
    return metrics.registry.get_sample_value("cache_failures_total") or 0.0


def test_something_that_is_no_redis_does_no_harm(bound: Bound) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        threading.Thread(target=_talk_nonsense, args=(listener,), daemon=True).start()
        api = bound(redis_url=f"redis://127.0.0.1:{port}/0")
        url = api.url("https://example.com/a")
        pause_over()
        assert follow(api, url["short_code"]) == (302, "https://example.com/a", "MISS")
        assert api.clicks(url) == 1


def _talk_nonsense(listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()


# ---- warm-up ----


@pytest.mark.services
def test_the_warm_up_command_puts_all_active_links_into_redis(
    shared: Api, held: redis.Redis, holdfast: Command, redis_server: Redis
) -> None:
    active, inactive = [shared.url()["short_code"] for _ in range(3)], shared.url()
    shared.client.put(f"/urls/{inactive['id']}", json={"is_active": False})
    held.flushall()
    result = holdfast("warm-up", redis_url=redis_server.url)
    assert result.output == "Put 3 links into the cache\n"
    assert {key.decode() for key in held.keys("link:*")} == {f"link:{code}" for code in active}
    assert follow(shared, active[0])[2] == "HIT"


@pytest.mark.services
def test_a_warm_up_never_puts_an_old_link_back(shared: Api) -> None:
    url = shared.url("https://example.com/a")
    newer = Link(ACTIVE, 99, url["id"], "https://example.com/newer")
    cache.put_links([(url["short_code"], newer.text())])
    assert urls.warm_up() == 1
    assert cache.get_link(url["short_code"]) == newer


def test_a_warm_up_without_redis_does_nothing(bound: Bound) -> None:
    bound(redis_url="").url()
    assert urls.warm_up() == 0
