"""Signing in: who gets a session, what it opens, and when it ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.database import now
from app.models import ApiKey, KeyValue
from app.pages import assets
from app.services import keys, sessions
from app.services.keysecrets import new_secret
from testkit.servers import free_port
from tests.conftest import Api
from tests.pages.reading import BROWSER
from tests.walking import secret_of

COOKIE = "holdfast_session"


@pytest.fixture(autouse=True)
def _locked(given_with: Callable[..., None], api: Api) -> None:
    given_with(auth="on")


def sign_in(client: FlaskClient, secret: str, **options: str) -> TestResponse:
    return client.post("/keys/session", data={"key": secret, **options}, headers=BROWSER)


def test_a_key_opens_the_page_until_it_signs_out(client: FlaskClient) -> None:
    assert 'id="list"' not in client.get("/", headers=BROWSER).text
    answer = sign_in(client, secret_of("write"))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    page = client.get("/", headers=BROWSER)
    assert 'id="list"' in page.text
    assert page.headers["Cache-Control"] == "private, no-store"
    client.post("/keys/session/end")
    assert 'id="list"' not in client.get("/", headers=BROWSER).text


def test_no_script_reads_the_cookie_and_no_other_website_sends_it(client: FlaskClient) -> None:
    answer = sign_in(client, secret_of("read"))
    said = answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(said.split("; "))
    assert "Secure" not in said
    secure = client.post(
        "/keys/session", data={"key": secret_of("read")}, base_url="https://localhost/"
    )
    assert "Secure" in secure.headers["Set-Cookie"].split("; ")


def test_the_cookie_does_not_contain_the_key(client: FlaskClient) -> None:
    secret = secret_of("read")
    assert secret not in sign_in(client, secret).headers["Set-Cookie"]


def test_a_wrong_key_is_said_beside_its_field(client: FlaskClient) -> None:
    answer = sign_in(client, new_secret().text)
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers
    assert 'aria-invalid="true"' in answer.text


@pytest.mark.parametrize(
    "columns",
    [
        {"revoked_at": now() - timedelta(days=1)},
        {"expires_at": now() - timedelta(days=1)},
        {"hash": "0" * 64},
    ],
    ids=["revoked", "expired", "another secret"],
)
def test_a_session_ends_with_its_key(client: FlaskClient, columns: dict[str, object]) -> None:
    secret = secret_of("read")
    sign_in(client, secret)
    assert client.get("/urls").status_code == 200
    ApiKey.update(columns).execute()
    keys._remembered.clear()  # a second has passed
    assert client.get("/urls").status_code == 401


def test_a_session_lasts_a_day_longer_than_a_rotated_secret(client: FlaskClient) -> None:
    secret = secret_of("read")
    sign_in(client, secret)
    key = ApiKey.get()
    keys.rotate(key.id)
    assert client.get("/urls").status_code == 200
    ApiKey.update(old_until=now() - timedelta(seconds=1)).execute()
    keys._remembered.clear()  # a second has passed
    assert client.get("/urls").status_code == 401


def test_a_session_ends_after_a_week(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    said = sign_in(client, secret_of("read")).headers["Set-Cookie"]
    assert f"Max-Age={7 * 24 * 3600}" in said.split("; ")
    monkeypatch.setattr(sessions, "SECONDS", -1)
    assert client.get("/urls").status_code == 401


@pytest.mark.parametrize("change", [lambda text: text[:-1], lambda text: "f" + text, str.upper])
def test_a_changed_cookie_opens_nothing(client: FlaskClient, change: Callable[[str], str]) -> None:
    sign_in(client, secret_of("read"))
    cookie = client.get_cookie(COOKIE)
    assert cookie is not None
    client.set_cookie(COOKIE, change(cookie.value))
    assert client.get("/urls").status_code == 401


def test_replicas_share_what_signs_and_another_database_has_another(client: FlaskClient) -> None:
    sign_in(client, secret_of("read"))
    sessions.forget()  # as another replica
    assert client.get("/urls").status_code == 200
    KeyValue.delete().where(KeyValue.name == "session_secret").execute()
    sessions.forget()
    assert client.get("/urls").status_code == 401


def test_the_api_takes_a_session_for_reading_only(client: FlaskClient) -> None:
    sign_in(client, secret_of("admin"))
    assert client.get("/urls").status_code == 200
    refused = client.post("/urls", json={"url": "https://example.com/"})
    assert refused.status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://localhost"}, 303),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({}, 303),
    ],
)
@pytest.mark.parametrize("auth", ["on", "off"])
def test_a_form_of_another_website_changes_nothing(
    client: FlaskClient,
    given_with: Callable[..., None],
    auth: str,
    headers: dict[str, str],
    status: int,
) -> None:
    given_with(auth=auth)
    sign_in(client, secret_of("write"))
    form = {"url": "https://example.com/"}
    assert client.post("/urls/new", data=form, headers=headers).status_code == status
    assert len(client.get("/urls").json or []) == (status == 303)


@pytest.mark.parametrize(
    ("given", "followed"),
    [
        ("/urls/1/view", "/urls/1/view"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("https://evil.example/", "/"),
        ("/\nSet-Cookie: a=b", "/"),
    ],
)
def test_signing_in_leads_to_no_other_website(
    client: FlaskClient, given: str, followed: str
) -> None:
    answer = sign_in(client, secret_of("read"), next=given)
    assert answer.headers["Location"] == followed


def test_what_a_caller_may_not_do_is_not_offered(client: FlaskClient, api: Api) -> None:
    sign_in(client, secret_of("read"))
    page = client.get("/", headers=BROWSER).text
    assert 'action="/urls/new"' not in page
    assert 'href="/keys"' not in page
    sign_in(client, secret_of("admin"))
    page = client.get("/", headers=BROWSER).text
    assert 'action="/urls/new"' in page
    assert 'href="/keys"' in page


def test_the_page_of_a_refusal_offers_what_its_caller_may_do(client: FlaskClient) -> None:
    page = client.get("/urls/1/view", headers=BROWSER)
    assert page.status_code == 401
    assert "Sign out" not in page.text
    assert 'href="/import"' not in page.text
    sign_in(client, secret_of("read"))
    page = client.get("/import", headers=BROWSER)
    assert page.status_code == 403
    assert "Sign out" in page.text
    assert 'href="/import"' not in page.text
    assert 'href="/overview"' in page.text


def test_where_everybody_may_create_links_the_form_is_there_and_the_list_is_not(
    client: FlaskClient, given_with: Callable[..., None]
) -> None:
    given_with(auth="create")
    page = client.get("/", headers=BROWSER).text
    assert 'action="/urls/new"' in page
    assert 'id="list"' not in page
    made = client.post("/urls/new", data={"url": "https://example.com/"}, headers=BROWSER)
    assert made.status_code == 201
    assert "http://localhost/" in made.text[made.text.index('class="made"') :]
    assert 'class="made"' not in client.get("/?made=others", headers=BROWSER).text


def test_whose_key_may_not_create_links_is_offered_no_form(
    client: FlaskClient, given_with: Callable[..., None]
) -> None:
    given_with(auth="create")
    sign_in(client, secret_of("read"))
    assert 'action="/urls/new"' not in client.get("/", headers=BROWSER).text


def test_sheets_ask_for_nobody_and_a_wrong_name_reads_no_others(
    client: FlaskClient, statements: Callable[[], list[str]]
) -> None:
    sign_in(client, secret_of("read"))
    sessions.forget()
    keys._remembered.clear()
    assets.swagger.cache_clear()
    statements()
    assert client.get(assets.address("style.css")).status_code == 200
    assert client.get("/assets/style.0123456789ab.css").status_code == 404
    assert statements() == []
    assert assets.swagger.cache_info().currsize == 0


def test_without_a_database_public_pages_know_nobody(
    client: FlaskClient, bound: Callable[..., Api], given_with: Callable[..., None]
) -> None:
    sign_in(client, secret_of("admin"))
    cookie = client.get_cookie(COOKIE)
    assert cookie is not None
    nowhere = f"postgresql+pool://x@127.0.0.1:{free_port()}/x"
    other = bound(database_url=nowhere, redis_url="").client
    other.set_cookie(COOKIE, cookie.value)
    page = other.get("/status", headers=BROWSER)
    assert (page.status_code, "Out of order" in page.text) == (503, True)
    assert other.get("/docs", headers=BROWSER).status_code == 200


def test_a_page_that_needs_a_key_asks_for_it(client: FlaskClient, app: Flask) -> None:
    answer = client.get("/urls/1/view", headers=BROWSER)
    assert (answer.status_code, answer.mimetype) == (401, "text/html")
    assert 'name="next" value="/urls/1/view"' in answer.text
