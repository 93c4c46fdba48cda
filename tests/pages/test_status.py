"""/status: the health of the parts in words, and who learns of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app.database import db
from testkit.servers import free_port
from tests.conftest import Api
from tests.pages.reading import BROWSER
from tests.walking import secret_of

OUTSIDE = {**BROWSER, "X-Forwarded-For": "203.0.113.9"}
PARTS = ("Database", "Tables", "Redis", "Clicks on their way", "Links that are on")


def test_every_part_is_said_in_words(client: FlaskClient, api: Api) -> None:
    api.url()
    answer = client.get("/status", headers=BROWSER)
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert "<h1>Everything works</h1>" in answer.text
    assert "answers and takes changes" in answer.text
    assert "does not work" not in answer.text


def test_a_database_that_does_not_answer_is_out_of_order(bound: Callable[..., Api]) -> None:
    nowhere = f"postgresql+pool://x@127.0.0.1:{free_port()}/x"
    client = bound(database_url=nowhere, redis_url="").client
    answer = client.get("/status", headers=BROWSER)
    assert answer.status_code == 503
    assert "<h1>Out of order</h1>" in answer.text
    assert "does not answer" in answer.text
    assert client.get("/health/ready").status_code == 503


def test_without_redis_it_works_and_says_what_is_missing(bound: Callable[..., Api]) -> None:
    client = bound(redis_url=f"redis://127.0.0.1:{free_port()}/0").client
    answer = client.get("/status", headers=BROWSER)
    assert answer.status_code == 200
    assert "<h1>It works, but not every part does</h1>" in answer.text
    assert "redirects and clicks go to the database, more slowly" in answer.text


def test_tables_that_are_gone_are_named(bound: Callable[..., Api], tmp_path: Path) -> None:
    client = bound(database_url=f"sqlite:///{tmp_path}/holdfast.db", redis_url="").client
    db.execute_sql("ALTER TABLE urls RENAME TO gone")
    answer = client.get("/status", headers=BROWSER)
    assert answer.status_code == 503
    assert "are missing" in answer.text
    assert client.get("/", headers=BROWSER).status_code == 503


@pytest.mark.parametrize("auth", ["on", "create"])
def test_outsiders_learn_only_whether_it_serves(
    client: FlaskClient, given_with: Callable[..., None], auth: str
) -> None:
    given_with(auth=auth)
    answer = client.get("/status", headers=OUTSIDE)
    assert answer.status_code == 200
    assert "<h1>It works</h1>" in answer.text
    assert not [part for part in PARTS if part in answer.text]
    inside = client.get("/status", headers=BROWSER).text
    assert all(part in inside for part in PARTS[:3])


@pytest.mark.parametrize(("scope", "tells"), [("admin", True), ("write", False)])
def test_an_admin_who_is_signed_in_is_no_outsider(
    client: FlaskClient, given_with: Callable[..., None], scope: str, tells: bool
) -> None:
    given_with(auth="on")
    client.post("/keys/session", data={"key": secret_of(scope)}, headers=OUTSIDE)
    assert ("Database" in client.get("/status", headers=OUTSIDE).text) is tells
