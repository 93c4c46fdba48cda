"""/keys: made with a secret that is shown once, listed, revoked and rotated by admins."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.database import db, now, released
from app.models import ApiKey, IdempotencyKey
from app.services import keys
from tests.answers import check
from tests.conftest import Api
from tests.logbook import Log

SHOWN = [
    "id", "name", "scope", "user_id", "created_at", "expires_at", "revoked_at", "used_at",
    "old_until",
]  # fmt: skip


def rotate(api: Api, key: dict[str, Any]) -> dict[str, Any]:
    response = check(api.client.post(f"/keys/{key['id']}/rotate"), 200)
    assert response.headers["Cache-Control"] == "no-store"
    rotated: dict[str, Any] = response.get_json()
    return rotated


def test_a_new_key_comes_with_its_secret_which_nobody_may_store(client: FlaskClient) -> None:
    response = check(client.post("/keys", json={"name": " deploy ", "scope": "read"}), 201)
    made = response.get_json()
    assert list(made) == [*SHOWN, "key"]
    assert (made["name"], made["scope"], made["user_id"]) == ("deploy", "read", None)
    assert re.fullmatch("holdfast_[0-9A-Za-z]{49}", made["key"])
    assert response.headers["Location"] == f"/keys/{made['id']}"
    assert response.headers["Cache-Control"] == "no-store"
    found = keys.find(made["key"])
    assert found is not None
    assert (found.key_id, found.scope) == (made["id"], "read")


def test_a_key_may_be_bound_to_a_user_and_have_an_end(api: Api) -> None:
    user = api.user()["id"]
    made = api.key(user_id=user, expires_at="2099-01-02T03:04:05+01:00")
    assert (made["user_id"], made["expires_at"]) == (user, "2099-01-02T02:04:05")


def test_the_list_and_a_key_show_no_secret_and_no_hash(api: Api) -> None:
    first, second = api.key("first"), api.key("second", "admin")
    rotate(api, first)
    shown = api.get("/keys")
    assert [list(each) for each in shown] == [SHOWN, SHOWN]
    assert [each["name"] for each in shown] == ["first", "second"]
    assert api.get(f"/keys/{second['id']}") == shown[1]
    for row in ApiKey.select():
        for hidden in (row.hash, row.old_hash, first["key"], second["key"]):
            assert hidden is None or hidden not in json.dumps(shown)


def test_the_list_is_paged(api: Api) -> None:
    ids = [api.key(f"key {number}")["id"] for number in "abc"]
    response = api.client.get("/keys?per_page=2&count=true")
    assert [each["id"] for each in response.json] == ids[:2]
    assert response.headers["X-Total-Count"] == "3"
    assert 'rel="next"' in response.headers["Link"]
    assert [each["id"] for each in api.get(f"/keys?after={ids[0]}")] == ids[1:]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scope": "read"}, "name"),
        ({"name": "1", "scope": "read"}, "name"),
        ({"name": "a"}, "scope"),
        ({"name": "a", "scope": "Admin"}, "scope"),
        ({"name": "a", "scope": "admin", "user_id": 1}, "user_id"),
        ({"name": "a", "scope": "read", "user_id": "1"}, "user_id"),
        ({"name": "a", "scope": "read", "expires_at": "yesterday"}, "expires_at"),
        ({"name": "a", "scope": "read", "expires_at": "2020-01-01"}, "expires_at"),
    ],
)
def test_a_bad_key_is_refused_by_field(api: Api, body: dict[str, Any], field: str) -> None:
    response = check(api.client.post("/keys", json=body), 400)
    assert list(response.get_json()["errors"]) == [field]
    assert api.get("/keys") == []


def test_a_taken_name_is_a_conflict_also_when_its_key_is_revoked(api: Api) -> None:
    key = api.key()
    for _ in range(2):
        response = check(api.client.post("/keys", json={"name": "deploy", "scope": "read"}), 409)
        assert response.get_json()["message"] == "Key name already exists: deploy"
        check(api.client.delete(f"/keys/{key['id']}"), 204)


def test_an_unknown_user_is_not_found(client: FlaskClient) -> None:
    response = client.post("/keys", json={"name": "a", "scope": "read", "user_id": 99})
    assert check(response, 404).get_json()["message"] == "User 99 not found"


def test_a_revoked_key_stays_in_the_list_and_is_dead(api: Api) -> None:
    key = api.key()
    for _ in range(2):
        check(api.client.delete(f"/keys/{key['id']}"), 204)
    assert keys.find(key["key"]) is None
    assert api.get(f"/keys/{key['id']}")["revoked_at"] is not None


@pytest.mark.parametrize("number", ["99", "0", str(2**63), "9" * 40])
def test_an_unknown_key_is_not_found(client: FlaskClient, number: str) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate")):
        check(client.open(f"/keys/{number}{path}", method=method), 404)


def test_a_rotation_shows_a_new_secret_and_how_long_the_old_one_works(api: Api) -> None:
    key = api.key()
    rotated = rotate(api, key)
    assert rotated["key"] != key["key"]
    assert rotated["old_until"] > f"{now() + timedelta(hours=23):%FT%T}"
    assert api.get(f"/keys/{key['id']}")["old_until"] == rotated["old_until"]
    assert keys.find(key["key"]) == keys.find(rotated["key"]) is not None


def test_a_revoked_or_expired_key_is_not_rotated(api: Api) -> None:
    revoked, expired = api.key("revoked"), api.key("expired")
    api.client.delete(f"/keys/{revoked['id']}")
    ApiKey.update(expires_at=now()).where(ApiKey.id == expired["id"]).execute()
    for key, why in ((revoked, "is revoked"), (expired, "has expired")):
        response = check(api.client.post(f"/keys/{key['id']}/rotate"), 409)
        assert response.get_json()["message"] == f"Key {key['name']} {why}"


def test_an_idempotency_key_is_refused_because_it_would_store_the_secret(api: Api) -> None:
    key = api.key()
    with_header = {"Idempotency-Key": "8e03978e"}
    for path, body in (
        ("/keys", {"name": "b", "scope": "read"}),
        (f"/keys/{key['id']}/rotate", {}),
    ):
        response = check(api.client.post(path, json=body, headers=with_header), 400)
        assert response.get_json()["message"] == (
            "Idempotency-Key is refused here: it would store the secret"
        )
    assert [each["name"] for each in api.get("/keys")] == ["deploy"]
    assert IdempotencyKey.select().count() == 0


def test_keys_is_no_short_code(api: Api) -> None:
    for code in ("keys", "KEYS"):
        response = api.client.post(
            "/urls", json={"original_url": "https://example.com/", "short_code": code}
        )
        assert check(response, 400).get_json()["errors"] == {"short_code": "is reserved"}


def test_no_secret_is_in_the_log_or_in_the_database(api: Api, log: Log) -> None:
    key = api.key()
    rotated = rotate(api, key)
    check(api.client.post("/keys", json={"name": key["key"], "scope": "all"}), 400)
    with released():
        stored = [str(row) for table in db.get_tables() for row in rows_of(table)]
    for secret in (key["key"], rotated["key"]):
        assert not [row for row in stored if secret in row]
        assert not [line for line in log.lines() if secret in line]


def rows_of(table: str) -> list[Any]:
    found: list[Any] = db.execute_sql(f'SELECT * FROM "{table}"').fetchall()
    return found
