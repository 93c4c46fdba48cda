"""/logs over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.answers import check
from tests.conftest import Api

KEYS = {
    "timestamp",
    "level",
    "logger",
    "message",
    "method",
    "path",
    "status",
    "duration_ms",
    "request_id",
    "instance",
}


def lines_of(api: Api, request_id: str) -> list[dict[str, Any]]:
    return [entry for entry in api.get("/logs?lines=1000") if entry["request_id"] == request_id]


def test_every_request_logs_its_start_and_its_end(client: FlaskClient, api: Api) -> None:
    check(client.get("/users/99?secret=1", headers={"X-Request-ID": "the-one"}), 404)
    started, finished = lines_of(api, "the-one")
    assert set(started) == set(finished) == KEYS
    assert (started["message"], finished["message"]) == ("request started", "request finished")
    assert {entry["method"] for entry in (started, finished)} == {"GET"}
    assert {entry["path"] for entry in (started, finished)} == {"/users/99"}
    assert finished["status"] == 404
    assert finished["duration_ms"] >= 0
    assert finished["instance"] == "test"


def test_a_redirect_logs_its_end_only(client: FlaskClient, api: Api) -> None:
    url = api.url()
    check(client.get(f"/{url['short_code']}", headers={"X-Request-ID": "a-click"}), 302)
    assert [entry["message"] for entry in lines_of(api, "a-click")] == ["request finished"]


def test_entries_come_oldest_first_and_100_of_them(client: FlaskClient, api: Api) -> None:
    for _ in range(60):
        client.get("/users/99")
    entries = api.get("/logs")
    assert len(entries) == 100
    assert [entry["timestamp"] for entry in entries] == sorted(
        entry["timestamp"] for entry in entries
    )


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ("1", 1),
        ("7", 7),
        ("007", 7),
        ("1000", 1000),
        ("1001", 1000),
        ("9" * 30, 1000),
        ("0", 100),
        ("-5", 100),
        ("x", 100),
        ("", 100),
        ("1.5", 100),
        ("%2B5", 100),
    ],
)
def test_lines_says_how_many(client: FlaskClient, api: Api, lines: str, count: int) -> None:
    for _ in range(2):
        client.get("/users/99")
    while len(api.get("/logs?lines=1000")) < min(count, 1000):
        client.get("/users/99")
    assert len(api.get(f"/logs?lines={lines}")) == count


@pytest.mark.parametrize(
    ("limit", "count"),
    [
        ("1", 1),
        ("3", 3),
        ("200", 200),
        ("201", 200),
        ("9" * 30, 200),
        ("0", 50),
        ("-1", 50),
        ("x", 50),
        ("", 50),
    ],
)
def test_a_search_has_a_count_and_a_limit(
    client: FlaskClient, api: Api, limit: str, count: int
) -> None:
    while len(api.get("/logs?lines=200")) < 200:
        client.get("/users/99")
    found = api.get(f"/logs?limit={limit}")
    assert set(found) == {"count", "logs"}
    assert found["count"] == len(found["logs"]) == count


def test_a_filter_finds_in_any_case(client: FlaskClient, api: Api) -> None:
    check(client.get("/needle-In-The/hay"), 404)
    found = api.get("/logs?filter=NEEDLE-in-the")
    assert {"/needle-In-The/hay"} == {entry["path"] for entry in found["logs"]}
    assert api.get("/logs?filter=no-such-thing-anywhere") == {"count": 0, "logs": []}


def test_a_level_finds_only_its_own(api: Api) -> None:
    assert {entry["level"] for entry in api.get("/logs?level=info")["logs"]} == {"INFO"}
    assert api.get("/logs?level=CRITICAL") == {"count": 0, "logs": []}
