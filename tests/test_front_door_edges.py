"""What the stack's Nginx tells whom: problem details, other websites' scripts, the inside."""

from __future__ import annotations

import http.client
import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from tests.front_door import FrontDoor, Replica, answer
from tests.test_problems import PROBLEM

pytestmark = pytest.mark.services

_NUMBERS = itertools.count(1)
HERE, THERE = "https://app.example.com", "https://evil.example"


@pytest.fixture(scope="module")
def nginx() -> Iterator[FrontDoor]:
    with ExitStack() as cleanup:
        yield started(cleanup, AUTH="on", CORS_ORIGINS=f"https://App.example.com,{HERE}:8443")


def started(cleanup: ExitStack, **settings: str) -> FrontDoor:
    replica = Replica(next(_NUMBERS), answer)
    cleanup.callback(replica.close)
    nginx = FrontDoor(replica, **settings)
    cleanup.callback(nginx.destroy)
    nginx.start()
    return nginx


def ask(
    nginx: FrontDoor, path: str, method: str = "GET", source: str = "127.0.0.1", **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", nginx.port, 30, (source, 0))
    with closing(connection):
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (PROBLEM, True),
        (f"application/json, {PROBLEM}", True),
        (f"{PROBLEM},application/json", True),
        (f"{PROBLEM};q=0.5, */*", True),
        ("text/html, Application/Problem+JSON ;q=0.9", True),
        (f"application/json;q=0.5, {PROBLEM};q=0.9", True),
        (f"application/json, {PROBLEM};q=0.9", False),
        (f"{PROBLEM};q=0.9, text/html, application/json", False),
        (f"application/json, text/html, {PROBLEM}; q=0.1", False),
        (f"{PROBLEM};q=0", False),
        (f"{PROBLEM}; q=0.000, */*", False),
        ("*/*", False),
        ("application/json", False),
        ("application/problem+jsonx", False),
        ("application/problem+xml", False),
    ],
)
def test_nginx_errors_are_problems_to_who_names_them(
    nginx: FrontDoor, accept: str, wanted: bool
) -> None:
    status, headers, text = ask(nginx, "/users", "TRACE", Accept=accept, **{"X-Request-ID": "a.b"})
    body = json.loads(text)
    assert (status, headers["Allow"], headers["X-Request-ID"]) == (405, body_allow(), "a.b")
    assert "Accept" in headers["Vary"]
    if not wanted:
        assert headers["Content-Type"] == "application/json"
        assert body.keys() == {"error", "message", "status", "request_id"}
        return
    assert headers["Content-Type"] == PROBLEM
    assert body == {
        "type": "about:blank",
        "title": "Method Not Allowed",
        "status": 405,
        "detail": "TRACE is not allowed here",
        "instance": "urn:holdfast:request:a.b",
        "request_id": "a.b",
    }


def body_allow() -> str:
    return "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/urls", "The body is larger than 64 KiB"),
        ("/urls/bulk", "The body is larger than 1 MiB"),
        ("/users/bulk", "The body is larger than 10 MiB"),
        ("/import", "The body is larger than 10 MiB"),
    ],
)
def test_a_problem_says_how_large_a_body_may_be(nginx: FrontDoor, path: str, words: str) -> None:
    sent = {"Accept": PROBLEM, "Content-Length": str(11 * 2**20)}
    status, headers, text = ask(nginx, path, "POST", **sent)
    assert (status, headers["Content-Type"], json.loads(text)["detail"]) == (413, PROBLEM, words)


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/users", "GET"),
        ("/urls", "GET"),
        ("/urls", "PATCH"),
        ("/urls/bulk", "POST"),
        ("/urls/import", "POST"),
        ("/import", "POST"),
        ("/metrics", "GET"),
    ],
)
def test_too_many_requests_have_the_problem_type_of_their_draft(path: str, method: str) -> None:
    with ExitStack() as cleanup:
        nginx = started(cleanup, RATE_LIMIT="1", CORS_ORIGINS=HERE)
        sent = {"Accept": PROBLEM, "Origin": HERE, "X-Request-ID": "a.b"}
        answers = [ask(nginx, path, method, **sent) for _ in range(6)]
    status, headers, text = answers[-1]
    assert (status, headers["Content-Type"], headers["Retry-After"]) == (429, PROBLEM, "1")
    assert (headers["X-Request-ID"], headers["Access-Control-Allow-Origin"]) == ("a.b", HERE)
    assert json.loads(text)["type"].endswith("/http-problem-types#quota-exceeded")


@pytest.mark.parametrize("path", ["/nginx-errors", "/nginx-error-", "/nginx-links-error2"])
def test_a_code_that_begins_as_a_page_of_nginx_is_a_code(nginx: FrontDoor, path: str) -> None:
    assert ask(nginx, path)[::2] == (200, b"ok")


@pytest.mark.parametrize(
    "path", ["/nginx-error", "/nginx-import-error.problem", "/nginx-bad-request"]
)
def test_a_page_of_nginx_is_nobodys_to_ask_for(nginx: FrontDoor, path: str) -> None:
    assert ask(nginx, path)[0] == 404


@pytest.mark.parametrize("origin", [HERE, f"{HERE}:8443"])
def test_an_allowed_site_may_read_nginx_errors(nginx: FrontDoor, origin: str) -> None:
    _, headers, _ = ask(nginx, "/users", "TRACE", Origin=origin)
    assert headers["Access-Control-Allow-Origin"] == origin
    assert "Retry-After" in headers["Access-Control-Expose-Headers"]
    assert headers["Vary"] == "Accept, Origin"


@pytest.mark.parametrize("origin", [THERE, "null", "*", f"{HERE}.evil.example", ""])
def test_a_foreign_site_may_not(nginx: FrontDoor, origin: str) -> None:
    _, headers, _ = ask(nginx, "/users", "TRACE", Origin=origin)
    assert "Access-Control-Allow-Origin" not in headers
    assert "Access-Control-Expose-Headers" not in headers
    assert headers["Vary"] == "Accept, Origin"


@pytest.mark.parametrize(("setting", "said"), [("*", "*"), ("", None)])
def test_all_sites_may_or_none(setting: str, said: str | None) -> None:
    with ExitStack() as cleanup:
        nginx = started(cleanup, CORS_ORIGINS=setting)
        _, headers, _ = ask(nginx, "/users", "TRACE", Origin=THERE)
    assert (headers["Access-Control-Allow-Origin"], headers["Vary"]) == (said, "Accept")


@pytest.mark.parametrize("path", ["/metrics", "/metrics?x=1", "/%6detrics", "/a/../metrics"])
def test_metrics_are_for_the_inside_where_keys_are_asked_for(nginx: FrontDoor, path: str) -> None:
    for method in ("GET", "HEAD", "OPTIONS", "POST"):
        status, headers, text = ask(nginx, path, method, source="127.0.0.2")
        assert (status, headers["Content-Type"]) == (404, "application/json")
        assert method == "HEAD" or json.loads(text)["message"] == "There is nothing at this address"
    assert ask(nginx, path)[2] == b"ok"


def test_nobody_gets_inside_by_a_header() -> None:
    with ExitStack() as cleanup:
        nginx = started(cleanup, AUTH="create", TRUSTED_PROXY_CIDR="127.0.0.0/8")
        forwarded = {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1"}
        assert ask(nginx, "/metrics", source="127.0.0.2", **forwarded)[0] == 404


def test_without_keys_everybody_gets_metrics_as_ever() -> None:
    with ExitStack() as cleanup:
        assert ask(started(cleanup, AUTH="off"), "/metrics", source="127.0.0.2")[2] == b"ok"
