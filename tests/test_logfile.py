"""The log's file: shared by processes, renamed when it is long enough, read by GET /logs."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import logs
from testkit.servers import HANGS_SECONDS
from testkit.webserver import ROOT
from tests.logbook import Log


def test_a_file_that_was_taken_away_is_made_again(log: Log) -> None:
    logging.getLogger("test").info("one")
    log.path.unlink()
    logging.getLogger("test").info("two")
    assert [entry["message"] for entry in log.entries()] == ["two"]


def test_a_directory_that_allows_no_renaming_means_a_long_file_and_no_lost_line(log: Log) -> None:
    log.configure(max_bytes=1000)
    Path(f"{log.path}.1").mkdir()  # which no file can replace
    for number in range(50):
        logging.getLogger("test").info("line %d", number)
    assert [entry["message"] for entry in log.entries()] == [
        f"line {number}" for number in range(50)
    ]


def test_a_line_that_is_on_its_way_while_the_file_is_renamed_goes_into_the_new_one(
    log: Log,
) -> None:
    logging.getLogger("test").info("one")
    with log.path.open() as rotating:
        fcntl.flock(rotating, fcntl.LOCK_EX)  # as who renames does
        writing = threading.Thread(target=logging.getLogger("test").info, args=("two",))
        writing.start()
        writing.join(0.2)
        for _ in range(2):  # by the second time, the file that was open is gone
            os.replace(log.path, f"{log.path}.1")
            log.path.touch()
    writing.join()
    assert [entry["message"] for entry in log.entries()] == ["two"]


WRITER = """
import logging, sys
from app import logs
logs.configure("INFO", sys.argv[1], sys.argv[2], int(sys.argv[3]))
for number in range(int(sys.argv[4])):
    logging.getLogger("writer").info("line %d %s", number, "x" * (number * 37 % 500))
"""


def write_at_once(path: Path, writers: int, lines: int, max_bytes: int) -> None:
    commands = [
        [sys.executable, "-c", WRITER, f"w{n}", str(path), str(max_bytes), str(lines)]
        for n in range(writers)
    ]
    processes = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT) for command in commands
    ]
    assert [process.wait(5 * HANGS_SECONDS) for process in processes] == [0] * writers


def test_processes_that_write_at_once_lose_no_line_and_break_none_over_a_rotation(
    tmp_path: Path,
) -> None:
    path, writers, lines = tmp_path / "shared.log", 3, 600
    write_at_once(path, writers, lines, max_bytes=600_000)  # about 0.9 MB in all: one rotation
    entries = [
        json.loads(line)
        for name in (f"{path}.1", path)
        for line in Path(name).read_text().splitlines()
    ]
    for n in range(writers):
        mine = [entry["message"].split()[1] for entry in entries if entry["instance"] == f"w{n}"]
        assert mine == [str(number) for number in range(lines)]


def test_over_many_rotations_the_newest_lines_of_every_process_are_there_in_order(
    tmp_path: Path,
) -> None:
    path, writers, lines = tmp_path / "shared.log", 3, 400
    write_at_once(path, writers, lines, max_bytes=50_000)  # about 0.6 MB in all: some ten rotations
    old, new = Path(f"{path}.1").read_text(), path.read_text()
    assert old.endswith("\n")
    assert new.endswith("\n")
    assert 50_000 <= len(old) < 52_000
    entries = [json.loads(line) for line in (old + new).splitlines()]
    last = {
        f"w{n}": [
            int(entry["message"].split()[1]) for entry in entries if entry["instance"] == f"w{n}"
        ]
        for n in range(writers)
    }
    for numbers in last.values():
        assert numbers == list(range(lines - len(numbers), lines))


@pytest.fixture
def own_app(log: Log, app: Flask) -> Iterator[FlaskClient]:
    """The application, its /logs reading this test's log."""
    before = app.config["LOG_FILE"]
    app.config["LOG_FILE"] = str(log.path)
    yield app.test_client()
    app.config["LOG_FILE"] = before


def numbers_of(entries: list[dict[str, Any]]) -> list[int]:
    return [int(entry["message"].split()[1]) for entry in entries if entry["logger"] == "test"]


def test_logs_returns_exactly_as_many_as_asked_for_after_a_restart_and_across_a_rotation(
    own_app: FlaskClient, log: Log
) -> None:
    for number in range(300):
        if number % 100 == 0:
            log.configure(max_bytes=50_000)  # as a new process would
        logging.getLogger("test").info("line %d %s", number, "x" * 100)
    assert Path(f"{log.path}.1").exists()
    logs.configure("WARNING", "test", str(log.path), 50_000)  # so that asking does not add lines
    for wanted in (1, 99, 100, 299, 300):
        assert numbers_of(own_app.get(f"/logs?lines={wanted}").json) == list(
            range(300 - wanted, 300)
        )
    assert len(own_app.get("/logs").json) == 100
    assert len(own_app.get("/logs?lines=1000").json) == 300


def test_logs_reads_lines_that_are_longer_than_what_it_reads_at_once(
    own_app: FlaskClient, log: Log
) -> None:
    for number in range(3):
        logging.getLogger("test").info("line %d %s", number, "é" * 100_000)
    assert numbers_of(own_app.get("/logs?filter=line").json["logs"]) == [0, 1, 2]


def test_logs_skips_what_a_power_failure_left_of_a_line(own_app: FlaskClient, log: Log) -> None:
    logging.getLogger("test").info("line 1")
    with log.path.open("ab") as file:
        file.write(b'{"timestamp": "2026-\n[1]\n\xff\xfe\n\n')
    logging.getLogger("test").info("line 2")
    assert numbers_of(own_app.get("/logs").json) == [1, 2]


@pytest.mark.parametrize("kind", ["missing", "a directory", "blank", "a pipe"])
def test_logs_without_a_file_is_an_empty_list(
    own_app: FlaskClient, log: Log, tmp_path: Path, kind: str
) -> None:
    os.mkfifo(tmp_path / "pipe")
    own_app.application.config["LOG_FILE"] = {
        "missing": str(tmp_path / "none"),
        "a directory": str(tmp_path),
        "blank": "",
        "a pipe": str(tmp_path / "pipe"),
    }[kind]
    reply = own_app.get("/logs")
    assert (reply.status_code, reply.json) == (200, [])


def test_logs_finds_by_part_in_any_case_and_by_level(own_app: FlaskClient, log: Log) -> None:
    logging.getLogger("test").info("line 1 Grüße")
    logging.getLogger("test").warning("line 2 grüße")
    logging.getLogger("test").info("line 3")
    assert numbers_of(own_app.get("/logs?filter=GRÜ").json["logs"]) == [1, 2]
    assert numbers_of(own_app.get("/logs?level=warning").json["logs"]) == [2]
