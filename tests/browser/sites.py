"""A real server with the sample data, and who may sign in to it."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.database import now
from testkit.webserver import ROOT, WebServer
from tests.browser import sample

SCOPES = ("create", "read", "write", "admin")
NOON = datetime(2026, 6, 18, 12, tzinfo=UTC).replace(tzinfo=None)
"""The moment at which screenshots are taken, a Thursday."""
_CLOCKS = "/usr/lib/*/faketime/libfaketimeMT.so.1"


class Site(WebServer):
    """`keys` has a secret by scope; without AUTH there is none, and everybody may do everything."""

    keys: dict[str, str]

    @property
    def base(self) -> str:
        return f"http://{self.host}:{self.port}"

    def ask(self, path: str, body: Any = None, method: str = "", **headers: str) -> Any:
        """The JSON of an answer, which must be no error."""
        if "admin" in self.keys:
            headers["Authorization"] = f"Bearer {self.keys['admin']}"
        reply = self.get(path, method or ("GET" if body is None else "POST"), headers, body)
        assert reply.status < 400, (path, reply.status, reply.text)
        return reply.json() if reply.text else None

    def new_link(self, **more: Any) -> dict[str, Any]:
        """One that is nobody else's, with a change and a click."""
        url = f"https://example.com/{next(_numbers)}"
        made: dict[str, Any] = self.ask("/urls", {"original_url": url, "title": "A link", **more})
        self.ask(f"/urls/{made['id']}", {"title": "A changed link"}, "PUT")
        self.follow(made["short_code"])
        return made

    def follow(self, code: str, **headers: str) -> int:
        sent = {"User-Agent": sample.CHROME, "Accept": "text/html", **headers}
        return self.get(f"/{code}", headers=sent).status

    def key(self, scope: str) -> str:
        """The secret of a new API key."""
        name = f"a {scope} key, number {next(_numbers)}"
        return str(self.ask("/keys", {"name": name, "scope": scope})["key"])


_numbers = itertools.count(1)


@contextmanager
def opened(folder: Path, moment: datetime | None = None, **settings: str) -> Iterator[Site]:
    """The sample data on a new server, for which it is always `moment` when there is one."""
    site = Site(folder, WEB_WORKERS="1", LIMITS="off", PRIVATE_DESTINATIONS="allow", **settings)
    if moment:
        site.environment |= {**_standing_still(moment), "BASE_URL": "https://go.example.com"}
    site.keys = {}
    _prepare(site, sample.write(folder, moment or now()))
    with site:
        site.keys |= {scope: site.key(scope) for scope in SCOPES[:-1] if site.keys}
        assert site.follow("poster") == 302
        site.ask("/urls/1", {"title": "The autumn catalogue"}, "PUT")
        site.ask("/urls/1", {"title": sample.LINKS[0].title}, "PUT")
        yield site


OWN_KEY = "the key of these tests"


def _prepare(site: Site, files: list[str]) -> None:
    """Runs commands of Holdfast, all in one process."""
    commands = [["migrate"], ["import", *files], ["links", "ban", sample.BANNED_HOST]]
    if "AUTH" in site.environment:
        commands.append(["keys", "create", OWN_KEY, "--scope", "admin"])
    done = subprocess.run(
        [sys.executable, "-c", _COMMANDS, json.dumps(commands)],
        cwd=ROOT,
        env=site.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    if "AUTH" in site.environment:
        site.keys["admin"] = done.stdout.split()[-1]


_COMMANDS = """import json, sys
from app.__main__ import main
for command in json.loads(sys.argv[1]):
    try:
        main(command, standalone_mode=False)
    except SystemExit as end:
        if end.code:
            raise
"""


def _standing_still(moment: datetime) -> dict[str, str]:
    """The settings under which a process finds the same time whenever it asks."""
    found = sorted(map(str, Path("/").glob(_CLOCKS.lstrip("/"))))
    assert found, "libfaketime is not installed: apt-get install libfaketime"
    return {
        "LD_PRELOAD": found[0],
        "FAKETIME": f"{moment:%F %T}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "TZ": "UTC",
    }
