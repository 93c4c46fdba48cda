"""The commands of README and CONTRIBUTING work as they are pasted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from testkit.servers import HANGS_SECONDS, Postgres, Redis, wait_for
from testkit.webserver import ROOT, WebServer

README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()


def test_the_readme_is_read_in_minutes() -> None:
    assert len(README.split()) <= 1000


@pytest.mark.services  # it needs curl
def test_the_quick_start_works_when_it_is_pasted_also_on_an_empty_database(tmp_path: Path) -> None:
    class Run(WebServer):
        command = (sys.executable, "run.py")

    with Run(tmp_path) as server:
        make, events, bulk = (
            block.replace("localhost:8000", f"localhost:{server.port}")
            for block in shell_blocks(README)
            if "curl" in block
        )
        made = paste(make, tmp_path)
        assert '"original_url":"https://example.com/"' in made
        assert paste(events, tmp_path) == "[]\n"
        server.get("/" + made.partition('"short_code":"')[2][:6])
        assert '"event_type":"clicked"' in paste(events, tmp_path)
        assert '"created":2' in paste(bulk, tmp_path)


def test_the_readmes_import_works_when_it_is_pasted(tmp_path: Path) -> None:
    [block] = [block for block in shell_blocks(README) if "holdfast import" in block]
    said = paste(block, ROOT, DATABASE_URL=f"sqlite:///{tmp_path}/holdfast.db")
    assert said.splitlines()[-1] == "Loaded 400 users, 2000 URLs, 3422 events"


@pytest.mark.services
def test_server_and_worker_of_the_readme_work_together(
    tmp_path: Path, postgres_server: Postgres, redis_server: Redis
) -> None:
    [env] = re.findall(r"```ini\n(.*?)```", README, re.DOTALL)
    for url, own in (
        (r"postgresql\+pool://\S+", postgres_server.another_database()),
        (r"redis://\S+", redis_server.url),
        ("WEB_WORKERS=4", "WEB_WORKERS=2"),
    ):
        env, count = re.subn(url, own, env)
        assert count == 1
    (tmp_path / ".env").write_text(env)
    serve, work = (block for block in shell_blocks(README) if "--env-file .env" in block)

    class Server(WebServer):
        command = ("bash", "-c", runnable(f"cd {tmp_path}; exec {serve}"))

    server = Server(tmp_path)
    server.environment = environment(APP_PORT=str(server.port))
    with server:
        made = server.get("/urls", "POST", body={"original_url": "https://example.com/"}).json()
        server.get(f"/{made['short_code']}")
        worker = subprocess.Popen(
            ["bash", "-c", runnable(f"exec {work}")], cwd=tmp_path, env=environment()
        )
        try:
            log = tmp_path / "var" / "holdfast.log"
            wait_for(lambda: log.exists() and "warmed the cache up with 1 links" in log.read_text())
            assert server.get(f"/{made['short_code']}").headers["X-Cache"] == "HIT"
        finally:
            worker.terminate()
            assert worker.wait(HANGS_SECONDS) == 0


def test_the_ways_to_run_one_test_find_tests() -> None:
    blocks = "".join(shell_blocks(CONTRIBUTING)).splitlines()
    commands = [line for line in blocks if "-m pytest" in line]
    assert len(commands) == 3
    for command in commands:
        found = re.sub(r"^.*-m pytest", f"{sys.executable} -m pytest --collect-only", command)
        assert "/test_" in paste(found, ROOT)


def shell_blocks(document: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", document, re.DOTALL)


def paste(block: str, folder: Path, **settings: str) -> str:
    """What the block says, with this Python, in `folder`."""
    return subprocess.run(
        ["bash", "-ec", runnable(block).replace("/tmp/users.csv", str(folder / "users.csv"))],
        cwd=folder,
        env=environment(**settings),
        capture_output=True,
        text=True,
        check=True,
        timeout=HANGS_SECONDS,
    ).stdout


def runnable(block: str) -> str:
    return block.replace(".venv/bin/holdfast", f"{sys.executable} -m app")


def environment(**settings: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **settings}
