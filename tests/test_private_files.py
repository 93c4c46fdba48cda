"""Files that hold people's data are for their owner only."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.logfile import SharedFile
from testkit.webserver import WebServer


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_the_log_and_the_one_before_it_are_private(tmp_path: Path) -> None:
    handler = SharedFile(str(tmp_path / "log"), 100)
    for _ in range(5):
        handler.emit(logging.LogRecord("a", logging.INFO, "", 0, "x" * 60, None, None))
    handler.close()
    assert [mode(tmp_path / name) for name in ("log", "log.1")] == [0o600, 0o600]


def test_the_database_and_what_is_beside_it_are_private(tmp_path: Path) -> None:
    with WebServer(tmp_path, WEB_WORKERS="1") as server:
        assert (
            server.get(
                "/users", "POST", body={"username": "ada", "email": "ada@example.com"}
            ).status
            == 201
        )
        files = {
            name: mode(tmp_path / f"holdfast.{name}") for name in ("db", "db-wal", "db-shm", "log")
        }
    assert files == dict.fromkeys(files, 0o600)
