"""Changes that Redis has yet to be told: kept with the change, delivered by whoever comes first, and gone when it has heard."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.cache import ACTIVE, DELETED, Link, cache
from app.database import db
from app.models import CacheUpdate, Url
from app.services import freshness
from app.services.freshness import deliver, deliver_due, due_entries, keep
from tests.conftest import Api
from tests.servers import Redis

Bound = Callable[..., Api]
LINK = Link(ACTIVE, 1, 1, "https://example.com/")


def test_without_redis_nothing_is_kept(bound: Bound) -> None:
    api = bound(redis_url="")
    url = api.url()
    api.client.put(f"/urls/{url['id']}", json={"is_active": False})
    assert freshness.count_due() == 0


@pytest.mark.services
def test_a_change_that_redis_heard_is_not_kept(bound: Bound, redis_server: Redis) -> None:
    api = bound(redis_url=redis_server.url)
    url = api.url()
    api.client.put(f"/urls/{url['id']}", json={"is_active": False})
    assert freshness.count_due() == 0


@pytest.mark.services
def test_a_change_that_failed_is_not_kept(bound: Bound, redis_server: Redis) -> None:
    bound(redis_url=redis_server.url)
    with db.atomic() as change:
        keep([("abcdef", LINK)])
        change.rollback()
    assert freshness.count_due() == 0


@pytest.mark.services
def test_all_that_is_due_is_delivered_however_much(bound: Bound, redis_server: Redis) -> None:
    bound(redis_url=redis_server.url)
    keep([(f"code{number}", LINK) for number in range(1200)])
    assert deliver_due() == 1200
    assert cache.get_link("code0") == cache.get_link("code1199") == LINK
    assert freshness.count_due() == 0


@pytest.mark.services
def test_two_changes_of_one_link_leave_the_newer_one_in_whichever_order_they_are_told(bound: Bound, redis_server: Redis) -> None:
    bound(redis_url=redis_server.url)
    newer = LINK._replace(version=2, original_url="https://example.com/newer")
    first, second = keep([("abcdef", LINK)]), keep([("abcdef", newer)])
    assert (deliver(second), deliver(first)) == (1, 1)
    assert cache.get_link("abcdef") == newer


@pytest.mark.services
def test_what_redis_cannot_be_told_stays(bound: Bound, redis_server: Redis) -> None:
    bound(redis_url=redis_server.url)
    kept = keep([("abcdef", LINK)])
    redis_server.kill()
    assert (deliver(kept), deliver_due()) == (0, 0)
    assert due_entries() == [("abcdef", LINK.entry())]
    redis_server.start()
    assert deliver_due() == 1
    assert cache.get_link("abcdef") == LINK


@pytest.mark.services
def test_a_new_connection_tells_all_that_is_due_before_it_asks(bound: Bound, redis_server: Redis) -> None:
    bound(redis_url=redis_server.url)
    CacheUpdate.insert_many([(f"code{number}", LINK.entry()) for number in range(1200)], [CacheUpdate.short_code, CacheUpdate.entry]).execute()
    assert cache.get_link("code1199") == LINK


def test_deleting_a_user_with_thousands_of_links_kills_them_all_at_once(api: Api) -> None:
    user = api.user()
    codes = [f"code{number}" for number in range(3000)]
    Url.insert_many([(code, "https://example.com/", user["id"]) for code in codes], [Url.short_code, Url.original_url, Url.user]).execute()
    for code in codes[:3]:
        assert api.client.get(f"/{code}").status_code == 302
    assert api.client.delete(f"/users/{user['id']}").status_code == 204
    assert {api.client.get(f"/{code}").status_code for code in (*codes[:3], codes[-1])} == {404}
    assert freshness.count_due() == 0
    if cache.store.shared:
        assert {(cache.get_link(code) or LINK).state for code in codes[::100]} == {DELETED}
