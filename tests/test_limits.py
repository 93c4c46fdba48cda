"""Answers stay small whatever is stored, and nothing larger than its limit is stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import logfile
from app.database import db
from app.imports import importing
from app.models import Event, Product, Url, User
from tests.answers import check
from tests.conftest import Api

MIB = 1024 * 1024
KIB_16 = 16 * 1024


def of_size(size: int, fill: str = "x") -> dict[str, Any]:
    """Details that are so many bytes of JSON."""
    return {"a": fill * ((size - len('{"a":""}')) // len(fill.encode()))}


@pytest.mark.parametrize("fill", ["x", "é", "中", "😀", "<"])
def test_details_of_16_kib_are_the_largest(client: FlaskClient, api: Api, fill: str) -> None:
    details = of_size(KIB_16, fill)
    event = api.event(details=details)
    assert event["details"] == details
    assert (
        api.get(f"/events/{event['id']}")["details"] == api.get("/events")[0]["details"] == details
    )
    response = check(
        client.post("/events", json={"event_type": "shared", "details": of_size(KIB_16 + 8, fill)}),
        400,
    )
    assert response.get_json()["errors"] == {"details": "must be at most 16 KiB as JSON"}


def test_larger_details_in_a_file_are_a_bad_row(app: Flask, api: Api, tmp_path: Path) -> None:
    rows = [
        json.dumps(of_size(KIB_16)), json.dumps(of_size(KIB_16 + 8)),
        json.dumps(of_size(KIB_16, "é"), ensure_ascii=False),
        json.dumps(of_size(KIB_16 + 8, "é"), ensure_ascii=False), "no JSON" * 3000, "x" * 100_000,
        json.dumps({"n": [1e15] * 2500}), "{}",
    ]  # fmt: skip
    file = tmp_path / "events.csv"
    quoted = ['"' + row.replace('"', '""') + '"' for row in rows]
    file.write_text(
        "event_type,details\n"
        + "".join(f"kind{number},{row}\n" for number, row in enumerate(quoted)),
        encoding="utf-8",
    )
    importing.load([str(file)])
    assert [event["event_type"] for event in reversed(api.get("/events"))] == [
        "kind0",
        "kind2",
        "kind7",
    ]


OLD = {
    "plain": json.dumps({"a": "x" * MIB}),
    "just larger": json.dumps(of_size(KIB_16 + 1)),
    "escaped": json.dumps({"a": "\x01" * 8_000}),
    "large numbers": json.dumps({"a": [1e15] * 2_000}),
    "no object": "[1]",
    "no JSON": '{"a"',
    "nothing": "",
    "no number": '{"a": NaN}',
    "half a pair": '{"a": "\\ud800"}',
    "deep": '{"a":' * 5_000,
}


@pytest.mark.parametrize("stored", OLD.values(), ids=OLD)
def test_larger_details_that_are_stored_are_shown_cut(api: Api, stored: str) -> None:
    event = Event.create(event_type="old", details=stored)
    for shown in (api.get(f"/events/{event.id}"), api.get("/events")[0]):
        assert shown["details"]["cut"] is True
        assert stored.startswith(shown["details"]["beginning"])
        assert len(shown["details"]["beginning"]) == min(1000, len(stored))


def test_a_click_on_the_longest_link_is_shown_whole(client: FlaskClient, api: Api) -> None:
    address = "http://e.io/".ljust(2048, "😀")
    url = api.url(address)
    client.get(f"/{url['short_code']}", headers={"User-Agent": "x" * 500, "Referer": "y" * 900})
    assert api.get("/events?type=clicked")[0]["details"]["original_url"] == address


def test_a_page_of_any_list_stays_below_4_mib(client: FlaskClient) -> None:
    name = "\x01" * 96  # what takes six times its length as JSON; the tables refuse longer ones
    with db.atomic():
        user = None
        for number in range(101):
            user = User.create(username=f"{number:04}{name}", email=f"{number:04}{name}")
            Url.create(
                user=user,
                short_code=f"code{number:04}",
                original_url="\x01" * 2048,
                title="\x01" * 255,
            )
            details = json.dumps({"a": "x" * MIB}) if number % 2 else json.dumps(of_size(KIB_16))
            Event.create(user=user, event_type="\x01" * 50, details=details)
            Product.create(name="\x01" * 255, category=name, price=1, stock=1)
    for path in ("/users", "/urls", "/events", "/products", f"/users/{user and user.id}/urls"):
        response = check(client.get(f"{path}?per_page=100"), 200)
        assert len(response.data) < 4 * MIB, path
        assert path.startswith("/users/") or len(response.get_json()) == 100


def test_a_page_of_the_log_does_too(tmp_path: Path) -> None:
    entry = {"timestamp": "2026-01-02T03:04:05", "level": "ERROR", "logger": "x",
             "message": "😀" * 5000, "method": "GET", "path": "😀" * 300,
             "status": 200, "duration_ms": 1.5, "request_id": "x" * 64,
             "instance": "web-1"}  # fmt: skip
    file = tmp_path / "log"
    file.write_text(
        "".join(json.dumps(entry, ensure_ascii=False) + "\n" for _ in range(1000)), encoding="utf-8"
    )
    shown = logfile.tail(str(file), 1000)
    assert len(shown) == 1000
    assert len(json.dumps(shown, ensure_ascii=False).encode()) < 4 * MIB


def test_the_log_over_http_shows_no_traces(client: FlaskClient, settings: Any) -> None:
    trace = "Traceback (most recent call last):\n  File secret.py, line 1\nValueError: x"
    line = {
        "timestamp": "2026-01-02T03:04:05",
        "level": "ERROR",
        "logger": "app",
        "message": "it broke",
        "exception": trace,
        "stack_info": trace,
    }
    worse = {**line, "message": f"it broke again\n{trace}"}
    escaped = {
        **line,
        "message": "it broke a third time\\n" + trace.replace("\n", "\\n"),
        "exc_info": trace,
    }
    with open(settings.log_file, "a", encoding="utf-8") as log:
        log.writelines(json.dumps(entry) + "\n" for entry in (line, worse, escaped))
    for query in ("lines=20", "level=error&limit=20", "filter=it broke&limit=20"):
        shown = check(client.get(f"/logs?{query}"), 200).text
        assert shown.count("it broke") >= 3
        assert "secret.py" not in shown
        assert "Traceback" not in shown
    assert check(client.get("/logs?filter=secret.py"), 200).get_json()["count"] == 0


def test_the_file_keeps_the_trace_of_a_fault(
    app: Flask, client: FlaskClient, settings: Any
) -> None:
    app.logger.exception("it broke", exc_info=ValueError("hidden reason"))
    assert "hidden reason" in Path(settings.log_file).read_text(encoding="utf-8")
    assert "hidden reason" not in client.get("/logs").text
