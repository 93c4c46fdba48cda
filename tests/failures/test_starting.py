"""Twelve processes that start together on an empty database all start, and migrate it once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testkit.servers import HANGS_SECONDS, ROOT, Postgres

pytestmark = pytest.mark.services

# Each has imported the application before the first one begins, so that they all do the same at the
# same time.
_START = """
import os, sys
import app
go, begin = os.pipe()
children = []
for _ in range(12):
    children.append(os.fork())
    if not children[-1]:
        os.close(begin)
        os.read(go, 1)
        client = app.create_app().test_client()
        assert client.post("/shorten", json={"url": "https://example.com/"}).status_code == 201
        os._exit(0)
os.close(begin)
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""


def start_together(database_url: str, folder: Path) -> tuple[int, str]:
    """How many of the twelve did not come up, and what they wrote."""
    environ = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database_url,
        "LOG_FILE": f"{folder}/log",
        "LOG_LEVEL": "WARNING",
    }
    command = [sys.executable, "-c", _START]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=5 * HANGS_SECONDS,
        check=False,
    )
    return ended.returncode, ended.stdout


def assert_made_once(output: str) -> None:
    assert output.count("up: 0001_tables") == 1
    assert output.count("\n") == output.count("peewee.migrations"), output


def test_on_postgresql(postgres_server: Postgres, tmp_path: Path) -> None:
    failed, output = start_together(postgres_server.another_database(), tmp_path)
    assert failed == 0, output
    assert_made_once(output)


def test_on_sqlite(tmp_path: Path) -> None:
    failed, output = start_together(f"sqlite:///{tmp_path}/holdfast.db", tmp_path)
    assert failed == 0, output
    assert_made_once(output)
