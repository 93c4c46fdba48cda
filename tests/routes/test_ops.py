"""Health, metrics, chaos and the index over HTTP."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator

import pytest
from flask.testing import FlaskClient

from app.config import Settings
from tests.answers import check
from tests.conftest import Api

BROWSER = "text/html,*/*;q=0.8"


def test_health_names_the_state_of_everything(client: FlaskClient, settings: Settings) -> None:
    cache = "connected" if settings.redis_url else "disabled"
    assert check(client.get("/health"), 200).get_json() == {
        "status": "ok",
        "database": "connected",
        "cache": cache,
    }


def test_a_replica_with_its_database_is_ready(api: Api) -> None:
    state = api.get("/health/ready")
    assert {
        "status": "ready",
        "database": "connected",
        "schema_applied": True,
    }.items() <= state.items()


@pytest.mark.parametrize("path", ["/health/ready", "/ready"])
@pytest.mark.parametrize(
    ("auth", "address", "forwarded", "tells"),
    [
        ("off", "9.9.9.9", "9.9.9.9", True),
        ("on", "127.0.0.1", "", True),
        ("on", "172.18.0.5", "", True),
        ("create", "fd00::5", "", True),
        ("on", "9.9.9.9", "", False),
        ("on", "127.0.0.1", "9.9.9.9", False),
        ("create", "172.18.0.5", "10.0.0.1", False),
    ],
)
def test_what_a_replica_is_made_of_is_told_to_the_inside_only(
    client: FlaskClient,
    given_with: Callable[..., None],
    path: str,
    auth: str,
    address: str,
    forwarded: str,
    tells: bool,
) -> None:
    given_with(auth=auth)
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    answer = client.get(path, headers=headers, environ_base={"REMOTE_ADDR": address})
    assert (answer.status_code, answer.get_json()["status"]) == (200, "ready")
    assert ("database" in answer.get_json()) == ("schema_applied" in answer.get_json()) == tells


def test_metrics_are_prometheus_text_and_know_no_codes(client: FlaskClient, api: Api) -> None:
    url = api.url()
    for path in (f"/{url['short_code']}", f"/urls/{url['id']}", "/users/424242", "/no/such/path"):
        client.get(path)
    client.open("/users", method="MADEUP")
    response = check(client.get("/metrics"), 200)
    assert response.mimetype == "text/plain"
    for name in (
        "http_requests_total",
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
    ):
        assert re.search(rf"^{name}(\{{.*\}})? [0-9.e+]+$", response.text, re.MULTILINE)
    assert not any(
        word in response.text for word in (url["short_code"], "424242", "/no/such", "MADEUP")
    )


@pytest.fixture
def terminations() -> Iterator[list[int]]:
    """The SIGTERMs that this process, which is its own server here, was sent."""
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: received.append(number))
    yield received
    signal.signal(signal.SIGTERM, before)


def test_chaos_with_the_token_answers_and_stops_the_server(
    client: FlaskClient, terminations: list[int]
) -> None:
    response = check(client.get("/chaos", headers={"X-Chaos-Token": "let-me-in"}), 204)
    response.close()
    assert terminations == [signal.SIGTERM]


@pytest.mark.parametrize("token", [None, "", "let-me-i", "let-me-in!", "LET-ME-IN", "\xff"])
def test_chaos_without_the_token_is_refused(
    client: FlaskClient, terminations: list[int], token: str | None
) -> None:
    check(
        client.get("/chaos", headers={} if token is None else {"X-Chaos-Token": token}), 401
    ).close()
    assert terminations == []


@pytest.mark.parametrize("token", [None, "", "let-me-in"])
def test_chaos_is_refused_to_everybody_when_no_token_is_set(
    client: FlaskClient, given_with: Callable[..., None], terminations: list[int], token: str | None
) -> None:
    given_with(chaos_token="")
    check(
        client.get("/chaos", headers={} if token is None else {"X-Chaos-Token": token}), 401
    ).close()
    assert terminations == []


def test_the_index_says_what_this_is_and_where_to_read_on(client: FlaskClient, api: Api) -> None:
    index = api.get("/")
    assert set(index) == {"name", "version", "documentation", "endpoints"}
    assert {"POST /shorten", "GET /{short_code}", "GET /users/{user_id}/urls"} <= set(
        index["endpoints"]
    )
    check(client.get(index["documentation"]), 200)


def test_a_browser_gets_the_index_as_a_page(client: FlaskClient) -> None:
    page = client.get("/", headers={"Accept": BROWSER})
    assert (page.status_code, page.content_type, page.headers["Vary"]) == (
        200,
        "text/html; charset=utf-8",
        "Accept",
    )
    assert "Holdfast" in page.text
    assert check(client.get("/"), 200).headers["Vary"] == "Accept"
