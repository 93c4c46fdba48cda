"""Warns in the log, on the page and in readiness that everybody may do everything."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.config import Settings
from app.exposure import OPEN, Exposure
from testkit.webserver import ROOT
from tests.conftest import Api

START = "from app import serving; serving.on_starting(None)"


def warnings_of(**settings: str) -> list[str]:
    exposure = Exposure()
    exposure.bind(Settings(**settings))
    return exposure.warnings


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_on_loopback_there_is_nothing_to_warn_of(host: str) -> None:
    assert warnings_of(app_host=host) == []


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "[::]", "192.0.2.1", "2001:db8::1", "web"])
def test_elsewhere_it_warns_while_auth_is_off(host: str) -> None:
    assert warnings_of(app_host=host) == [OPEN]
    assert warnings_of(app_host=host, auth="on") == []
    assert warnings_of(app_host=host, auth="create") == []


def test_readiness_and_the_page_show_it(bound: Callable[..., Api]) -> None:
    api = bound(app_host="0.0.0.0")
    for path in ("/health/ready", "/ready"):
        ready = api.get(path)
        assert (ready["status"], ready["warnings"]) == ("ready", [OPEN])
    assert OPEN in api.client.get("/", headers={"Accept": "text/html"}).text


def test_without_it_readiness_and_the_page_are_as_ever(api: Api) -> None:
    assert "warnings" not in api.get("/health/ready")
    assert "AUTH" not in api.client.get("/", headers={"Accept": "text/html"}).text


@pytest.mark.parametrize(("auth", "times"), [("off", 1), ("on", 0)])
def test_a_server_logs_it_once_at_its_start(tmp_path: Path, auth: str, times: int) -> None:
    settings = {
        "APP_HOST": "0.0.0.0",
        "AUTH": auth,
        "DATABASE_URL": f"sqlite:///{tmp_path}/holdfast.db",
        "LOG_FILE": str(tmp_path / "holdfast.log"),
        "WEB_WORKERS": "2",
    }
    started = subprocess.run(
        [sys.executable, "-c", START],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    assert started.stdout.count(OPEN) == times
    assert (tmp_path / "holdfast.log").read_text().count(OPEN) == times
