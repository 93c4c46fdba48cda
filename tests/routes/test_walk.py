"""Every route, for each AUTH, with keys of every kind, in process; what the gate lets nobody do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.models import Url, User
from tests.conftest import Api
from tests.walking import (
    UNKNOWN,
    Ask,
    Keys,
    Reply,
    bearer,
    endpoints,
    is_refused,
    make_keys,
    one_of_everything,
    walk,
)

GivenWith = Callable[..., None]


@pytest.fixture
def ask(client: FlaskClient) -> Ask:
    def send(method: str, target: str, headers: dict[str, str]) -> Reply:
        body = {"json": {}} if method in ("POST", "PUT", "PATCH") else {}
        response = client.open(target, method=method, headers=headers, **body)
        text = response.get_data().decode(errors="replace")  # the icon is none
        return Reply(response.status_code, response.headers, text)

    return send


@pytest.fixture
def names(api: Api) -> dict[str, Any]:
    return one_of_everything(api)


@pytest.fixture
def keys(api: Api) -> Keys:
    return make_keys(api.user("stranger")["id"])


@pytest.mark.parametrize("auth", ["on", "create"])
def test_no_route_answers_whom_it_should_not(
    app: Flask,
    ask: Ask,
    names: dict[str, Any],
    keys: Keys,
    given_with: GivenWith,
    auth: str,
) -> None:
    given_with(auth=auth)
    assert walk(app, ask, names, keys, auth) > 60


def test_without_auth_no_key_is_asked_for_and_a_wrong_one_is_ignored(
    app: Flask, ask: Ask, names: dict[str, Any], keys: Keys
) -> None:
    for endpoint in endpoints(app):
        for headers in ({}, bearer(keys.bad["wrong"]), bearer(keys.foreign["create"])):
            if endpoint.method != "DELETE":
                reply = ask(endpoint.method, endpoint.target(names), headers)
                assert not is_refused(reply), (endpoint, reply)


def test_the_refused_change_nothing(
    ask: Ask, names: dict[str, Any], keys: Keys, given_with: GivenWith
) -> None:
    given_with(auth="on")
    for headers in ({}, bearer(keys.good["read"]), bearer(keys.foreign["write"])):
        for path in (f"/urls/{names['url_id']}", f"/users/{names['user_id']}"):
            assert ask("DELETE", path, headers).status in (401, 403, 404)
    assert (Url.select().count(), User.select().count()) == (1, 2)
    assert Url.get().deleted_at is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/urls/abc"),
        ("GET", "/users/"),
        ("GET", "//users"),
        ("GET", "/no/such/path"),
        ("POST", "/logs"),
        ("PATCH", f"/users/{UNKNOWN}"),
        ("BREW", "/urls"),
        ("POST", "/users"),
    ],
)
def test_nothing_is_told_of_paths_before_the_key(
    ask: Ask, keys: Keys, given_with: GivenWith, method: str, path: str
) -> None:
    given_with(auth="on")
    assert ask(method, path, {}).status == 401
    assert ask(method, path, bearer(keys.bad["wrong"])).status == 401
    assert ask(method, path, bearer(keys.good["admin"])).status in (400, 404, 405)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nosuch", 404),
        ("GET", "/no.such.code", 404),
        ("DELETE", "/nosuch", 405),
        ("POST", "/health", 405),
        ("DELETE", "/urls/nosuch/redirect", 405),
        ("OPTIONS", "/users", 200),
        ("OPTIONS", "/users/1", 200),
    ],
)
def test_what_is_public_answers_as_ever(
    ask: Ask, given_with: GivenWith, method: str, path: str, status: int
) -> None:
    given_with(auth="on")
    assert ask(method, path, {}).status == status
    assert ask(method, path, {"X-API-Key": "wrong"}).status == status


def test_a_redirect_needs_no_key_and_heeds_no_wrong_one(
    ask: Ask, names: dict[str, Any], given_with: GivenWith
) -> None:
    given_with(auth="on")
    for headers in ({}, {"X-API-Key": "wrong"}, {"Authorization": "Basic Zm9vOmJhcg=="}):
        assert ask("GET", f"/{names['short_code']}", headers).status == 302


@pytest.mark.parametrize(
    ("path", "size", "kind", "otherwise"),
    [
        ("/users", 70_000, "application/json", 413),
        ("/users/bulk", 11_000_000, "multipart/form-data; boundary=x", 413),
        ("/urls", 10, "text/plain", 400),
        ("/urls/bulk", 10, "application/json", 400),
    ],
)
def test_no_body_is_looked_at_before_the_key(
    client: FlaskClient, given_with: GivenWith, path: str, size: int, kind: str, otherwise: int
) -> None:
    sent = {"data": b"x" * size, "content_type": kind}
    assert client.post(path, **sent).status_code == otherwise
    given_with(auth="on")
    assert client.post(path, **sent).status_code == 401
