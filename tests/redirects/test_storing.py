"""Clicks that are stored alone; with an unknown outcome and a limit: refused, or counted."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from app.database import db
from app.redirects import cancelling, recording, rollups
from app.redirects.clicks import Click, Outcome
from app.redirects.drain import store
from app.redirects.links import SPENT
from app.redirects.storing import spend
from tests.conftest import Api
from tests.redirects.test_drain import Bound
from tests.redirects.test_recording import clicks_on


@pytest.fixture
def link(api: Api) -> Any:
    return api.url(max_clicks=1)


def spent(click: Click) -> bool:
    """Whether the answer is 410."""
    held: Any = recording._look_up(click.short_code)
    return spend(click, held).state == SPENT


def bring(*clicks: Click) -> None:
    """As the drain, which reads them from the stream."""
    with db.atomic():
        store(clicks)


def test_a_click_that_the_drain_has_counted_is_not_refused_though_it_was_the_last(
    api: Api, link: Any
) -> None:
    (click,) = clicks_on(link, 1)
    bring(click)
    click.outcome = Outcome.UNKNOWN
    assert not spent(click)
    assert click.outcome is Outcome.RECORDED
    assert api.clicks(link) == 1


def test_a_click_that_is_refused_is_not_counted_when_the_stream_brings_it(
    api: Api, link: Any
) -> None:
    first, refused = clicks_on(link, 2)
    bring(first)
    refused.outcome = Outcome.UNKNOWN
    assert spent(refused)
    assert refused.outcome is Outcome.NOT_RECORDED
    bring(refused)
    assert api.clicks(link) == 1


def test_a_click_that_is_refused_takes_no_other_with_it_when_its_commit_has_no_answer(
    api: Api, link: Any
) -> None:
    first, refused = clicks_on(link, 2)  # of one visitor, in one second
    bring(first)
    refused.outcome = Outcome.UNKNOWN
    assert spent(refused)
    refused.outcome = Outcome.UNKNOWN  # nobody was told that it is claimed
    cancelling.cancel(refused)
    assert api.clicks(link) == 1


def test_a_click_that_is_not_stored_yet_is_one_whoever_comes_first(api: Api, link: Any) -> None:
    (click,) = clicks_on(link, 1)
    click.outcome = Outcome.UNKNOWN
    assert not spent(click)
    bring(click)
    assert api.clicks(link) == 1


def test_a_click_that_is_stored_alone_is_one_towards_the_next_folding(
    bound: Bound, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = bound(redis_url="")
    plain, limited = api.url(), api.url(max_clicks=9)
    monkeypatch.setattr(rollups, "_stored", itertools.count(1))
    api.follow(plain, 2)
    api.follow(limited, 3)
    assert next(rollups._stored) == 6
