"""One application at a time in one process; its routes read their settings from app.config."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app import create_app
from app.config import Settings
from testkit.servers import ROOT
from tests.conftest import Api

_ONE_AFTER_THE_OTHER = """
import sys
from app import close_app, create_app
from app.config import Settings

def application(name, **more):
    url = f"sqlite:///{sys.argv[1]}/{name}.db"
    return create_app(Settings(database_url=url, log_file="", log_level="WARNING", **more))

first = application("first", base_url="https://first.example")
body = {"original_url": "https://example.com/"}
assert first.test_client().post("/urls", json=body).status_code == 201
close_app(first)

second = application("second", base_url="https://second.example")
assert second.test_client().get("/urls").json == []
made = second.test_client().post("/urls", json=body).json
assert made["short_url"].startswith("https://second.example/"), made
try:
    first.test_client().get("/urls")
except RuntimeError as error:
    print(error)
"""


def test_a_second_application_is_refused_and_the_first_goes_on(
    api: Api, settings: Settings, tmp_path: Path
) -> None:
    url = api.url()
    other = replace(settings, database_url=f"sqlite:///{tmp_path}/other.db", instance="other")
    with pytest.raises(RuntimeError, match="has an application already"):
        create_app(other)
    assert api.get("/urls") == [url]
    assert {entry["instance"] for entry in api.get("/logs")} == {"test"}
    assert list(tmp_path.iterdir()) == []


def test_a_closed_application_makes_room_for_another_and_answers_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ONE_AFTER_THE_OTHER, str(tmp_path)],
        cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = done.stdout.splitlines()[-1:]
    assert (done.returncode, said) == (0, ["This application is closed"]), done.stderr
