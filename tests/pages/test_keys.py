"""The page of API keys: what it shows, and that a secret is shown once only."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from app.database import now
from app.models import ApiKey, IdempotencyKey
from tests.conftest import Api
from tests.pages.reading import BROWSER, page_at
from tests.walking import bearer, secret_of

SECRET = re.compile("holdfast_[0-9A-Za-z]{49}")


def test_a_browser_gets_the_page_and_a_program_the_list(client: FlaskClient, api: Api) -> None:
    api.key("deploy", "write")
    assert "deploy" in page_at(client, "/keys")
    answer = client.get("/keys")
    assert [key["name"] for key in answer.json or []] == ["deploy"]
    assert "Accept" in answer.headers["Vary"]


def test_the_page_shows_all_of_a_key_and_its_state(client: FlaskClient, api: Api) -> None:
    user = api.user()
    api.key("of ada", "read", user_id=user["id"], expires_at="2099-12-31T12:00:00Z")
    past = now() - timedelta(days=1)
    secret_of("admin", expires_at=past)
    secret_of("admin", revoked_at=past)
    text = page_at(client, "/keys")
    assert 'datetime="2099-12-31 12:00:00Z"' in text
    assert f"<td>{user['id']}</td>" in text
    assert all(f">{state}</span>" in text for state in ("active", "expired", "revoked"))


def test_a_new_keys_secret_is_shown_on_the_answer_and_never_again(client: FlaskClient) -> None:
    form = {"name": "deploy", "scope": "write", "user_id": "", "expires_at": ""}
    answer = client.post("/keys/new", data=form, headers=BROWSER)
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "private, no-store"
    found = SECRET.search(answer.text)
    assert found
    assert client.get("/urls", headers=bearer(found[0])).status_code == 200
    assert SECRET.search(page_at(client, "/keys")) is None


def test_the_new_key_is_as_the_form_says(client: FlaskClient, api: Api) -> None:
    user = api.user()
    form = {"name": "x1", "scope": "read", "user_id": user["id"], "expires_at": "2099-01-01T12:00"}
    client.set_cookie("tz", "Asia/Tokyo")
    assert client.post("/keys/new", data=form, headers=BROWSER).status_code == 201
    key = api.get("/keys")[0]
    assert (key["name"], key["scope"], key["user_id"]) == ("x1", "read", user["id"])
    assert key["expires_at"] == "2099-01-01T03:00:00"


@pytest.mark.parametrize(
    ("changes", "field", "status"),
    [
        ({"name": ""}, "name", 400),
        ({"name": "taken"}, "name", 409),
        ({"scope": "owner"}, "scope", 400),
        ({"user_id": "7"}, "user_id", 404),
        ({"user_id": "ada"}, "user_id", 400),
        ({"expires_at": "2001-01-01T12:00"}, "expires_at", 400),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    client: FlaskClient, api: Api, changes: dict[str, str], field: str, status: int
) -> None:
    api.key("taken", "read")
    form = {"name": "deploy", "scope": "read", **changes}
    answer = client.post("/keys/new", data=form, headers=BROWSER)
    assert answer.status_code == status
    tag = re.search(rf'<(?:input|select) id="{field}"[^>]*>', answer.text)
    assert tag
    assert 'aria-invalid="true"' in tag[0]
    assert f'aria-describedby="{field}-note"' in tag[0]
    assert answer.text.count('aria-invalid="true"') == 1
    assert ApiKey.select().count() == 1


def test_a_rotated_keys_new_secret_is_shown_once_and_works(client: FlaskClient, api: Api) -> None:
    key = api.key("deploy", "write")
    path = f"/keys/{key['id']}/view"
    answer = client.post(path, data={"action": "rotate", "seen": ""}, headers=BROWSER)
    assert answer.headers["Cache-Control"] == "private, no-store"
    found = SECRET.search(answer.text)
    assert found
    assert found[0] != key["key"]
    assert client.get("/urls", headers=bearer(found[0])).status_code == 200


def test_a_reload_rotates_no_second_time(client: FlaskClient, api: Api) -> None:
    key = api.key("deploy", "write")
    path, form = f"/keys/{key['id']}/view", {"action": "rotate", "seen": ""}
    client.post(path, data=form, headers=BROWSER)
    before = ApiKey.get().hash
    again = client.post(path, data=form, headers=BROWSER)
    assert (again.status_code, again.mimetype) == (409, "text/html")
    assert ApiKey.get().hash == before


def test_a_key_is_revoked_only_with_the_button_that_says_so(client: FlaskClient, api: Api) -> None:
    key = api.key("deploy", "write")
    path = f"/keys/{key['id']}/view"
    assert client.post(path, data={"action": ""}, headers=BROWSER).status_code == 400
    assert ApiKey.get().revoked_at is None
    answer = client.post(path, data={"action": "revoke"}, headers=BROWSER)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/keys")
    assert ApiKey.get().revoked_at is not None
    assert 'value="revoke"' not in page_at(client, "/keys")


def test_no_stored_answer_has_a_secret(client: FlaskClient, api: Api) -> None:
    key = api.key("deploy", "write")
    sent = {**BROWSER, "Idempotency-Key": "one"}
    form = {"name": "other", "scope": "read"}
    assert client.post("/keys/new", data=form, headers=sent).status_code == 201
    rotate = {"action": "rotate", "seen": ""}
    assert client.post(f"/keys/{key['id']}/view", data=rotate, headers=sent).status_code == 200
    assert IdempotencyKey.select().count() == 0


def test_a_form_that_was_answered_leads_back_to_the_list(client: FlaskClient) -> None:
    for path in ("/keys/new", "/keys/1/view"):
        assert client.get(path, headers=BROWSER).headers["Location"] == "/keys"


def test_many_keys_are_paged(client: FlaskClient) -> None:
    for _ in range(26):
        secret_of("read")
    first, second = page_at(client, "/keys"), page_at(client, "/keys?page=2")
    assert 'rel="next" href="/keys?page=2"' in first
    assert 'rel="prev" href="/keys?page=1"' in second
    assert (first.count('value="revoke"'), second.count('value="revoke"')) == (25, 1)


@pytest.mark.parametrize("asked", ["x", "-1", "99999999999999999999999"])
def test_a_page_that_cannot_be_is_no_failure(client: FlaskClient, asked: str) -> None:
    page_at(client, f"/keys?page={asked}")


def test_only_an_admin_comes_in(client: FlaskClient, given_with: Callable[..., None]) -> None:
    given_with(auth="on")
    for scope, status in (("write", 403), ("admin", 200)):
        sent = {**BROWSER, **bearer(secret_of(scope))}
        assert client.get("/keys", headers=sent).status_code == status
    assert client.get("/keys", headers=BROWSER).status_code == 401


def test_whoever_is_signed_in_sees_which_key_is_theirs(
    client: FlaskClient, given_with: Callable[..., None]
) -> None:
    given_with(auth="on")
    client.post("/keys/session", data={"key": secret_of("admin")}, headers=BROWSER)
    secret_of("read")
    assert page_at(client, "/keys").count(">yours</span>") == 1


def test_a_name_is_text(client: FlaskClient, api: Api) -> None:
    api.key("<script>alert(1)</script>", "read")
    text = page_at(client, "/keys")
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
