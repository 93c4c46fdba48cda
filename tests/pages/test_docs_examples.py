"""The examples of /docs, taken from its pages, do what they say on a real server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from testkit.servers import HANGS_SECONDS
from testkit.webserver import ROOT, WebServer

LAST = ("rotate_key", "revoke_key", "delete_event", "delete_url", "delete_user")
"""What others need is deleted at the end."""


class Shown:
    """The examples of a server's pages in one language."""

    def __init__(self, server: WebServer, language: str) -> None:
        self.texts: dict[str, str] = {}
        self.statuses: dict[str, int] = {}
        index = server.get("/docs").text
        for noun in re.findall(r'<h2 id="(\w+)"><a href="/docs/\1">', index):
            text = server.get(f"/docs/{noun}").text
            for name, shown in re.findall(
                r'<section class="card" id="(\w+)"(.*?)</section>', text, re.DOTALL
            ):
                self._learn(name, shown, language)

    def _learn(self, name: str, shown: str, language: str) -> None:
        found = re.search(rf'<code data-language="{language}">(.*?)</code>', shown, re.DOTALL)
        status = re.search(r"<li><strong>(\d+)</strong>", shown)
        if found and status:
            self.texts[name], self.statuses[name] = unescape(found[1]), int(status[1])

    def __iter__(self) -> Iterator[str]:
        """The names: first the user, then what must be there still, then what deletes."""
        first = [name for name in self.texts if name not in LAST]
        return iter([*first, *LAST])


def run(command: list[str], folder: Path, key: str, text: str = "") -> str:
    environment = {"PATH": os.environ["PATH"], "HOLDFAST_KEY": key, "CURL_HOME": str(folder)}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        input=text,
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
        check=False,
    )
    assert done.returncode == 0, (command[-1], done.stdout, done.stderr)
    return done.stdout


def run_curl(text: str, status: int, folder: Path, key: str) -> str:
    (folder / ".curlrc").write_text('silent\nwrite-out = "\\n%{http_code}"\n')
    said, _, code = run(["bash", "-c", text], folder, key).rpartition("\n")
    assert int(code) == status, (text, said)
    return said


def run_python(text: str, status: int, folder: Path, key: str) -> str:
    return run([sys.executable, "-c", f"{text}\nassert answer.status == {status}"], folder, key)


def run_node(text: str, status: int, folder: Path, key: str) -> str:
    text = f"{text}\nprocess.exitCode = answer.status === {status} ? 0 : 1;"
    return run(["node", "--input-type=module", "-"], folder, key, text)


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[WebServer, str]]:
    """A server whose rows have the ids that the examples name, and a key of it."""
    settings = {"AUTH": request.param, "SECURITY_CONTACT": "a@example.com", "LIMITS": "off"}
    running = WebServer(tmp_path, WEB_WORKERS="1", PROMETHEUS_MULTIPROC_DIR="", **settings)
    key = first_key(running) if request.param == "on" else ""
    with running:
        yield running, key


def first_key(server: WebServer) -> str:
    said = subprocess.run(
        [sys.executable, "-m", "app", "keys", "create", "first", "--scope", "admin"],
        cwd=ROOT,
        env=server.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.search(r"holdfast_\w{49}", said)
    assert found
    return found[0]


def prepare(server: WebServer, key: str) -> None:
    """Link 7, event 12 and key 3; the first example has made user 1."""

    def make(path: str, **body: Any) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        assert server.get(path, "POST", headers, body).status == 201, path

    for number in range(1, 7):
        make("/urls", original_url=f"https://example.com/{number}")
    make("/urls", original_url="https://example.com/", short_code="aB3xY9", user_id=1)
    for _ in range(12):
        make("/events", event_type="shared", url_id=7)
    for number in range(1, 4):
        make("/keys", name=f"key {number}", scope="read")


CASES = [
    pytest.param("off", "curl", run_curl, marks=pytest.mark.services),
    pytest.param("on", "curl", run_curl, marks=pytest.mark.services),
    pytest.param("on", "Python", run_python),
    pytest.param("on", "JavaScript", run_node, marks=pytest.mark.services),
]


@pytest.mark.services  # it needs curl
@pytest.mark.parametrize("server", ["off"], indirect=True)
def test_the_first_example_works_on_a_new_server(
    server: tuple[WebServer, str], tmp_path: Path
) -> None:
    text = Shown(server[0], "curl").texts["create_url"]
    assert '"short_code"' in run_curl(text, 201, tmp_path, "")


@pytest.mark.parametrize(("server", "language", "run_it"), CASES, indirect=["server"])
def test_every_example_gets_the_answer_that_its_page_shows(
    server: tuple[WebServer, str], tmp_path: Path, language: str, run_it: Callable[..., str]
) -> None:
    running, key = server
    shown = Shown(running, language)
    assert len(shown.texts) > 45
    for name in shown:
        said = run_it(shown.texts[name], shown.statuses[name], tmp_path, key)
        assert said or shown.statuses[name] == 200, name  # an export of nothing has its head only
        if name == "create_user":
            prepare(running, key)
