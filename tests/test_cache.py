"""The link cache as clients see it: hits and misses, never an old link, and no harm when Redis is wrong, full, slow or gone."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import redis

from app.cache import ACTIVE, Link, cache
from app.services import freshness, urls
from tests.conftest import Api
from tests.servers import Redis, Silent, free_port

Bound = Callable[..., Api]


def follow(api: Api, code: str) -> tuple[int, str | None, str | None]:
    response = api.client.get(f"/{code}")
    return response.status_code, response.headers.get("Location"), response.headers.get("X-Cache")


def clicks_of(api: Api, url: dict[str, Any]) -> int:
    """The number of click events, which the counter must agree with."""
    count = int(api.client.get(f"/events?type=clicked&url_id={url['id']}&count=true").headers["X-Total-Count"])
    assert api.get(f"/urls/{url['id']}")["click_count"] == count
    return count


@pytest.fixture
def shared(bound: Bound, redis_server: Redis) -> Api:
    """The application with a Redis of its own."""
    return bound(redis_url=redis_server.url)


@pytest.fixture
def held(redis_server: Redis) -> Any:
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


def pause_over() -> None:
    """For a second Redis is left alone, and the database answers."""
    time.sleep(1.05)


# ---- hits and misses ----


@pytest.mark.services
def test_a_new_link_is_a_hit_and_a_forgotten_one_a_miss_once(shared: Api, held: redis.Redis) -> None:
    code = shared.url("https://example.com/a")["short_code"]
    assert follow(shared, code) == (302, "https://example.com/a", "HIT")
    held.flushall()
    assert follow(shared, code) == (302, "https://example.com/a", "MISS")
    assert follow(shared, code) == (302, "https://example.com/a", "HIT")


def test_without_redis_every_redirect_is_a_miss_and_counted(bound: Bound) -> None:
    api = bound(redis_url="")
    url = api.url("https://example.com/a")
    assert [follow(api, url["short_code"])[2] for _ in range(3)] == ["MISS"] * 3
    assert clicks_of(api, url) == 3
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
    assert clicks_of(shared, url) == 0


# ---- never an old link ----


@pytest.mark.services
def test_a_slow_reader_never_puts_an_old_link_back(shared: Api) -> None:
    url = shared.url("https://example.com/old")
    old = cache.get_link(url["short_code"])
    assert old is not None
    shared.client.put(f"/urls/{url['id']}", json={"original_url": "https://example.com/new"})
    assert cache.put_links([(url["short_code"], old.entry())])
    assert follow(shared, url["short_code"]) == (302, "https://example.com/new", "HIT")


@pytest.mark.services
def test_a_slow_reader_never_brings_a_deleted_link_back(shared: Api) -> None:
    user = shared.user()
    mine, other = shared.url(user_id=user["id"]), shared.url()
    old = {url["short_code"]: cache.get_link(url["short_code"]) for url in (mine, other)}
    assert shared.client.delete(f"/users/{user['id']}").status_code == 204
    assert shared.client.delete(f"/urls/{other['id']}").status_code == 204
    for code, link in old.items():
        assert link is not None
        cache.put_links([(code, link.entry())])
        assert follow(shared, code)[0] == 404


CHANGES: dict[str, Callable[[Api, dict[str, Any]], Any]] = {
    "deactivated": lambda api, url: api.client.put(f"/urls/{url['id']}", json={"is_active": False}),
    "deleted": lambda api, url: api.client.delete(f"/urls/{url['id']}"),
    "deleted with its owner": lambda api, url: api.client.delete(f"/users/{url['user_id']}"),
    "changed": lambda api, url: api.client.put(f"/urls/{url['id']}", json={"original_url": "https://example.com/new"}),
}
AFTER = {"deactivated": (410, None), "deleted": (404, None), "deleted with its owner": (404, None), "changed": (302, "https://example.com/new")}
each_change = pytest.mark.parametrize("change", CHANGES)


def cached_link(api: Api) -> dict[str, Any]:
    url = api.url("https://example.com/old", user_id=api.user()["id"])
    assert follow(api, url["short_code"])[0] == 302
    return url


@each_change
def test_a_change_is_seen_by_the_next_redirect(api: Api, change: str) -> None:
    url = cached_link(api)
    assert CHANGES[change](api, url).status_code in (200, 204)
    assert follow(api, url["short_code"])[:2] == AFTER[change]


@pytest.mark.services
@each_change
def test_a_change_while_redis_is_down_is_seen_by_the_first_redirect_after_it_is_back(shared: Api, redis_server: Redis, change: str) -> None:
    url = cached_link(shared)
    redis_server.kill()
    assert CHANGES[change](shared, url).status_code in (200, 204)
    assert follow(shared, url["short_code"])[:2] == AFTER[change]
    assert freshness.count_due() == 1
    redis_server.start()
    pause_over()
    assert follow(shared, url["short_code"])[:2] == AFTER[change]


@pytest.mark.services
@each_change
def test_a_change_while_redis_hangs_is_seen_by_the_first_redirect_after_it_goes_on(shared: Api, redis_server: Redis, change: str) -> None:
    url = cached_link(shared)
    in_pool = [cache.store.run("return 1", ()) for _ in range(2)]
    assert in_pool == [1, 1]
    with redis_server.frozen():
        assert CHANGES[change](shared, url).status_code in (200, 204)
    pause_over()
    assert follow(shared, url["short_code"])[:2] == AFTER[change]


@pytest.mark.services
def test_a_change_while_redis_is_left_alone_is_told_at_once(shared: Api, redis_server: Redis) -> None:
    url = cached_link(shared)
    with redis_server.frozen():
        follow(shared, url["short_code"])
    CHANGES["deactivated"](shared, url)
    assert freshness.count_due() == 0


@pytest.mark.services
def test_a_full_redis_at_least_forgets_a_link_that_changed(shared: Api, held: redis.Redis) -> None:
    url = cached_link(shared)
    held.config_set("maxmemory-policy", "noeviction")
    held.config_set("maxmemory", "1")
    CHANGES["changed"](shared, url)
    assert held.get(f"link:{url['short_code']}") is None
    assert follow(shared, url["short_code"])[:2] == AFTER["changed"]


# ---- poison ----


@pytest.mark.services
@pytest.mark.parametrize("poison", [b"", b"garbage", b"a", b"abc def", b"a x y z", b"a 1 2", b"\xff\xfe\x00", b"z 1 2 https://evil.example/"])
def test_a_poisoned_entry_is_a_miss_that_is_counted_once_and_then_put_right(shared: Api, held: redis.Redis, poison: bytes) -> None:
    url = shared.url("https://example.com/a")
    held.set(f"link:{url['short_code']}", poison)
    assert follow(shared, url["short_code"]) == (302, "https://example.com/a", "MISS")
    assert follow(shared, url["short_code"]) == (302, "https://example.com/a", "HIT")
    assert clicks_of(shared, url) == 2


@pytest.mark.services
def test_a_key_of_another_type_is_a_miss_that_is_counted_once_and_then_put_right(shared: Api, held: redis.Redis) -> None:
    url = shared.url("https://example.com/a")
    held.delete(f"link:{url['short_code']}")
    held.lpush(f"link:{url['short_code']}", "x")
    assert follow(shared, url["short_code"]) == (302, "https://example.com/a", "MISS")
    assert follow(shared, url["short_code"]) == (302, "https://example.com/a", "HIT")
    assert clicks_of(shared, url) == 2


@pytest.mark.services
def test_a_restarted_redis_without_its_scripts_is_taught_them_again(shared: Api, held: redis.Redis) -> None:
    url = shared.url("https://example.com/a")
    held.script_flush()
    assert follow(shared, url["short_code"]) == (302, "https://example.com/a", "HIT")
    assert clicks_of(shared, url) == 1


# ---- gone, silent, or something else ----


def test_with_redis_gone_redirects_are_answered_and_counted_without_waiting(bound: Bound) -> None:
    api = bound(redis_url=f"redis://127.0.0.1:{free_port()}/0")
    url = api.url("https://example.com/a")
    began = time.monotonic()
    assert [follow(api, url["short_code"]) for _ in range(10)] == [(302, "https://example.com/a", "MISS")] * 10
    assert time.monotonic() - began < 2
    assert clicks_of(api, url) == 10
    assert api.get("/health")["cache"] == "disconnected"


def test_a_redis_that_never_answers_costs_one_redirect_a_quarter_of_a_second_and_the_next_nothing(bound: Bound) -> None:
    with Silent() as silent:
        api = bound(redis_url=f"redis://127.0.0.1:{silent.port}/0")
        url = api.url("https://example.com/a")
        pause_over()
        first, second = seconds_of(api, url), seconds_of(api, url)
    assert 0.2 < first < 0.6
    assert second < 0.2
    assert clicks_of(api, url) == 2


def seconds_of(api: Api, url: dict[str, Any]) -> float:
    began = time.monotonic()
    assert follow(api, url["short_code"]) == (302, url["original_url"], "MISS")
    return time.monotonic() - began


def test_something_that_is_no_redis_does_no_harm(bound: Bound) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        threading.Thread(target=_talk_nonsense, args=(listener,), daemon=True).start()
        api = bound(redis_url=f"redis://127.0.0.1:{port}/0")
        url = api.url("https://example.com/a")
        pause_over()
        assert follow(api, url["short_code"]) == (302, "https://example.com/a", "MISS")
        assert clicks_of(api, url) == 1


def _talk_nonsense(listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()


# ---- warm-up ----


@pytest.mark.services
def test_the_warm_up_command_puts_all_active_links_into_redis(shared: Api, held: redis.Redis) -> None:
    active, inactive = [shared.url()["short_code"] for _ in range(3)], shared.url()
    shared.client.put(f"/urls/{inactive['id']}", json={"is_active": False})
    held.flushall()
    result = shared.client.application.test_cli_runner().invoke(args=["warm-up"])
    assert result.output == "Put 3 links into the cache\n"
    assert {key.decode() for key in held.keys("link:*")} == {f"link:{code}" for code in active}
    assert follow(shared, active[0])[2] == "HIT"


@pytest.mark.services
def test_a_warm_up_never_puts_an_old_link_back(shared: Api) -> None:
    url = shared.url("https://example.com/a")
    newer = Link(ACTIVE, 99, url["id"], "https://example.com/newer")
    cache.put_links([(url["short_code"], newer.entry())])
    assert urls.warm_up() == 1
    assert cache.get_link(url["short_code"]) == newer


def test_a_warm_up_without_redis_does_nothing(bound: Bound) -> None:
    bound(redis_url="").url()
    assert urls.warm_up() == 0
