"""The log: what its lines are and what never gets into them."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app import logs
from tests.conftest import Api
from tests.logbook import KEYS, Log


def test_every_request_writes_that_it_started_and_that_it_finished(
    client: FlaskClient, log: Log
) -> None:
    client.get("/users/7", headers={"X-Request-ID": "abc"})
    started, finished = log.entries()
    assert list(started) == list(finished) == KEYS
    beginning = [started[key] for key in ("message", "method", "path", "status", "duration_ms")]
    assert beginning == ["request started", "GET", "/users/7", None, None]
    assert (
        finished["message"],
        finished["status"],
        finished["request_id"],
        finished["instance"],
    ) == ("request finished", 404, "abc", "test")
    assert 0 < finished["duration_ms"] < 10_000


@pytest.mark.parametrize("path", ["/{code}", "/urls/{code}/redirect"])
def test_a_redirect_writes_only_that_it_finished(
    client: FlaskClient, api: Api, log: Log, path: str
) -> None:
    code = api.url()["short_code"]
    before = len(log.lines())
    assert client.get(path.format(code=code)).status_code == 302
    assert [(entry["message"], entry["status"]) for entry in log.entries()[before:]] == [
        ("request finished", 302)
    ]


@pytest.mark.parametrize(
    "path",
    [
        "/users/%0d%0a{%22message%22:%22forged%22}",
        "/%1b[2J%07%00",
        "/%e2%80%a8%e2%80%a9%c2%85",
        "/%ff%fe",
        "/" + "x" * 5000,
        "/users/%F0%9F%92%A9",
    ],
)
def test_an_entry_is_one_short_printable_line_whatever_the_path_contained(
    client: FlaskClient, log: Log, path: str
) -> None:
    client.get(path)
    for line in log.lines():
        entry = json.loads(line)
        assert line.isprintable()
        assert list(entry) == KEYS
        assert len(line) < 1000
    assert log.entries()[-1]["message"] == "request finished"


def test_an_entry_is_one_line_whatever_method_and_headers_contained(
    client: FlaskClient, log: Log
) -> None:
    client.open(
        "/users",
        method="GE\u2028T" + "x" * 500,
        headers={"User-Agent": "a\x85b", "X-Request-ID": "not\tsane"},
    )
    assert all(
        line.isprintable() and list(json.loads(line)) == KEYS and len(line) < 400
        for line in log.lines()
    )


def test_no_query_string_and_no_header_gets_into_the_log(client: FlaskClient, log: Log) -> None:
    headers = {
        "X-Chaos-Token": "hemlig1",
        "Authorization": "Bearer hemlig2",
        "Cookie": "hemlig3",
        "Referer": "https://r/?hemlig4",
    }
    client.get("/chaos?token=hemlig5", headers=headers)
    client.get("/logs?filter=hemlig6")
    client.post("/users", json={"username": "hemlig7"})
    assert "hemlig" not in log.path.read_text()


def test_a_secret_of_the_settings_is_hidden_in_messages_paths_and_traces(
    client: FlaskClient, log: Log
) -> None:
    log.configure(secrets=("hemlig",))
    client.get("/users/hemlig")
    try:
        raise ValueError("cannot reach ada:hemlig@db")
    except ValueError:
        logging.getLogger("some.library").exception("no hemlig here")
    text = log.path.read_text()
    assert "hemlig" not in text
    assert "cannot reach ada:***@db" in text


def test_a_trace_stays_in_its_entry(log: Log) -> None:
    try:
        raise ValueError("one\ntwo\x1b[2J\u2028three")
    except ValueError:
        logging.getLogger("some.library").exception("it\nfailed")
    (line,) = log.lines()
    entry = json.loads(line)
    assert list(entry) == [*KEYS, "exception"]
    assert entry["message"] == "it\\nfailed"
    assert entry["exception"].startswith("Traceback (most recent call last):\n")
    assert entry["exception"].endswith("ValueError: one\ntwo\\x1b[2J\\u2028three")


def test_half_a_character_is_written_out() -> None:
    record = logging.makeLogRecord(
        {"msg": "odd \udcff"}
    )  # formatted directly: pytest could not report a captured one
    assert json.loads(logs.Formatter("test").format(record))["message"] == "odd \\udcff"


def test_statements_with_their_values_are_not_logged_even_in_detail(api: Api, log: Log) -> None:
    logs.configure("DEBUG", "test", str(log.path), 10_000_000)
    api.user("hemlig")
    assert "hemlig" not in log.path.read_text()


def test_stdout_gets_the_same_lines(
    client: FlaskClient, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure()
    client.get("/users")
    assert capsys.readouterr().out == log.path.read_text()


@pytest.mark.parametrize("name", ["a-file/holdfast.log", "a-directory"])
def test_a_log_file_that_cannot_be_written_does_not_stop_the_service(
    client: FlaskClient, log: Log, tmp_path: Path, name: str
) -> None:
    (tmp_path / "a-file").touch()
    (tmp_path / "a-directory").mkdir()
    log.configure(path=tmp_path / name)
    assert client.get("/health").status_code == 200


def test_a_full_disk_does_not_stop_the_service(
    client: FlaskClient, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure(path=Path("/dev/full"))
    assert client.get("/users").status_code == 200
    assert capsys.readouterr().out.count("request finished") == 1
