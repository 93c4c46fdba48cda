"""Each answered redirect is one event and one click on the counter, with and without Redis."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg2
import pytest
import redis

from app.database import DatabaseUnavailable, db, released
from app.models import ClickClaim
from app.redirects import drain as drain_module
from app.redirects.connection import STREAM, RedisUnavailable
from app.redirects.drain import EPOCH, drain, get_position
from app.redirects.unreadable import UNREADABLE
from testkit.machine import Stopwatch
from testkit.servers import HANGS_SECONDS, ROOT, Postgres, Redis, free_port, wait_for
from tests.conftest import Api

Bound = Callable[..., Api]


# ---- both ways ----


def test_long_values_of_a_visitor_are_cut(api: Api) -> None:
    url = api.url()
    api.client.get(
        f"/{url['short_code']}", headers={"User-Agent": "u" * 5000, "Referer": "r" * 5000}
    )
    details = api.get("/events?type=clicked")[0]["details"]
    assert (len(details["user_agent"]), len(details["referrer"])) == (300, 500)


def test_a_click_belongs_to_the_links_owner(api: Api) -> None:
    user = api.user()
    url = api.url(user_id=user["id"])
    api.follow(url)
    assert api.get("/events?type=clicked")[0]["user_id"] == user["id"]


def test_clicks_on_a_link_that_was_deleted_since_stay_with_its_events(api: Api) -> None:
    url = api.url()
    api.follow(url, 2)
    api.client.delete(f"/urls/{url['id']}")
    assert len(api.get(f"/events?type=clicked&url_id={url['id']}")) == 2


def test_clicks_on_a_link_whose_owner_was_deleted_since_go_with_it(api: Api) -> None:
    user = api.user()
    mine, other = api.url(user_id=user["id"]), api.url()
    api.follow(mine, 2)
    api.follow(other, 2)
    api.client.delete(f"/users/{user['id']}")
    assert [event["url_id"] for event in api.get("/events?type=clicked")] == [other["id"]] * 2


def test_a_process_that_was_forked_gives_ids_of_its_own() -> None:
    script = (
        "import os; from app.redirects.clicks import Click; pid = os.fork(); "
        "os.write(1, Click('x', '{}').id[:12].encode() + b' '); pid and os.wait()"
    )
    output = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    assert len(set(output)) == 2


# ---- the drain ----


@pytest.mark.services
def test_a_click_waits_in_the_stream_until_somebody_asks(shared: Api, held: redis.Redis) -> None:
    url = shared.url()
    shared.follow(url, 3)
    assert held.xlen(STREAM) == 3
    assert shared.clicks(url) == 3
    assert held.xlen(STREAM) == 0
    assert get_position()["drained"] == 3


@pytest.mark.services
def test_the_backlog_is_measured(shared: Api) -> None:
    assert drain.backlog() == (0, pytest.approx(0, abs=0.1))
    shared.follow(shared.url(), 2)
    length, age = drain.backlog()
    assert length == 2
    assert 0 <= age < 60


@pytest.mark.services
def test_a_click_waits_for_as_long_as_it_was_seen_to_where_the_clock_was_set_back(
    shared: Api, held: redis.Redis
) -> None:
    future = (int(time.time()) + 3600) * 1000
    held.xadd(STREAM, {"click": "x"}, id=f"{future}-0")
    age = drain.backlog()[1]
    time.sleep(0.2)
    older = drain.backlog()[1]
    assert older >= age + 0.2
    held.delete(STREAM)
    held.xadd(STREAM, {"click": "y"}, id=f"{future}-1")
    assert drain.backlog()[1] < older


@pytest.mark.services
def test_a_drain_that_died_between_its_commit_and_the_trim_doubles_nothing(
    shared: Api, held: redis.Redis
) -> None:
    url = shared.url()
    shared.follow(url, 3)
    entries: Any = held.xrange(STREAM)
    assert drain.run() == 3
    ClickClaim.delete().execute()  # that is long ago
    held.delete(STREAM)
    for entry_id, values in entries:
        held.xadd(STREAM, values, id=entry_id)
    assert shared.clicks(url) == 3
    assert held.xlen(STREAM) == 0
    shared.follow(url)
    assert shared.clicks(url) == 4


@pytest.mark.services
def test_several_drains_at_once_move_each_click_once(shared: Api) -> None:
    url = shared.url()
    shared.follow(url, 1500)

    def move() -> None:
        with released():
            drain.run()

    threads = [threading.Thread(target=move) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert get_position()["drained"] == 1500
    assert shared.clicks(url) == 1500


@pytest.mark.services
def test_all_who_need_a_locked_table_are_refused_soon(
    bound: Bound, redis_server: Redis, postgres_server: Postgres
) -> None:
    api = bound(database_url=postgres_server.url, redis_url=redis_server.url)
    url = api.url()
    api.follow(url)

    def ask(path: str) -> tuple[int, float]:
        watch = Stopwatch()
        return api.client.application.test_client().get(path).status_code, watch.wall

    def wait_in_vain(_number: int) -> float:
        watch = Stopwatch()
        refused = pytest.raises(psycopg2.errors.LockNotAvailable)
        with closing(psycopg2.connect(address, options="-c lock_timeout=800")) as waiting, refused:
            waiting.cursor().execute("SELECT 1 FROM urls")
        return watch.wall

    address = postgres_server.url.replace("+pool", "")
    with closing(psycopg2.connect(address)) as other, ThreadPoolExecutor(12) as threads:
        other.cursor().execute("LOCK TABLE urls, users")
        one_wait = max(threads.map(wait_in_vain, range(12)))  # on this machine, as busy as it is
        answers = list(threads.map(ask, ["/urls", "/users", "/events"] * 4))
    assert {status for status, _ in answers} == {503}
    assert max(seconds for _, seconds in answers) < 2 * one_wait
    assert api.clicks(url) == 1


@pytest.mark.services
def test_a_change_of_a_link_does_not_wait_for_another_links_clicks(
    bound: Bound, redis_server: Redis, postgres_server: Postgres
) -> None:
    api = bound(database_url=postgres_server.url, redis_url=redis_server.url)
    locked, changed, deleted = api.url(), api.url(), api.url()
    api.follow(locked)
    with closing(psycopg2.connect(postgres_server.url.replace("+pool", ""))) as other:
        other.cursor().execute("SELECT 1 FROM urls WHERE id = %s FOR UPDATE", (locked["id"],))
        renamed = api.client.put(f"/urls/{changed['id']}", json={"title": "new"})
        assert renamed.status_code == 200
        assert api.client.delete(f"/urls/{deleted['id']}").status_code == 204
    assert api.clicks(locked) == 1


@pytest.mark.services
def test_all_who_ask_while_a_batch_is_moved_share_its_failure(
    shared: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.follow(shared.url())
    batches: list[int] = []

    def waiters() -> Collection[Any]:
        return drain._batch._condition._waiters  # type: ignore[union-attr,attr-defined]

    def fail(*_arguments: Any) -> Any:
        batches.append(1)
        wait_for(lambda: len(waiters()) == 5, what="the others, who wait for this batch")
        raise DatabaseUnavailable("locked")

    def refused() -> bool:
        with pytest.raises(DatabaseUnavailable, match="locked"):
            drain.run()
        return True

    with monkeypatch.context() as broken, ThreadPoolExecutor(6) as threads:
        broken.setattr(drain, "_drain_batch", fail)
        assert all(threads.map(lambda _number: refused(), range(6)))
    assert len(batches) == 1
    assert drain.run() == 1


@pytest.mark.services
def test_who_asks_while_a_batch_is_moved_gets_what_came_after_it_too(
    shared: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = shared.url()
    shared.follow(url)
    in_the_middle, go_on = threading.Event(), threading.Event()
    store = drain_module.store

    def slowly(entries: Any) -> None:
        in_the_middle.set()
        go_on.wait(HANGS_SECONDS)
        store(entries)

    def move() -> int:
        with released():
            return drain.run()

    monkeypatch.setattr(drain_module, "store", slowly)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(move)
        in_the_middle.wait(HANGS_SECONDS)
        shared.follow(url)
        second = threads.submit(move)
        time.sleep(0.1)
        go_on.set()
        assert (first.result(), second.result()) == (1, 1)


@pytest.mark.services
def test_a_redis_that_was_emptied_begins_a_new_epoch(shared: Api, held: redis.Redis) -> None:
    url = shared.url()
    shared.follow(url, 2)
    assert shared.clicks(url) == 2
    held.flushall()
    shared.follow(url, 2)
    assert shared.clicks(url) == 4


@pytest.mark.services
def test_a_fresh_redis_whose_clock_is_behind_hides_no_clicks(
    shared: Api, held: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    url = shared.url()
    held.xadd(STREAM, {"from": "the far future"}, id="99999999999999-0")
    drain.run()
    held.flushall()
    shared.follow(url, 2)
    assert shared.clicks(url) == 2


def poison(
    click_id: str = "0123456789ab0",
    ms: str = "1",
    visitor: str = '{"ip": "x"}',
    link: str = "a 1 1 https://example.com/",
) -> dict[str, str]:
    return {"click": f"{click_id} {ms} abcdef {visitor}\n{link}"}


POISON = {
    "no field of ours": {"x": poison()["click"]},
    "no line": {"click": "x"},
    "a bad id": poison(click_id="'OR1=1"),
    "no number": poison(ms="soon"),
    "a moment that no calendar has": poison(ms="9" * 30),
    "a moment before all others": poison(ms="-1"),
    "no link": poison(link="garbage"),
    "a link that does not work": poison(link="i 1 1 https://example.com/"),
    "an id that no link has": poison(link=f"a 1 {2**70} https://example.com/"),
    "no JSON": poison(visitor="{"),
    "no object": poison(visitor="[]"),
    "nothing in the object": poison(visitor="{}"),
    "JSON that is too deep": poison(visitor="[" * 100_000),
    "text that is none": {"click": b"0123456789ab0 1 \xff {}\na 1 1 https://example.com/"},
}


@pytest.mark.services
@pytest.mark.parametrize("values", POISON.values(), ids=POISON)
def test_an_entry_that_is_no_click_is_logged_and_skipped(
    shared: Api, held: redis.Redis, caplog: pytest.LogCaptureFixture, values: dict[Any, Any]
) -> None:
    url = shared.url()
    shared.follow(url)
    held.xadd(STREAM, values)
    shared.follow(url)
    with caplog.at_level(logging.ERROR, "app.redirects.clicks"):
        assert shared.clicks(url) == 2
    assert "no click" in caplog.text
    assert held.xlen(STREAM) == 0


def made_by_a_newer_version(url: dict[str, Any]) -> dict[str, str]:
    """An entry of one click that this version cannot read: its link has an unknown state."""
    return poison(link=f"z 1 {url['id']} https://example.com/")


@pytest.mark.services
def test_an_entry_that_is_no_click_is_counted_and_a_copy_is_kept_for_a_week(
    shared: Api, held: redis.Redis
) -> None:
    url = shared.url()
    for _ in range(2):
        held.xadd(STREAM, made_by_a_newer_version(url))
    shared.follow(url)
    assert shared.clicks(url) == 1
    position = get_position()
    assert (position["drained"], position["unreadable"]) == (3, 2)
    copies: Any = held.xrange(UNREADABLE)
    fields = {name.encode(): text.encode() for name, text in made_by_a_newer_version(url).items()}
    assert [values for _, values in copies] == [fields] * 2
    assert 0 < held.ttl(UNREADABLE) <= 7 * 86400
    assert drain.run() == 0


@pytest.mark.services
def test_a_batch_that_is_tried_again_is_copied_once_and_old_copies_go(
    shared: Api, held: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = shared.url()
    held.xadd(UNREADABLE, {"click": "old"}, id="1-0")
    held.xadd(STREAM, made_by_a_newer_version(url))
    with monkeypatch.context() as patch:
        patch.setattr(drain_module, "_keep_position", _refuse)
        with pytest.raises(DatabaseUnavailable):
            drain.run_wholly()
    drain.run_wholly()
    copies: Any = held.xrange(UNREADABLE)
    assert len(copies) == 1
    assert copies[0][1] != {b"click": b"old"}


def _refuse(*_: Any) -> None:
    raise DatabaseUnavailable("the disk is full")


@pytest.mark.services
def test_copies_that_the_error_page_puts_back_are_drained_by_a_version_that_can_read_them(
    shared: Api, held: redis.Redis
) -> None:
    url = shared.url()
    readable = poison(link=f"a 1 {url['id']} https://example.com/")
    held.xadd(UNREADABLE, readable)
    page = (ROOT / "docs" / "error-handling.md").read_text()
    [script] = re.findall(r'redis-cli EVAL "(.*?)" 2 clicks:unreadable clicks', page)
    held.eval(script, 2, UNREADABLE, STREAM)
    assert held.exists(UNREADABLE) == 0
    assert shared.clicks(url) == 1


@pytest.mark.services
def test_a_full_redis_that_refuses_the_copy_does_not_stop_the_drain(
    shared: Api, held: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    url = shared.url()
    shared.follow(url)
    assert shared.clicks(url) == 1
    shared.follow(url)
    held.xadd(STREAM, made_by_a_newer_version(url))
    held.config_set("maxmemory", "1")
    try:
        assert shared.clicks(url) == 2
    finally:
        held.config_set("maxmemory", "0")
    assert "Redis refused to copy 1 entries" in caplog.text
    assert held.xlen(STREAM) == 0


def test_a_drain_that_must_be_whole_says_when_redis_is_unavailable(bound: Bound) -> None:
    bound(redis_url=f"redis://127.0.0.1:{free_port()}/0")
    assert drain.run() == 0
    with pytest.raises(RedisUnavailable):
        drain.run_wholly()


def test_without_a_redis_no_click_waits(bound: Bound) -> None:
    bound(redis_url="")
    assert drain.run_wholly() == 0
    with db.atomic(), pytest.raises(RuntimeError):
        drain.run_wholly()


@pytest.mark.services
def test_a_key_of_another_type_in_the_streams_place_sends_clicks_to_the_database(
    shared: Api, held: redis.Redis
) -> None:
    url = shared.url()
    held.set(STREAM, "x")
    shared.follow(url, 2)
    assert shared.clicks(url) == 2


@pytest.mark.services
def test_clicks_that_waited_while_their_links_were_deleted_do_not_stop_the_others(
    shared: Api,
) -> None:
    user = shared.user()
    mine, other = shared.url(user_id=user["id"]), shared.url()
    for url in (mine, other, mine, other):
        shared.follow(url)
    shared.client.delete(f"/users/{user['id']}")
    assert shared.clicks(other) == 2


# ---- who cannot take a click leaves it to the next ----


@pytest.mark.services
@pytest.mark.parametrize("policy", ["noeviction", "volatile-lru"])
def test_clicks_that_a_full_redis_refuses_go_to_the_database(
    shared: Api, held: redis.Redis, policy: str
) -> None:
    url = shared.url()
    shared.follow(url)
    held.config_set("maxmemory-policy", policy)
    held.config_set("maxmemory", "1")
    shared.follow(url, 3)
    assert held.xlen(STREAM) == 1
    held.config_set("maxmemory", "0")
    assert shared.clicks(url) == 4


@pytest.mark.services
def test_a_full_redis_whose_stream_was_never_drained_is_drained(
    shared: Api, held: redis.Redis
) -> None:
    url = shared.url()
    shared.follow(url, 3)
    assert (held.xlen(STREAM), held.exists(EPOCH)) == (3, 0)
    held.config_set("maxmemory-policy", "noeviction")
    held.config_set("maxmemory", "1")
    try:
        assert drain.run_wholly() == 3
        assert held.xlen(STREAM) == 0
        epoch = held.get(EPOCH)
    finally:
        held.config_set("maxmemory", "0")
    shared.follow(url)
    assert shared.clicks(url) == 4
    assert held.get(EPOCH) == epoch, "the same life of the stream"


@pytest.mark.services
def test_a_click_that_nobody_can_take_is_a_503(bound: Bound) -> None:
    nowhere = free_port()
    api = bound(
        database_url=f"postgresql+pool://x@127.0.0.1:{nowhere}/x",
        redis_url=f"redis://127.0.0.1:{nowhere}/0",
    )
    for _ in range(3):
        watch = Stopwatch()
        response = api.client.get("/abcdef")
        assert watch.seconds < 3
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
        assert response.json["message"] == "Database is unavailable"


@pytest.mark.services
def test_while_postgresql_is_unavailable_cached_links_work_and_their_clicks_are_stored_later(
    bound: Bound, redis_server: Redis, postgres_server: Postgres, held: redis.Redis
) -> None:
    api = bound(database_url=postgres_server.url, redis_url=redis_server.url)
    cached, forgotten = api.url(), api.url()
    held.delete(f"link:{forgotten['short_code']}")
    postgres_server.kill()
    api.follow(cached, 3)
    for request in (f"/{forgotten['short_code']}", "/events", f"/urls/{cached['id']}", "/users"):
        response = api.client.get(request)
        assert (response.status_code, response.headers["Retry-After"], response.json["error"]) == (
            503,
            "1",
            "Service Unavailable",
        )
    assert (
        api.client.post("/urls", json={"original_url": "https://example.com/"}).status_code == 503
    )
    api.follow(cached)
    postgres_server.start()
    wait_for(lambda: api.client.get("/events").status_code == 200)
    assert api.clicks(cached) == 4
