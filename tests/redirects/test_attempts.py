"""A redirect of a link with a limit spends one click, also when the proxy repeats its request.

Only a trusted proxy says that a request is a repeat; a client says so only through one that passes
the client's X-Attempt-ID on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import Client

from app.database import now
from app.models import ClickClaim
from app.proxies import Proxies
from app.redirects import attempts
from tests.conftest import Api

ID, OTHER_ID = "0" * 32, "f" * 32
Follow = Callable[..., int]


@pytest.fixture
def link(api: Api) -> Any:
    return api.url(max_clicks=2)


@pytest.fixture
def follow(app: Flask, link: Any) -> Follow:
    """Follows the link behind a proxy; the status."""
    client = Client(Proxies(app.wsgi_app, 1))

    def ask(attempt: str = ID, address: str = "192.0.2.1", agent: str = "a", code: str = "") -> int:
        headers = {"X-Attempt-ID": attempt, "X-Forwarded-For": address, "User-Agent": agent}
        return client.get(f"/{code or link['short_code']}", headers=headers).status_code

    return ask


def test_a_repeat_is_answered_and_spends_no_click(api: Api, link: Any, follow: Follow) -> None:
    assert [follow(), follow(), follow(OTHER_ID), follow(OTHER_ID)] == [302] * 4
    assert api.clicks(link) == 2
    assert follow("a" * 32) == 410
    assert [follow(), follow(OTHER_ID)] == [302] * 2, "also when the limit is reached by now"
    assert api.clicks(link) == 2


OTHERS = {
    "another address": {"address": "198.51.100.1"},
    "another agent": {"agent": "b"},
    "another id": {"attempt": OTHER_ID},
    "no id": {"attempt": ""},
    "what is no id": {"attempt": "x" * 32},
}


@pytest.mark.parametrize("other", OTHERS)
def test_what_is_no_repeat_spends_a_click(api: Api, link: Any, follow: Follow, other: str) -> None:
    assert [follow(), follow(**OTHERS[other]), follow("a" * 32)] == [302, 302, 410]
    assert api.clicks(link) == 2


def test_another_link_is_another_click(api: Api, link: Any, follow: Follow) -> None:
    second = api.url(max_clicks=1)
    assert [follow(), follow(code=second["short_code"])] == [302] * 2
    assert (api.clicks(link), api.clicks(second)) == (1, 1)


def test_what_is_no_id_is_never_a_repeat(api: Api, link: Any, follow: Follow) -> None:
    assert [follow("x" * 32) for _ in range(3)] == [302, 302, 410]


def test_after_some_seconds_there_is_no_repeat(api: Api, link: Any, follow: Follow) -> None:
    assert follow() == 302
    assert ClickClaim.get().forget_at <= now() + timedelta(seconds=10)
    ClickClaim.update(forget_at=now() - timedelta(seconds=1)).execute()
    assert [follow(), follow("a" * 32)] == [302, 410]


def test_without_redis_each_64th_click_takes_with_it_what_is_too_old(
    bound: Callable[..., Api], follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "_noted", itertools.count(1))
    code = bound(redis_url="").url(max_clicks=100)["short_code"]
    old = ("old", 0, 0, "[]", now() - timedelta(seconds=1))
    columns = [getattr(ClickClaim, name) for name in COLUMNS]
    ClickClaim.insert_many([old] * 300, columns).execute()
    for number in range(63):
        assert follow(f"{number:032x}", code=code) == 302
    assert too_old() == 300
    assert follow("f" * 32, code=code) == 302
    assert too_old() == 100, "a bounded number at a time"
    assert ClickClaim.select().count() == 100 + 64


COLUMNS = "process", "lowest", "highest", "numbers", "forget_at"


def too_old() -> int:
    return int(ClickClaim.select().where(ClickClaim.forget_at <= now()).count())


def test_without_a_trusted_proxy_nobody_names_a_repeat(api: Api, link: Any) -> None:
    headers = {"X-Attempt-ID": ID}
    path = f"/{link['short_code']}"
    assert [api.client.get(path, headers=headers).status_code for _ in range(3)] == [302, 302, 410]
    assert not ClickClaim.select().exists()
