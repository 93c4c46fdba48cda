"""A real server with the sample data, and who may sign in to it."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.database import now
from testkit.webserver import ROOT, WebServer
from tests.browser import sample

SCOPES = ("create", "read", "write", "admin")
OWN_KEY = "for these tests"
"""In the names of keys that no button may revoke."""
_FILE = 'Content-Disposition: form-data; name="file"; filename="urls.csv"'


class Site(WebServer):
    """`keys` has a secret by scope; without AUTH there is none, and everybody may do everything."""

    keys: dict[str, str]

    @property
    def base(self) -> str:
        return f"http://{self.host}:{self.port}"

    def ask(self, path: str, body: Any = None, method: str = "", scope: str = "admin") -> Any:
        """The JSON of an answer, which must be no error."""
        way = method or ("GET" if body is None else "POST")
        reply = self.get(path, way, self._signed(scope), body)
        assert reply.status < 400, (path, reply.status, reply.text)
        return reply.json() if reply.text else None

    def _signed(self, scope: str = "admin") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[scope]}"} if self.keys else {}

    def new_link(self, scope: str | None = None, **more: Any) -> dict[str, Any]:
        """A new one, of the key of this scope if that sees only its own; changed and followed."""
        body = {"original_url": f"https://example.com/{next(_numbers)}", "title": "A link", **more}
        by = "create" if scope == "create" else "admin"
        made: dict[str, Any] = self.ask("/urls", body, scope=by)
        self.ask(f"/urls/{made['id']}", {"title": "A changed link"}, "PUT")
        self.follow(made["short_code"])
        return made

    def follow(self, code: str, **headers: str) -> int:
        sent = {"User-Agent": sample.CHROME, "Accept": "text/html", **headers}
        return self.get(f"/{code}", headers=sent).status

    def new_import(self) -> None:
        """A file of one link."""
        line = f"imported{next(_numbers)},https://example.com/imported"
        body = f"--x\r\n{_FILE}\r\n\r\nshort_code,original_url\n{line}\n\r\n--x--\r\n"
        headers = {"Content-Type": "multipart/form-data; boundary=x", **self._signed()}
        sent = urllib.request.Request(f"{self.base}/urls/import", body.encode(), headers)
        with urllib.request.urlopen(sent) as answer:
            assert json.load(answer)["created"] == 1

    def key(self, scope: str, of: str = OWN_KEY) -> str:
        """The secret of a new API key."""
        name = f"{scope}, {of}, {next(_numbers)}"
        return str(self.ask("/keys", {"name": name, "scope": scope})["key"])


_numbers = itertools.count(1)


@contextmanager
def opened(folder: Path, **settings: str) -> Iterator[Site]:
    """The sample data on a new server."""
    site = Site(folder, WEB_WORKERS="1", LIMITS="off", PRIVATE_DESTINATIONS="allow", **settings)
    site.keys = {}
    _prepare(site, sample.write(folder, now().replace(hour=0, minute=0, second=0)))
    with site:
        site.keys |= {scope: site.key(scope) for scope in SCOPES[:-1] if site.keys}
        assert site.follow("poster") == 302
        for title in ("The autumn catalogue", sample.LINKS[-1].title):
            site.ask(f"/urls/{len(sample.LINKS)}", {"title": title}, "PUT")
        yield site


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
