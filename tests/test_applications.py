"""One application at a time in one process; its routes read their settings from app.config."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app import create_app, shown_settings
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


_STARTS = """
import sys
from app import close_app, create_app
from app.config import Settings

def start(**more):
    url = f"sqlite:///{sys.argv[1]}/starts.db"
    given = {"chaos_token": "s3cret", "log_level": "WARNING", **more}
    app = create_app(Settings(database_url=url, log_file="", **given))
    answer = app.test_client().get("/audit?kind=settings").text
    close_app(app)
    return answer

start(instance="one")
start(instance="two")
print(start(cache_ttl_seconds=60, chaos_token="an0ther").strip())
"""


def test_a_start_with_other_settings_is_in_the_audit_trail(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _STARTS, str(tmp_path)],
        cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    second, first = json.loads(done.stdout.splitlines()[-1])
    assert (second["action"], second["key"], second["request_id"]) == ("start", "", "")
    assert (first["before"], second["before"]) == (None, {"CACHE_TTL_SECONDS": 3600})
    assert second["after"] == first["after"] | {"CACHE_TTL_SECONDS": 60}
    assert {"AUTH", "VISITOR_ADDRESS", "LOG_LEVEL"} <= first["after"].keys()
    for kept in ("s3cret", "an0ther", "starts.db"):
        assert kept not in str([first, second])


def test_no_secret_is_among_the_settings_that_are_shown() -> None:
    settings = Settings(
        database_url="postgresql://u:db-pass@host/name",
        redis_url="redis://:redis-pass@host/0",
        base_url="https://user:base-pass@host",
        chaos_token="token",
    )
    shown = str(shown_settings(settings))
    assert not [text for text in (*settings.secrets, "base-pass", "host") if text in shown]
