"""The commands as they are typed: help, failures, and the processes that they become."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.__main__ import main
from app.config import ConfigError, Settings, read_env_file
from testkit.servers import HANGS_SECONDS, ROOT, free_port, wait_for
from testkit.webserver import WebServer
from tests.conftest import Api, Command

NAMES = [
    "serve", "worker", "migrate", "seed", "import", "export", "erase", "keys", "warm-up", "links",
    "backup", "restore", "settle",
]  # fmt: skip


def said(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """What `python -m app` does with these settings and no others."""
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS_SECONDS,
    )


def test_the_help_lists_every_command_with_a_whole_sentence(holdfast: Command) -> None:
    listed = re.findall(r"^  ([a-z][a-z-]+)  +(.*)$", holdfast("--help").output, re.MULTILINE)
    assert [name for name, _ in listed] == NAMES
    assert [text for _, text in listed if not text.endswith(".") or text.endswith("...")] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_of_its_own(holdfast: Command, name: str) -> None:
    result = holdfast(name, "--help")
    assert result.exit_code == 0
    assert main.commands[name].help
    assert result.output.startswith("Usage: ")


@pytest.mark.parametrize(("command", "who"), [("worker", "The worker"), ("warm-up", "A warm-up")])
def test_what_needs_redis_says_so_without_one(
    holdfast: Command, tmp_path: Path, command: str, who: str
) -> None:
    url = f"sqlite:///{tmp_path}/holdfast.db"
    result = holdfast(command, database_url=url, redis_url="")
    assert result.exit_code == 1
    sentence = f"Error: {who} needs Redis, and REDIS_URL is not set"
    assert result.output.splitlines()[-1] == sentence


def test_a_warm_up_of_a_redis_that_does_not_answer_fails(api: Api, holdfast: Command) -> None:
    api.url()
    result = holdfast("warm-up", redis_url=f"redis://127.0.0.1:{free_port()}/0")
    assert result.exit_code == 1
    assert result.output.splitlines()[-1] == "Error: Redis does not answer; it has taken 0 links"


def test_an_unavailable_database_is_one_line(holdfast: Command) -> None:
    for command in ("migrate", "seed", "warm-up"):
        result = holdfast(
            command,
            database_url=f"postgresql+pool://x@127.0.0.1:{free_port()}/x",
            redis_url=f"redis://127.0.0.1:{free_port()}/0",
        )
        assert result.exit_code == 1
        assert result.output.splitlines()[-1].startswith("Error: The database does not answer: ")


def test_a_missing_file_of_the_samples_name_is_answered_with_the_samples(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/holdfast.db"
    done = said("import", "users.csv", "urls.csv", DATABASE_URL=url)
    assert (done.returncode, done.stderr) == (
        1,
        "import: users.csv cannot be read: No such file or directory; "
        "there is seed_data/users.csv, seed_data/urls.csv\n",
    )


def test_the_old_way_to_start_the_worker_says_the_new_one() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app.worker"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "python -m app worker" in done.stderr) == (1, True)


# ---- serve ----


class Served(WebServer):
    """What the image runs."""

    command = (sys.executable, "-m", "app", "serve")


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_serve_becomes_gunicorn_which_ends_cleanly(tmp_path: Path, name: signal.Signals) -> None:
    with Served(tmp_path) as server:
        command = Path(f"/proc/{server.process.pid}/cmdline").read_bytes().split(b"\0")
        assert command[1:5] == [b"-m", b"gunicorn", b"-c", b"python:app.serving"]
        wait_for(lambda: len(server.workers()) == 2)
        os.kill(server.process.pid, name)
        assert server.process.wait(HANGS_SECONDS) == 0
        assert "Holdfast is at" not in server.output()


def test_serve_reads_an_env_file_but_not_over_the_environment(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("DEACTIVATED_STATUS=404\nBASE_URL=https://file.example\n")

    class Filed(WebServer):
        command = (sys.executable, "-m", "app", "--env-file", str(tmp_path / "env"), "serve")

    with Filed(tmp_path, BASE_URL="https://environment.example") as server:
        made = server.get("/urls", "POST", body={"original_url": "https://example.com/"}).json()
        assert made["short_url"].startswith("https://environment.example/")
        server.get(f"/urls/{made['id']}", "PUT", body={"is_active": False})
        assert server.get(f"/{made['short_code']}").status == 404


# ---- env files ----


def read(tmp_path: Path, text: str, environ: dict[str, str]) -> dict[str, str]:
    path = tmp_path / "env"
    path.write_text(text)
    read_env_file(path, environ)
    return environ


def test_an_env_file_gives_what_the_environment_does_not_have(tmp_path: Path) -> None:
    text = """
# a comment
APP_PORT=9000
export LOG_LEVEL = no
"""
    with pytest.raises(ConfigError, match=r"env:4: must be NAME=value"):
        read(tmp_path, text, {})
    text = """
APP_PORT=9000
export LOG_LEVEL=DEBUG
INSTANCE='a "b" #c'
BASE_URL="https://sho.rt"
CHAOS_TOKEN=let-me#in   # a comment
REDIS_URL=
WEB_THREADS=4
"""
    assert read(tmp_path, text, {"WEB_THREADS": "2", "LOG_LEVEL": ""}) == {
        "APP_PORT": "9000",
        "LOG_LEVEL": "",
        "INSTANCE": 'a "b" #c',
        "BASE_URL": "https://sho.rt",
        "CHAOS_TOKEN": "let-me#in",
        "WEB_THREADS": "2",
    }


def test_a_copy_of_the_example_changes_nothing(tmp_path: Path) -> None:
    environ = read(tmp_path, (ROOT / ".env.example").read_text(), {})
    assert Settings.from_env(environ) == Settings()


def test_the_first_env_file_wins(tmp_path: Path) -> None:
    environ = read(tmp_path, "AUTO_SEED=\nLOG_LEVEL=DEBUG", {})
    assert read(tmp_path, "AUTO_SEED=true\nLOG_LEVEL=ERROR", environ) == {
        "AUTO_SEED": "true",
        "LOG_LEVEL": "DEBUG",
    }


def test_the_worker_ends_at_sigterm(tmp_path: Path) -> None:
    """Also one whose Redis is away; it waits for it."""
    environ = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": f"sqlite:///{tmp_path}/holdfast.db",
        "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        "LOG_FILE": str(tmp_path / "log"),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "worker"], cwd=ROOT, env=environ, stdout=subprocess.DEVNULL
    )
    wait_for(lambda: (tmp_path / "log").exists() and "Redis" in (tmp_path / "log").read_text())
    process.send_signal(signal.SIGTERM)
    assert process.wait(HANGS_SECONDS) == 0


def test_waiting_for_the_schema_makes_none_and_ends_with_the_migration(tmp_path: Path) -> None:
    environ = {"DATABASE_URL": f"sqlite:///{tmp_path}/holdfast.db"}
    command = [sys.executable, "-u", "-m", "app", "migrate", "--wait"]
    settings = {"PATH": os.environ["PATH"], **environ}
    with subprocess.Popen(
        command, cwd=ROOT, env=settings, stdout=subprocess.PIPE, text=True
    ) as waiting:
        assert waiting.stdout
        assert waiting.stdout.readline() == "Waiting: the schema is not up to date\n"
        assert waiting.poll() is None
        assert said("migrate", **environ).stdout.startswith("Applied 0001_tables")
        assert waiting.stdout.readline() == "The schema is up to date\n"
        assert waiting.wait(HANGS_SECONDS) == 0


def test_waiting_for_the_schema_outlasts_a_database_that_is_not_there_yet() -> None:
    port = free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": f"postgresql+pool://x@127.0.0.1:{port}/x",
    }
    command = [sys.executable, "-u", "-m", "app", "migrate", "--wait"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True
    ) as waiting:
        assert waiting.stdout
        assert waiting.stdout.readline() == "Waiting: the database does not answer\n"
        assert waiting.poll() is None
        waiting.terminate()
