"""CORS_ORIGINS: the scripts of allowed websites may use every endpoint, those of others none."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.answers import check
from tests.conftest import Api
from tests.test_openapi import operations

HERE, THERE = "https://app.example.com", "https://evil.example"
READ = "Authorization, X-API-Key, Content-Type, Idempotency-Key, If-Match, If-None-Match, Prefer"
CORS = "Access-Control-"


@pytest.fixture
def allowed(given_with: Callable[..., None]) -> None:
    given_with(cors_origins=frozenset((HERE, "http://localhost:3000")))


def headers_of(response: TestResponse) -> dict[str, str]:
    return {name: value for name, value in response.headers if name.startswith(CORS)}


def preflight(client: FlaskClient, path: str, method: str, origin: str = HERE) -> TestResponse:
    asked = {f"{CORS}Request-Method": method, f"{CORS}Request-Headers": "authorization"}
    return client.options(path, headers={"Origin": origin, **asked})


def concrete(path: str) -> str:
    return re.sub(r"\{\w+_id\}", "1", path).replace("{short_code}", "abc")


def test_without_the_setting_nothing_is_said_to_anybody(client: FlaskClient) -> None:
    response = client.get("/users", headers={"Origin": HERE})
    assert headers_of(response) == {}
    assert "Vary" not in response.headers
    plain = preflight(client, "/users", "POST")
    assert (plain.status_code, headers_of(plain)) == (200, {})


@pytest.mark.usefixtures("allowed")
def test_a_preflight_of_every_operation_is_answered(client: FlaskClient, api: Api) -> None:
    for method, path, _ in operations(api.get("/openapi.json")):
        response = check(preflight(client, concrete(path), method.upper()), 204)
        said = headers_of(response)
        assert said[f"{CORS}Allow-Origin"] == HERE
        assert method.upper() in said[f"{CORS}Allow-Methods"].split(", ")
        assert said[f"{CORS}Allow-Headers"].startswith(READ)
        assert int(said[f"{CORS}Max-Age"]) > 0
        assert "Origin" in response.headers["Vary"]
        assert f"{CORS}Allow-Credentials" not in said


@pytest.mark.usefixtures("allowed")
def test_a_preflight_names_the_methods_of_its_route(client: FlaskClient) -> None:
    response = preflight(client, "/users/1", "BREW")
    methods = response.headers[f"{CORS}Allow-Methods"].split(", ")
    assert sorted(methods) == ["DELETE", "GET", "HEAD", "OPTIONS", "PUT"]


@pytest.mark.usefixtures("allowed")
def test_every_answer_can_be_read_by_the_scripts_of_an_allowed_site(
    client: FlaskClient, api: Api
) -> None:
    url = api.url()
    for path, status in (
        ("/users", 200),
        ("/users?page=x", 400),
        ("/chaos", 401),
        ("/users/99", 404),
        ("/no/such/path", 404),
        (f"/{url['short_code']}", 302),
        ("/nobody", 404),
        ("/metrics", 200),
    ):
        response = check(client.get(path, headers={"Origin": HERE}), status)
        said = headers_of(response)
        assert said[f"{CORS}Allow-Origin"] == HERE, path
        assert {"ETag", "Link", "X-Request-ID", "RateLimit", "Retry-After"} <= set(
            said[f"{CORS}Expose-Headers"].split(", ")
        )
        assert "Origin" in response.headers["Vary"]


@pytest.mark.usefixtures("allowed")
def test_a_bug_can_be_read_too(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.view_functions, "ops.show_health", lambda: 1 / 0)
    response = check(client.get("/health", headers={"Origin": HERE}), 500)
    assert headers_of(response)[f"{CORS}Allow-Origin"] == HERE


@pytest.mark.usefixtures("allowed")
def test_a_preflight_needs_no_key_and_a_refusal_can_be_read(
    client: FlaskClient, given_with: Callable[..., None]
) -> None:
    given_with(auth="on")
    assert headers_of(check(preflight(client, "/urls", "POST"), 204))
    refused = check(client.get("/urls", headers={"Origin": HERE}), 401)
    assert headers_of(refused)[f"{CORS}Allow-Origin"] == HERE
    problem = client.get("/urls", headers={"Accept": "application/problem+json"})
    assert (problem.status_code, problem.content_type) == (401, "application/problem+json")


@pytest.mark.usefixtures("allowed")
@pytest.mark.parametrize(
    "origin",
    [THERE, "null", "*", f"{HERE}.evil.example", f"{HERE}:8443", "http://app.example.com", ""],
)
def test_a_foreign_site_is_told_nothing(client: FlaskClient, origin: str) -> None:
    for response in (
        client.get("/users", headers={"Origin": origin}),
        client.get("/users/99", headers={"Origin": origin}),
        preflight(client, "/users", "POST", origin),
    ):
        assert headers_of(response) == {}
        assert "Origin" in response.headers["Vary"]
        assert response.status_code in (200, 404)


@pytest.mark.usefixtures("allowed")
def test_what_depends_on_the_origin_and_the_form_says_both(client: FlaskClient) -> None:
    response = client.get("/users/99", headers={"Origin": HERE})
    assert sorted(response.headers["Vary"].split(", ")) == ["Accept", "Origin"]


def test_a_star_allows_every_site_and_needs_no_vary(
    client: FlaskClient, given_with: Callable[..., None]
) -> None:
    given_with(cors_origins=frozenset("*"))
    for headers in ({"Origin": THERE}, {}):
        response = client.get("/users", headers=headers)
        assert response.headers[f"{CORS}Allow-Origin"] == "*"
        assert "Vary" not in response.headers
    assert check(preflight(client, "/users", "POST", THERE), 204)


@pytest.mark.usefixtures("allowed")
def test_a_repeated_request_of_another_site_gets_its_own_headers(client: FlaskClient) -> None:
    def post(origin: str) -> TestResponse:
        sent = {"Idempotency-Key": "k", "Origin": origin}
        return client.post("/urls", headers=sent, json={"original_url": "https://a.example/"})

    assert headers_of(post(HERE))[f"{CORS}Allow-Origin"] == HERE
    again = post("http://localhost:3000")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert headers_of(again)[f"{CORS}Allow-Origin"] == "http://localhost:3000"
    assert headers_of(post(THERE)) == {}


FOREIGN = {"Sec-Fetch-Site": "cross-site", "Origin": THERE}


def post_file(client: FlaskClient, **headers: str) -> TestResponse:
    """As a form does, which needs no preflight."""
    data = {"file": (BytesIO(b"username,email\nada,ada@example.com\n"), "users.csv")}
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/users/bulk", data=data, headers=sent)


@pytest.mark.parametrize("origin", [THERE, "null", None])
def test_a_form_of_another_website_changes_nothing(
    client: FlaskClient, api: Api, origin: str | None
) -> None:
    sent = {"Sec_Fetch_Site": "cross-site", **({"Origin": origin} if origin else {})}
    response = check(post_file(client, **sent), 403)
    assert "CORS_ORIGINS" in response.get_json()["message"]
    problem = post_file(client, **sent, Accept="application/problem+json")
    assert (problem.status_code, problem.mimetype) == (403, "application/problem+json")
    assert api.get("/users") == []


def test_no_method_that_writes_is_for_another_website(client: FlaskClient, api: Api) -> None:
    url = api.url()
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for path in ("/urls", f"/urls/{url['id']}", "/no/such/path"):
            check(client.open(path, method=method, headers=FOREIGN), 403)
    assert api.get("/urls") == [url]


@pytest.mark.usefixtures("allowed")
def test_an_allowed_website_may_write_and_another_one_not(client: FlaskClient) -> None:
    check(post_file(client, **FOREIGN), 403)
    check(post_file(client, Sec_Fetch_Site="cross-site", Origin=HERE), 201)


def test_where_all_websites_are_allowed_they_may_write(
    client: FlaskClient, given_with: Callable[..., None]
) -> None:
    given_with(cors_origins=frozenset("*"))
    check(post_file(client, **FOREIGN), 201)


@pytest.mark.parametrize("site", ["same-origin", "same-site", "none", None])
def test_our_own_site_and_clients_that_are_no_browsers_may_write(
    client: FlaskClient, site: str | None
) -> None:
    check(post_file(client, Origin=THERE, **({"Sec_Fetch_Site": site} if site else {})), 201)


def test_whoever_follows_a_link_from_another_website_gets_there(
    client: FlaskClient, api: Api
) -> None:
    code = api.url()["short_code"]
    for path, status in ((f"/{code}", 302), ("/", 200), ("/users", 200)):
        for method in ("GET", "HEAD"):
            assert client.open(path, method=method, headers=FOREIGN).status_code == status
    check(client.options("/users", headers=FOREIGN), 200)


def test_a_foreign_form_is_refused_before_anybody_is_asked_for_a_key(
    client: FlaskClient, given_with: Callable[..., None]
) -> None:
    given_with(auth="on")
    check(post_file(client, **FOREIGN), 403)
    check(post_file(client), 401)
