"""/users over HTTP."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.answers import check
from tests.conftest import Api


def test_a_new_user_is_answered_whole_with_its_location(client: FlaskClient) -> None:
    response = check(
        client.post("/users", json={"username": " ada ", "email": "ada@example.com"}), 201
    )
    made = response.get_json()
    assert set(made) == {"id", "username", "email", "created_at"}
    assert (made["username"], made["email"]) == ("ada", "ada@example.com")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", made["created_at"])
    assert response.headers["Location"] == f"/users/{made['id']}"


def test_a_user_is_read_as_it_was_made(api: Api) -> None:
    user = api.user()
    assert api.get(f"/users/{user['id']}") == user
    assert api.get("/users") == [user]


def test_every_missing_field_is_named(client: FlaskClient) -> None:
    assert check(client.post("/users", json={}), 400).get_json()["errors"] == {
        "username": "is required",
        "email": "is required",
    }


def test_every_bad_field_is_named_with_its_value(client: FlaskClient) -> None:
    body = check(client.post("/users", json={"username": 7, "email": "nobody"}), 400).get_json()
    assert body["errors"] == {"username": "must be a string", "email": "not a valid email address"}
    assert "7" in body["message"]
    assert "nobody" in body["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"username": "ada", "email": "other@example.com"}, "Username already exists"),
        ({"username": "other", "email": "ada@example.com"}, "Email already exists"),
        ({"username": "other", "email": "ADA@Example.COM"}, "Email already exists"),
    ],
)
def test_a_taken_username_or_email_is_a_conflict(
    client: FlaskClient, api: Api, body: dict[str, Any], message: str
) -> None:
    api.user("ada")
    other = api.user("eve")
    for response in (
        client.post("/users", json=body),
        client.put(f"/users/{other['id']}", json=body),
    ):
        assert check(response, 409).get_json()["message"].startswith(message)
    assert len(api.get("/users")) == 2
    assert api.get(f"/users/{other['id']}") == other


def test_a_taken_email_beyond_ascii_is_a_conflict_too(client: FlaskClient) -> None:
    check(client.post("/users", json={"username": "a", "email": "É@example.com"}), 201)
    check(client.post("/users", json={"username": "b", "email": "É@EXAMPLE.com"}), 409)


def test_a_conflict_is_never_blamed_on_a_users_own_values(client: FlaskClient, api: Api) -> None:
    api.user("ada")
    eve = api.user("eve")
    response = check(
        client.put(f"/users/{eve['id']}", json={"username": "eve", "email": "ada@example.com"}), 409
    )
    assert response.get_json()["message"].startswith("Email already exists")


def test_usernames_differ_by_case(api: Api) -> None:
    assert api.user("ada")["id"] != api.user("Ada", email="capital@example.com")["id"]


@pytest.mark.parametrize(
    "change",
    [
        {"username": "eve"},
        {"email": "eve@example.com"},
        {"username": "eve", "email": "eve@example.com"},
        {},
    ],
)
def test_an_update_changes_only_what_it_names(
    client: FlaskClient, api: Api, change: dict[str, str]
) -> None:
    user = api.user("ada")
    assert check(client.put(f"/users/{user['id']}", json=change), 200).get_json() == {
        **user,
        **change,
    }
    assert api.get(f"/users/{user['id']}") == {**user, **change}


def test_a_user_may_keep_its_own_values_also_in_another_case(client: FlaskClient, api: Api) -> None:
    user = api.user("ada")
    check(
        client.put(f"/users/{user['id']}", json={"username": "ada", "email": "ada@example.com"}),
        200,
    )
    assert (
        check(
            client.put(f"/users/{user['id']}", json={"email": "Ada@example.com"}), 200
        ).get_json()["email"]
        == "Ada@example.com"
    )


def test_an_update_cannot_change_the_id_or_the_date(client: FlaskClient, api: Api) -> None:
    user = api.user()
    assert (
        check(
            client.put(
                f"/users/{user['id']}", json={"id": 99, "created_at": "2001-01-01T00:00:00"}
            ),
            200,
        ).get_json()
        == user
    )


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_an_unknown_user_is_not_found_by_its_number(client: FlaskClient, method: str) -> None:
    response = check(
        client.open(
            "/users/99", method=method, json={"username": "x"} if method == "PUT" else None
        ),
        404,
    )
    assert response.get_json()["message"] == "User 99 not found"


def test_a_deleted_user_is_gone(client: FlaskClient, api: Api) -> None:
    path = f"/users/{api.user()['id']}"
    check(client.delete(path), 204)
    check(client.get(path), 404)
    check(client.delete(path), 404)
    assert api.get("/users") == []


def test_deleting_a_user_kills_its_short_links_at_once_cached_or_not(
    client: FlaskClient, api: Api
) -> None:
    user = api.user()
    cached, other = (api.url(user_id=user["id"])["short_code"] for _ in range(2))
    check(client.get(f"/{cached}"), 302)
    check(client.delete(f"/users/{user['id']}"), 204)
    for code in (cached, other):
        check(client.get(f"/{code}"), 404)


def test_a_deleted_user_takes_its_links_and_their_events_along(
    client: FlaskClient, api: Api
) -> None:
    user = api.user()
    url = api.url(user_id=user["id"])
    check(client.get(f"/{url['short_code']}"), 302)
    check(client.delete(f"/users/{user['id']}"), 204)
    check(client.get(f"/urls/{url['id']}"), 404)
    assert api.get("/urls") == []
    assert api.get("/events") == []


def test_what_a_deleted_user_did_on_others_links_stays_without_a_user(
    client: FlaskClient, api: Api
) -> None:
    user, url = api.user(), api.url()
    event = api.event(user_id=user["id"], url_id=url["id"])
    check(client.delete(f"/users/{user['id']}"), 204)
    assert api.get(f"/events/{event['id']}") == {**event, "user_id": None}


def test_the_links_of_a_user_are_those_that_it_owns(client: FlaskClient, api: Api) -> None:
    user, other = api.user("ada"), api.user("eve")
    mine = [api.url(user_id=user["id"]) for _ in range(2)]
    api.url(user_id=other["id"])
    api.url()
    assert api.get(f"/users/{user['id']}/urls") == mine
    assert check(client.get("/users/99/urls"), 404).get_json()["message"] == "User 99 not found"
