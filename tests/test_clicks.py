"""Clicks: each answered redirect is one event and one on the counter, by way of Redis or not, whatever happens on the way."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis

from app import ledger
from app.cache import ACTIVE, Link
from app.clicks import STREAM, Click, clicks, drained_total, visitor
from app.database import now, released
from app.models import ClickClaim, Url
from tests.conftest import Api
from tests.servers import ROOT, Postgres, Redis, free_port

Bound = Callable[..., Api]


@pytest.fixture
def shared(bound: Bound, redis_server: Redis) -> Api:
    """The application with a Redis of its own."""
    return bound(redis_url=redis_server.url)


@pytest.fixture
def stream(redis_server: Redis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


def follow(api: Api, url: dict[str, Any], times: int = 1) -> None:
    for _ in range(times):
        assert api.client.get(f"/{url['short_code']}").status_code == 302


def clicks_of(api: Api, url: dict[str, Any]) -> int:
    """The number of click events, which the counter must agree with."""
    count = int(api.client.get(f"/events?type=clicked&url_id={url['id']}&count=true").headers["X-Total-Count"])
    assert api.get(f"/urls/{url['id']}/stats")["redirect_count"] == count
    return count


# ---- both ways ----


def test_long_values_of_a_visitor_are_cut(api: Api) -> None:
    url = api.url()
    api.client.get(f"/{url['short_code']}", headers={"User-Agent": "u" * 5000, "Referer": "r" * 5000})
    details = api.get("/events?type=clicked")[0]["details"]
    assert (len(details["user_agent"]), len(details["referrer"])) == (300, 500)


def test_a_click_belongs_to_the_links_owner(api: Api) -> None:
    user = api.user()
    url = api.url(user_id=user["id"])
    follow(api, url)
    assert api.get("/events?type=clicked")[0]["user_id"] == user["id"]


def test_clicks_on_a_link_that_was_deleted_since_stay_with_its_events(api: Api) -> None:
    url = api.url()
    follow(api, url, 2)
    api.client.delete(f"/urls/{url['id']}")
    assert len(api.get(f"/events?type=clicked&url_id={url['id']}")) == 2


def test_clicks_on_a_link_whose_owner_was_deleted_since_go_with_it(api: Api) -> None:
    user = api.user()
    mine, other = api.url(user_id=user["id"]), api.url()
    follow(api, mine, 2)
    follow(api, other, 2)
    api.client.delete(f"/users/{user['id']}")
    assert [event["url_id"] for event in api.get("/events?type=clicked")] == [other["id"]] * 2


def test_a_process_that_was_forked_gives_ids_of_its_own() -> None:
    script = "import os; from app.clicks import Click; pid = os.fork(); os.write(1, Click('x', '{}').id[:12].encode() + b' '); pid and os.wait()"
    output = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert len(set(output)) == 2


# ---- the drain ----


@pytest.mark.services
def test_a_click_waits_in_the_stream_until_somebody_asks(shared: Api, stream: redis.Redis) -> None:
    url = shared.url()
    follow(shared, url, 3)
    assert stream.xlen(STREAM) == 3
    assert clicks_of(shared, url) == 3
    assert stream.xlen(STREAM) == 0
    assert drained_total() == 3


@pytest.mark.services
def test_the_backlog_is_measured(shared: Api) -> None:
    assert clicks.backlog() == (0, pytest.approx(0, abs=0.1))
    follow(shared, shared.url(), 2)
    length, age = clicks.backlog()
    assert length == 2
    assert 0 <= age < 60


@pytest.mark.services
def test_a_drain_that_died_between_its_commit_and_the_trim_doubles_nothing(shared: Api, stream: redis.Redis) -> None:
    url = shared.url()
    follow(shared, url, 3)
    entries: Any = stream.xrange(STREAM)
    assert clicks.drain() == 3
    ClickClaim.delete().execute()  # that is long ago
    stream.delete(STREAM)
    for entry_id, values in entries:
        stream.xadd(STREAM, values, id=entry_id)
    assert clicks_of(shared, url) == 3
    assert stream.xlen(STREAM) == 0
    follow(shared, url)
    assert clicks_of(shared, url) == 4


@pytest.mark.services
def test_several_drains_at_once_move_each_click_once(shared: Api) -> None:
    url = shared.url()
    follow(shared, url, 1500)

    def drain() -> None:
        with released():
            clicks.drain()

    threads = [threading.Thread(target=drain) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drained_total() == 1500
    assert clicks_of(shared, url) == 1500


@pytest.mark.services
def test_a_redis_that_was_emptied_begins_a_new_epoch(shared: Api, stream: redis.Redis) -> None:
    url = shared.url()
    follow(shared, url, 2)
    assert clicks_of(shared, url) == 2
    stream.flushall()
    follow(shared, url, 2)
    assert clicks_of(shared, url) == 4


@pytest.mark.services
def test_a_fresh_redis_whose_clock_is_behind_hides_no_clicks(shared: Api, stream: redis.Redis, caplog: pytest.LogCaptureFixture) -> None:
    url = shared.url()
    stream.xadd(STREAM, {"from": "the far future"}, id="99999999999999-0")
    clicks.drain()
    stream.flushall()
    follow(shared, url, 2)
    assert clicks_of(shared, url) == 2


GOOD = {"id": "0123456789ab0", "ms": "1", "code": "abcdef", "visitor": "{}", "link": "a 1 1 https://example.com/"}
POISON = {
    "no fields of ours": {"x": "y"},
    "a bad id": {**GOOD, "id": "' OR 1=1"},
    "no number": {**GOOD, "ms": "soon"},
    "a moment that no calendar has": {**GOOD, "ms": "9" * 30},
    "a moment before all others": {**GOOD, "ms": "-1"},
    "no link": {**GOOD, "link": "garbage"},
    "a link that does not work": {**GOOD, "link": "i 1 1 https://example.com/"},
    "an id that no link has": {**GOOD, "link": f"a 1 {2**70} https://example.com/"},
    "no JSON": {**GOOD, "visitor": "{"},
    "no object": {**GOOD, "visitor": "[]"},
    "JSON that is too deep": {**GOOD, "visitor": "[" * 100_000},
    "text that is none": {**GOOD, "code": b"\xff"},
}


@pytest.mark.services
@pytest.mark.parametrize("values", POISON.values(), ids=POISON)
def test_an_entry_that_is_no_click_is_logged_and_skipped(shared: Api, stream: redis.Redis, caplog: pytest.LogCaptureFixture, values: dict[Any, Any]) -> None:
    url = shared.url()
    follow(shared, url)
    stream.xadd(STREAM, values)
    follow(shared, url)
    with caplog.at_level(logging.ERROR, "app.clicks"):
        assert clicks_of(shared, url) == 2
    assert "no click" in caplog.text
    assert stream.xlen(STREAM) == 0


@pytest.mark.services
def test_a_key_of_another_type_in_the_streams_place_sends_clicks_to_the_database(shared: Api, stream: redis.Redis) -> None:
    url = shared.url()
    stream.set(STREAM, "x")
    follow(shared, url, 2)
    assert clicks_of(shared, url) == 2


@pytest.mark.services
def test_clicks_that_waited_while_their_links_were_deleted_do_not_stop_the_others(shared: Api) -> None:
    user = shared.user()
    mine, other = shared.url(user_id=user["id"]), shared.url()
    for url in (mine, other, mine, other):
        follow(shared, url)
    shared.client.delete(f"/users/{user['id']}")
    assert clicks_of(shared, other) == 2


# ---- clicks of which nobody knows whether Redis has them ----


def unsure(url: dict[str, Any]) -> tuple[Click, Link]:
    click = Click(url["short_code"], visitor("127.0.0.1", "probe", ""))
    return click, Link(ACTIVE, 1, url["id"], url["original_url"])


@pytest.mark.services
def test_a_click_that_redis_had_after_all_is_one_when_its_sender_comes_first(shared: Api) -> None:
    url = shared.url()
    click, link = unsure(url)
    click.unsure = True
    clicks.record(click, link)
    click.unsure = False
    clicks.record(click, link)
    assert clicks_of(shared, url) == 1


@pytest.mark.services
def test_a_click_that_redis_had_after_all_is_one_when_the_stream_comes_first(shared: Api) -> None:
    url = shared.url()
    follow(shared, url, 2)
    click, link = unsure(url)
    clicks.record(click, link)
    follow(shared, url, 2)
    clicks.drain()
    click.unsure = True
    clicks.record(click, link)
    assert clicks_of(shared, url) == 5


@pytest.mark.services
def test_a_click_on_a_link_that_was_not_cached_is_one_when_redis_hangs_while_it_is_told(shared: Api, redis_server: Redis) -> None:
    url = shared.url()
    clicks.record(*unsure(url))  # Redis knows the script now
    with redis_server.frozen():
        clicks.record(*unsure(url))
    pause_over()
    assert clicks_of(shared, url) == 2


@pytest.mark.services
def test_a_request_that_was_refused_in_the_end_leaves_no_click(shared: Api) -> None:
    url = shared.url()
    click, link = unsure(url)
    clicks.record(click, link)
    click.unsure = True
    clicks.refuse(click)
    assert clicks_of(shared, url) == 0


@pytest.mark.services
def test_clicks_while_redis_hangs_are_counted_once_when_it_goes_on_and_does_what_it_was_told(shared: Api, redis_server: Redis, stream: redis.Redis) -> None:
    url = shared.url()
    follow(shared, url)
    with redis_server.frozen():
        follow(shared, url, 3)
    assert stream.xlen(STREAM) == 2  # one before, and the one that was answered without waiting for it
    pause_over()
    assert clicks_of(shared, url) == 4


@pytest.mark.services
def test_a_redirect_that_was_refused_while_redis_hung_is_no_click_when_it_goes_on(shared: Api, redis_server: Redis) -> None:
    url = shared.url()
    follow(shared, url)
    Url.update(is_active=False).execute()  # by another replica, which does not reach this Redis
    with redis_server.frozen():
        assert shared.client.get(f"/{url['short_code']}").status_code == 410
    pause_over()
    assert clicks_of(shared, url) == 1


def pause_over() -> None:
    """For a second Redis is left alone."""
    time.sleep(1.05)


def test_claims_are_forgotten_when_nobody_can_come_any_more(api: Api) -> None:
    for numbers, keep in (([1], timedelta(days=-1)), ([2], timedelta(days=1))):
        ClickClaim.create(sender="0" * 12, lowest=numbers[0], highest=numbers[-1], numbers=json.dumps(numbers), forget_at=now() + keep)
    assert ledger.forget_claims() == 1
    assert [claim.lowest for claim in ClickClaim.select()] == [2]


# ---- who cannot take a click leaves it to the next ----


@pytest.mark.services
@pytest.mark.parametrize("policy", ["noeviction", "volatile-lru"])
def test_clicks_that_a_full_redis_refuses_go_to_the_database(shared: Api, stream: redis.Redis, policy: str) -> None:
    url = shared.url()
    follow(shared, url)
    stream.config_set("maxmemory-policy", policy)
    stream.config_set("maxmemory", "1")
    follow(shared, url, 3)
    assert stream.xlen(STREAM) == 1
    stream.config_set("maxmemory", "0")
    assert clicks_of(shared, url) == 4


@pytest.mark.services
def test_a_click_that_nobody_can_take_is_a_503(bound: Bound) -> None:
    nowhere = free_port()
    api = bound(database_url=f"postgresql+pool://x@127.0.0.1:{nowhere}/x", redis_url=f"redis://127.0.0.1:{nowhere}/0")
    for _ in range(3):
        began = time.monotonic()
        response = api.client.get("/abcdef")
        assert time.monotonic() - began < 3
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
        assert response.json["message"] == "Database is unavailable"


@pytest.mark.services
def test_while_postgresql_is_away_cached_links_work_and_their_clicks_are_stored_later(
    bound: Bound, redis_server: Redis, postgres_server: Postgres, stream: redis.Redis
) -> None:
    api = bound(database_url=postgres_server.url, redis_url=redis_server.url)
    cached, forgotten = api.url(), api.url()
    stream.delete(f"link:{forgotten['short_code']}")
    postgres_server.kill()
    follow(api, cached, 3)
    for request in (f"/{forgotten['short_code']}", "/events", f"/urls/{cached['id']}", "/users"):
        response = api.client.get(request)
        assert (response.status_code, response.headers["Retry-After"], response.json["error"]) == (503, "1", "Service Unavailable")
    assert api.client.post("/urls", json={"original_url": "https://example.com/"}).status_code == 503
    follow(api, cached)
    postgres_server.start()
    time.sleep(1.05)  # for a second the database is left alone
    assert clicks_of(api, cached) == 4
