"""The rules that hold everywhere: bodies, headers, methods, and how every failure looks."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.answers import check, send
from tests.conftest import Api

ROUTES = {
    "/": "GET",
    "/users": "GET POST",
    "/users/bulk": "POST",
    "/users.csv": "GET",
    "/urls.csv": "GET",
    "/events.csv": "GET",
    "/urls/import": "POST",
    "/users/{user}": "GET PUT DELETE",
    "/users/{user}/urls": "GET",
    "/urls": "GET POST PATCH",
    "/urls/bulk": "POST",
    "/urls/{url}": "GET PUT DELETE",
    "/urls/{url}/qr": "GET",
    "/urls/{url}/stats": "GET",
    "/urls/{url}/events": "GET",
    "/urls/{code}/redirect": "GET",
    "/shorten": "POST",
    "/events": "GET POST",
    "/events/{event}": "GET DELETE",
    "/products": "GET",
    "/keys": "GET POST",
    "/keys/{key}": "GET DELETE",
    "/keys/{key}/rotate": "POST",
    "/logs": "GET",
    "/health": "GET",
    "/health/ready": "GET",
    "/metrics": "GET",
    "/chaos": "GET",
    "/openapi.json": "GET",
    "/{code}": "GET",
    "/{code}.qr": "GET",
}


@pytest.mark.parametrize("path", ROUTES)
def test_head_answers_as_get_without_a_body(
    client: FlaskClient, names: dict[str, Any], path: str
) -> None:
    if "GET" in ROUTES[path]:
        get = client.get(path.format(**names))
        head = client.head(path.format(**names))
        assert (head.status_code, head.content_type, head.data) == (
            get.status_code,
            get.content_type,
            b"",
        )


@pytest.mark.parametrize("path", ROUTES)
def test_options_and_405_name_what_is_allowed(
    client: FlaskClient, names: dict[str, Any], path: str
) -> None:
    allowed = {*ROUTES[path].split(), "OPTIONS", *(["HEAD"] if "GET" in ROUTES[path] else [])}
    options = check(client.options(path.format(**names)), 200)
    assert options.data == b""
    assert "Content-Type" not in options.headers
    assert {str(method) for method in options.allow} == allowed
    for method in {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"} - allowed:
        assert {
            str(name) for name in check(client.open(path.format(**names), method=method), 405).allow
        } == allowed


@pytest.mark.parametrize("request_id", ["abc", "4f1f0a5b-9c3d-2e17", "A.b:c_d-9", "x" * 64])
@pytest.mark.parametrize("path", ["/users", "/users/99", "/no/such", "/users?page=x"])
def test_a_sane_request_id_is_echoed_everywhere(
    client: FlaskClient, api: Api, request_id: str, path: str
) -> None:
    response = check(client.get(path, headers={"X-Request-ID": request_id}), 200, 400, 404)
    assert response.headers["X-Request-ID"] == request_id
    assert request_id in {entry["request_id"] for entry in api.get("/logs")}


@pytest.mark.parametrize("request_id", [None, "", "x" * 65, "a b", "a\tb", '"', "ä", "\xff"])
def test_another_request_id_is_replaced(client: FlaskClient, request_id: str | None) -> None:
    environ = {} if request_id is None else {"HTTP_X_REQUEST_ID": request_id}
    made = {
        check(send(client, "GET", "/users/99", environ=environ), 404).headers["X-Request-ID"]
        for _ in range(2)
    }
    assert len(made) == 2
    assert all(re.fullmatch("[0-9a-f]{16,}", identity) for identity in made)


@pytest.mark.parametrize(
    "path", ["/users", "/urls", "/events", "/shorten", "/users/bulk", "/urls/import"]
)
@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x"]
)
def test_a_body_over_10_mib_is_too_large(client: FlaskClient, path: str, content_type: str) -> None:
    check(client.post(path, data=b" " * (10 * 2**20 + 1), content_type=content_type), 413)


def test_a_body_of_64_kib_is_not_too_large(client: FlaskClient) -> None:
    body = b'{"username": "ada", "email": "ada@example.com"}'
    check(client.post("/users", data=body.ljust(64 * 2**10), content_type="application/json"), 201)


def test_a_body_without_a_length_is_measured_while_it_is_read(client: FlaskClient) -> None:
    chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    check(
        client.post(
            "/users",
            data=b" " * (10 * 2**20 + 1),
            content_type="application/json",
            environ_overrides=chunked,
        ),
        413,
    )


def test_the_last_of_duplicate_keys_wins_and_unknown_keys_are_ignored(client: FlaskClient) -> None:
    body = b'{"username": 1, "username": "ada", "email": "ada@example.com", "unknown": [1]}'
    assert (
        check(client.post("/users", data=body, content_type="application/json"), 201).get_json()[
            "username"
        ]
        == "ada"
    )


def test_text_is_sent_as_utf_8(client: FlaskClient, api: Api) -> None:
    user = api.user("Zoë 😀", email="z@example.com")
    assert "Zoë 😀".encode() in client.get(f"/users/{user['id']}").data


@pytest.mark.parametrize("path", ["/users/99", "/users", "/nothing/here"])
def test_errors_are_json_whatever_is_accepted(client: FlaskClient, path: str) -> None:
    for accept in ("text/html", "*/*", "text/plain", "application/xml;q=1, */*;q=0"):
        method = "GET" if path != "/users" else "PATCH"
        check(client.open(path, method=method, headers={"Accept": accept}), 404, 405)


def test_an_error_names_its_phrase_its_status_and_what_was_wrong(client: FlaskClient) -> None:
    body = check(client.get("/users/99", headers={"X-Request-ID": "mine"}), 404).get_json()
    assert body == {
        "error": "Not Found",
        "message": "User 99 not found",
        "status": 404,
        "request_id": "mine",
    }
