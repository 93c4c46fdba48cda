"""Pending cache updates: stored with the change, delivered, and removed when confirmed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from app.database import db
from app.models import CacheUpdate, Url
from app.redirects.connection import redis_connection
from app.redirects.links import (
    ACTIVE,
    DELETED,
    PUT,
    Link,
    add_pending,
    cache,
    count_pending,
    deliver,
    deliver_pending,
    handshake,
)
from testkit.servers import Redis
from tests.conftest import Api, pause_over

Bound = Callable[..., Api]
LINK = Link(ACTIVE, 1, 1, "https://example.com/")


def test_without_redis_nothing_is_kept(bound: Bound) -> None:
    api = bound(redis_url="")
    url = api.url()
    api.client.put(f"/urls/{url['id']}", json={"is_active": False})
    assert count_pending() == 0


@pytest.mark.services
def test_a_change_that_redis_confirmed_is_not_pending(bound: Bound, redis_server: Redis) -> None:
    api = bound(redis_url=redis_server.url)
    url = api.url()
    api.client.put(f"/urls/{url['id']}", json={"is_active": False})
    assert count_pending() == 0


@pytest.mark.services
def test_a_change_that_failed_is_not_kept(bound: Bound, redis_server: Redis) -> None:
    bound(redis_url=redis_server.url)
    with db.atomic() as change:
        add_pending([("abcdef", LINK)])
        change.rollback()
    assert count_pending() == 0


@pytest.mark.services
def test_all_that_is_due_is_delivered_however_much(bound: Bound, redis_server: Redis) -> None:
    bound(redis_url=redis_server.url)
    add_pending([(f"code{number}", LINK) for number in range(1200)])
    assert deliver_pending() == 1200
    assert cache.get_link("code0") == cache.get_link("code1199") == LINK
    assert count_pending() == 0


@pytest.mark.services
def test_two_changes_of_one_link_leave_the_newer_one_in_whichever_order_they_are_delivered(
    bound: Bound, redis_server: Redis
) -> None:
    bound(redis_url=redis_server.url)
    newer = LINK._replace(version=2, original_url="https://example.com/newer")
    first, second = add_pending([("abcdef", LINK)]), add_pending([("abcdef", newer)])
    assert (deliver(second), deliver(first)) == (1, 1)
    assert cache.get_link("abcdef") == newer


@pytest.mark.services
def test_what_redis_does_not_confirm_stays_pending(bound: Bound, redis_server: Redis) -> None:
    bound(redis_url=redis_server.url)
    kept = add_pending([("abcdef", LINK)])
    redis_server.kill()
    assert (deliver(kept), deliver_pending()) == (0, 0)
    (_, _, script), (*put, until) = handshake()
    assert script == PUT.text
    assert put == ["EVALSHA", PUT.sha, 1, "link:abcdef", LINK.text()]
    assert int(until) > time.time() * 1000
    redis_server.start()
    assert deliver_pending() == 1
    assert cache.get_link("abcdef") == LINK


@pytest.mark.services
def test_a_new_connection_tells_all_that_is_due_before_it_asks(
    bound: Bound, redis_server: Redis
) -> None:
    bound(redis_url=redis_server.url)
    CacheUpdate.insert_many(
        [(f"code{number}", LINK.text()) for number in range(1200)],
        [CacheUpdate.short_code, CacheUpdate.link],
    ).execute()
    assert cache.get_link("code1199") == LINK


def test_deleting_a_user_with_thousands_of_links_kills_them_all_at_once(api: Api) -> None:
    user = api.user()
    codes = [f"code{number}" for number in range(3000)]
    Url.insert_many(
        [(code, "https://example.com/", user["id"]) for code in codes],
        [Url.short_code, Url.original_url, Url.user],
    ).execute()
    for code in codes[:3]:
        assert api.client.get(f"/{code}").status_code == 302
    assert api.client.delete(f"/users/{user['id']}").status_code == 204
    assert {api.client.get(f"/{code}").status_code for code in (*codes[:3], codes[-1])} == {404}
    assert count_pending() == 0
    if redis_connection.url:
        assert {(cache.get_link(code) or LINK).state for code in codes[::100]} == {DELETED}


# ---- what clients see of it ----


def follow(api: Api, code: str) -> tuple[int, str | None]:
    response = api.client.get(f"/{code}")
    return response.status_code, response.headers.get("Location")


@pytest.mark.services
def test_a_slow_reader_never_puts_an_old_link_back(shared: Api) -> None:
    url = shared.url("https://example.com/old")
    old = cache.get_link(url["short_code"])
    assert old is not None
    shared.client.put(f"/urls/{url['id']}", json={"original_url": "https://example.com/new"})
    assert cache.put_links([(url["short_code"], old.text())])
    assert follow(shared, url["short_code"]) == (302, "https://example.com/new")


@pytest.mark.services
def test_a_slow_reader_never_brings_a_deleted_link_back(shared: Api) -> None:
    user = shared.user()
    mine, other = shared.url(user_id=user["id"]), shared.url()
    old = {url["short_code"]: cache.get_link(url["short_code"]) for url in (mine, other)}
    assert shared.client.delete(f"/users/{user['id']}").status_code == 204
    assert shared.client.delete(f"/urls/{other['id']}").status_code == 204
    for code, link in old.items():
        assert link is not None
        cache.put_links([(code, link.text())])
        assert follow(shared, code)[0] == 404


@pytest.mark.services
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_deleted_link_that_was_not_cached_is_dead_for_slow_readers_too(
    shared: Api, held: redis.Redis, method: str
) -> None:
    """One follow has shown that it is deleted; later ones must not show it again."""
    url = shared.url()
    old = cache.get_link(url["short_code"])
    assert old is not None
    shared.client.delete(f"/urls/{url['id']}")
    held.flushall()  # as if that were still to be told
    assert shared.client.open(f"/{url['short_code']}", method=method).status_code == 404
    cache.put_links([(url["short_code"], old.text())])
    assert follow(shared, url["short_code"]) == (404, None)


CHANGES: dict[str, Callable[[Api, dict[str, Any]], Any]] = {
    "deactivated": lambda api, url: api.client.put(f"/urls/{url['id']}", json={"is_active": False}),
    "deleted": lambda api, url: api.client.delete(f"/urls/{url['id']}"),
    "deleted with its owner": lambda api, url: api.client.delete(f"/users/{url['user_id']}"),
    "changed": lambda api, url: api.client.put(
        f"/urls/{url['id']}", json={"original_url": "https://example.com/new"}
    ),
}
AFTER = {
    "deactivated": (410, None),
    "deleted": (404, None),
    "deleted with its owner": (404, None),
    "changed": (302, "https://example.com/new"),
}
each_change = pytest.mark.parametrize("change", CHANGES)


def cached_link(api: Api) -> dict[str, Any]:
    url = api.url("https://example.com/old", user_id=api.user()["id"])
    assert follow(api, url["short_code"])[0] == 302
    return url


@each_change
def test_a_change_is_seen_by_the_next_redirect(api: Api, change: str) -> None:
    url = cached_link(api)
    assert CHANGES[change](api, url).status_code in (200, 204)
    assert follow(api, url["short_code"]) == AFTER[change]


@pytest.mark.services
@each_change
def test_a_change_while_redis_is_down_is_seen_by_the_first_redirect_after_it_is_back(
    shared: Api, redis_server: Redis, change: str
) -> None:
    url = cached_link(shared)
    redis_server.kill()
    assert CHANGES[change](shared, url).status_code in (200, 204)
    assert follow(shared, url["short_code"]) == AFTER[change]
    assert count_pending() == 1
    redis_server.start()
    pause_over()
    assert follow(shared, url["short_code"]) == AFTER[change]


@pytest.mark.services
@each_change
def test_a_change_while_redis_hangs_is_seen_by_the_first_redirect_after_it_goes_on(
    shared: Api, redis_server: Redis, change: str
) -> None:
    url = cached_link(shared)
    in_pool = [redis_connection.call("PING") for _ in range(2)]
    assert in_pool == [b"PONG", b"PONG"]
    with redis_server.frozen():
        assert CHANGES[change](shared, url).status_code in (200, 204)
    pause_over()
    assert follow(shared, url["short_code"]) == AFTER[change]


@pytest.mark.services
def test_a_change_while_the_breaker_is_open_is_delivered_at_once(
    shared: Api, redis_server: Redis
) -> None:
    url = cached_link(shared)
    with redis_server.frozen():
        follow(shared, url["short_code"])
    CHANGES["deactivated"](shared, url)
    assert count_pending() == 0


@pytest.mark.services
def test_a_full_redis_at_least_forgets_a_link_that_changed(shared: Api, held: redis.Redis) -> None:
    url = cached_link(shared)
    held.config_set("maxmemory-policy", "noeviction")
    held.config_set("maxmemory", "1")
    CHANGES["changed"](shared, url)
    assert held.get(f"link:{url['short_code']}") is None
    assert follow(shared, url["short_code"]) == AFTER["changed"]
