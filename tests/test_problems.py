"""Problem details (RFC 9457), for clients whose Accept header names them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app import problems
from tests.answers import check
from tests.conftest import Api
from tests.test_openapi import operations

PROBLEM = "application/problem+json"
WANTED = {"Accept": PROBLEM}
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (PROBLEM, True),
        (f"application/json, {PROBLEM}", True),
        (f"{PROBLEM};q=0.5, application/json;q=0.4", True),
        (f"{PROBLEM};q=0.5, */*", True),
        ("Application/Problem+JSON ; Q=1.0", True),
        (f"{PROBLEM};profile=x;q=0.001", True),
        (f"application/json, {PROBLEM};q=0.9", False),
        (f"{PROBLEM};q=0", False),
        (f"{PROBLEM};q=0.000, */*", False),
        ("", False),
        ("*/*", False),
        ("application/*", False),
        ("application/json", False),
        ("application/problem+jsonx", False),
        ("application/problem+xml", False),
        (BROWSER, False),
    ],
)
def test_who_names_problem_details_gets_them_unless_json_weighs_more(
    accept: str, wanted: bool
) -> None:
    assert problems.is_wanted(accept) is wanted


def check_problem(response: TestResponse, *statuses: int) -> dict[str, Any]:
    assert response.status_code in statuses, response.text[:300]
    assert response.content_type == PROBLEM
    assert "Accept" in response.headers["Vary"]
    body: dict[str, Any] = json.loads(response.data)
    assert {"type", "title", "status", "detail", "instance", "request_id"} <= body.keys()
    assert not body.keys() & {"error", "message"}
    assert body["status"] == response.status_code
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert body["instance"] == f"urn:holdfast:request:{body['request_id']}"
    return body


def test_the_members_of_an_error_have_their_names_of_the_standard(client: FlaskClient) -> None:
    sent = {"json": {"username": "", "email": "x"}}
    usual = client.post("/users", **sent)
    problem = client.post("/users", headers={"X-Request-ID": "a.b", **WANTED}, **sent)
    assert check_problem(problem, 400) == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": check(usual, 400).json["message"],
        "instance": "urn:holdfast:request:a.b",
        "request_id": "a.b",
        "errors": usual.json["errors"],
    }


def test_the_usual_body_stays_as_it_is(client: FlaskClient) -> None:
    for accept in ("*/*", "application/json", BROWSER):
        response = client.get("/users/99", headers={"Accept": accept, "X-Request-ID": "a"})
        assert response.content_type == "application/json"
        assert response.text == (
            '{"error": "Not Found", "message": "User 99 not found", "status": 404, '
            '"request_id": "a"}\n'
        )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nobody", 404),
        ("GET", "/nobody+", 404),
        ("GET", "/urls/nobody/redirect", 404),
        ("GET", "/users/99", 404),
        ("GET", "/no/such/path", 404),
        ("GET", "/users?page=x", 400),
        ("DELETE", "/health", 405),
        ("GET", "/chaos", 401),
        ("POST", "/users/bulk", 400),
        ("POST", "/urls", 400),
    ],
)
def test_every_kind_of_error_is_a_problem(
    client: FlaskClient, method: str, path: str, status: int
) -> None:
    check_problem(client.open(path, method=method, headers=WANTED), status)
    assert client.open(path, method=method).content_type == "application/json"


def test_every_path_answers_a_method_that_it_does_not_know_with_a_problem(
    client: FlaskClient, api: Api
) -> None:
    for path in api.get("/openapi.json")["paths"]:
        path = re.sub(r"\{\w+_id\}", "1", path).replace("{short_code}", "abc")
        check_problem(client.open(path, method="BREW", headers=WANTED), 405)


def test_a_dead_link_keeps_its_reason(client: FlaskClient, api: Api) -> None:
    url = api.url()
    client.put(f"/urls/{url['id']}", json={"is_active": False})
    problem = check_problem(client.get(f"/{url['short_code']}", headers=WANTED), 410)
    assert (problem["title"], problem["reason"]) == ("Gone", "deactivated")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (f"text/html, {PROBLEM};q=0.9", "text/html"),
        (f"text/html, {PROBLEM}", PROBLEM),
        (f"text/html;q=0.9, {PROBLEM}", PROBLEM),
    ],
)
def test_a_dead_link_is_a_page_to_who_prefers_one(
    client: FlaskClient, accept: str, kind: str
) -> None:
    assert client.get("/nobody", headers={"Accept": accept}).mimetype == kind


def test_a_repeated_error_has_the_form_that_this_request_accepts(client: FlaskClient) -> None:
    def post(accept: str) -> TestResponse:
        headers = {"Idempotency-Key": "k", "Accept": accept}
        return client.post("/urls", headers=headers, json={"original_url": "hello"})

    first = check_problem(post(PROBLEM), 400)
    usual, again = post("*/*"), post(PROBLEM)
    assert check(usual, 400).json["message"] == first["detail"]
    assert usual.headers["Idempotent-Replayed"] == again.headers["Idempotent-Replayed"] == "true"
    repeated = check_problem(again, 400)
    assert repeated["errors"] == first["errors"] == usual.json["errors"]


def test_a_problem_of_its_own_has_its_own_title() -> None:
    kind = "https://iana.org/assignments/http-problem-types#quota-exceeded"
    error = {"error": "Too Many Requests", "message": "m", "status": 429, "request_id": "a"}
    problem = problems.of(error, kind)
    assert problem["type"] == kind
    assert problem["title"] == "Request cannot be satisfied as assigned quota has been exceeded"


def test_the_document_has_problems_beside_the_usual_errors(api: Api) -> None:
    document = api.get("/openapi.json")
    for _, _, operation in operations(document):
        for status, answer in operation["responses"].items():
            if status[0] in "45":
                assert list(answer["content"])[:2] == ["application/json", PROBLEM]
