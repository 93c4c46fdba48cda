"""Requests with one key at once, transactions around services, and what Redis hears of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.database import db, released
from app.models import CacheUpdate, IdempotencyKey
from app.redirects.drain import drain
from app.schemas import UrlCreate, UrlUpdate
from app.services import urls
from testkit.servers import LONG_LOCKS, Postgres, wait_for
from testkit.webserver import WebServer
from tests.answers import check
from tests.conftest import Api
from tests.holding import holding

Bound = Callable[..., Api]
LINK = {"original_url": "https://example.com/"}


def post(client: FlaskClient, key: str, path: str = "/urls", **body: Any) -> TestResponse:
    return client.post(path, json=body or LINK, headers={"Idempotency-Key": key})


LOCKED = "SELECT id FROM users FOR UPDATE"
"""Requests that make links of users wait."""


@pytest.mark.services
def test_a_request_is_409_while_the_first_one_runs(bound: Bound, postgres_server: Postgres) -> None:
    api = bound(database_url=postgres_server.url + LONG_LOCKS, redis_url="")
    user_id, answers = api.user()["id"], []
    body = {**LINK, "user_id": user_id}
    first = threading.Thread(target=lambda: answers.append(post(api.client, "k", **body)))
    with holding(postgres_server.url, LOCKED) as waiting:
        first.start()
        wait_for(lambda: waiting() == 1)
        for again in (body, LINK):  # its body is not known yet
            said = check(post(api.client, "k", **again), 409).get_json()["message"]
            assert said == "The first request with the Idempotency-Key k is still running"
        check(post(api.client, "other"), 201)
    first.join()
    check(answers[0], 201)
    again = check(post(api.client, "k", **body), 201)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.data == answers[0].data
    assert len(api.get(f"/urls?user_id={user_id}")) == 1


@pytest.mark.services
def test_a_503_is_not_kept(bound: Bound, postgres_server: Postgres) -> None:
    api = bound(database_url=postgres_server.url, redis_url="")
    user_id = api.user()["id"]
    body = {**LINK, "user_id": user_id}
    with holding(postgres_server.url, LOCKED):
        check(post(api.client, "k", **body), 503)
    with released():
        assert IdempotencyKey.select().count() == 0
    for _ in range(2):
        check(post(api.client, "k", **body), 201)
    assert len(api.get("/urls")) == 1


def test_many_at_once_make_one_link(tmp_path: Path, settings: Any) -> None:
    """On SQLite they wait for each other, so none of them is refused."""
    with WebServer(tmp_path, WEB_WORKERS="2", WEB_THREADS="4") as server:
        answers: list[tuple[int, str]] = []
        barrier = threading.Barrier(12)

        def send() -> None:
            barrier.wait()
            reply = server.get("/urls", "POST", {"Idempotency-Key": "k"}, LINK)
            answers.append((reply.status, reply.text))

        threads = [threading.Thread(target=send) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(server.get("/urls").json()) == 1
    assert {status for status, _ in answers} == {201}
    assert len({text for _, text in answers}) == 1


# ---- what Redis hears of a transaction ----


@pytest.mark.services
def test_a_new_link_is_cached_after_the_commit(shared: Api, held: redis.Redis) -> None:
    with released(), db.atomic():
        url = urls.create(UrlCreate(**LINK))
        assert not held.exists(f"link:{url.short_code}")
    assert held.exists(f"link:{url.short_code}")
    code = check(post(shared.client, "k"), 201).get_json()["short_code"]
    assert held.exists(f"link:{code}")


@pytest.mark.services
def test_a_link_that_was_undone_is_not_cached(shared: Api, held: redis.Redis) -> None:
    with released(), suppress(KeyError), db.atomic():
        urls.create(UrlCreate(**LINK))
        raise KeyError
    with released(), db.atomic():
        kept = urls.create(UrlCreate(**LINK))
        with suppress(KeyError), db.atomic():
            urls.create(UrlCreate(**LINK))
            raise KeyError
    assert held.keys("link:*") == [f"link:{kept.short_code}".encode()]


@pytest.mark.services
def test_a_change_is_delivered_after_the_commit(shared: Api, held: redis.Redis) -> None:
    url = shared.url()
    key = f"link:{url['short_code']}"
    before = held.get(key)
    with released(), db.atomic():
        urls.update(url["id"], UrlUpdate(is_active=False))
        assert held.get(key) == before
        assert CacheUpdate.select().count() == 1
    assert held.get(key) != before
    with released():
        assert CacheUpdate.select().count() == 0


@pytest.mark.services
def test_clicks_are_not_drained_within_a_transaction(shared: Api, held: redis.Redis) -> None:
    url = shared.url()
    shared.follow(url)
    with released(), suppress(KeyError), db.atomic():
        assert drain.run() == 0
        raise KeyError
    assert held.xlen("clicks") == 1
    event = check(post(shared.client, "k", "/events", event_type="shared", url_id=url["id"]), 201)
    (click,) = shared.get("/events?type=clicked")
    assert click["id"] < event.get_json()["id"]
    assert shared.clicks(url) == 1


@pytest.mark.services
def test_a_click_of_a_client_counts_once(shared: Api) -> None:
    url = shared.url()
    for _ in range(3):
        check(post(shared.client, "k", "/events", event_type="click", url_id=url["id"]), 201)
    assert shared.clicks(url) == 1
