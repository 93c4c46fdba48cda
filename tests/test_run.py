"""`make run`, from what it prints to Ctrl-C."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit.servers import HANGS_SECONDS, has_ipv6
from testkit.webserver import WebServer


class Run(WebServer):
    """What the recipe of `make run` starts."""

    command = (sys.executable, "run.py")

    def answers(self) -> bool:
        """It serves, and has said so: the two come in any order."""
        return "\nHoldfast is at " in self.output() and super().answers()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Run]:
    with Run(folder, AUTO_SEED="true") as started:
        yield started


def commands_of(output: str) -> list[str]:
    return re.findall(r"curl .*", output)


def pasted(command: str) -> str:
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        check=True,
        timeout=HANGS_SECONDS,
    ).stdout


def run_again(server: Run, **environ: str) -> subprocess.CompletedProcess[str]:
    """With the settings of one that runs already."""
    return subprocess.run(
        [sys.executable, "run.py"],
        env={**server.environment, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS_SECONDS,
    )


def test_it_prints_its_address(server: Run) -> None:
    assert f"Holdfast is at http://localhost:{server.port}\n" in server.output()


@pytest.mark.services  # it needs curl
def test_the_printed_commands_work_when_they_are_pasted(server: Run) -> None:
    make, follow = commands_of(server.output())
    assert '"original_url":"https://example.com/"' in pasted(make)
    assert pasted(follow).startswith("HTTP/1.1 302 Found\n")


def test_the_first_start_loads_the_sample_data(server: Run) -> None:
    for path in ("/users", "/urls", "/events"):
        assert len(server.get(path).json()) == 20


def test_env_files_say_what_the_environment_does_not_and_the_first_one_wins(tmp_path: Path) -> None:
    (tmp_path / "first").write_text("BASE_URL=https://first.example\nDEACTIVATED_STATUS=404\n")
    (tmp_path / "second").write_text("AUTO_SEED=true\nBASE_URL=https://second.example\n")

    class Filed(Run):
        command = (*Run.command, str(tmp_path / "first"), str(tmp_path / "second"))

    with Filed(tmp_path, DEACTIVATED_STATUS="410") as server:
        [url] = server.get("/urls?is_active=false&per_page=1").json()
        assert url["short_url"] == f"https://first.example/{url['short_code']}"
        assert server.get(f"/{url['short_code']}").status == 410


def test_a_line_of_an_env_file_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# yes\nno\n")
    done = subprocess.run(
        [*Run.command, tmp_path / "env"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, f"{tmp_path}/env:2: must be NAME=value\n")


def test_make_run_reads_env_when_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").touch()
    shutil.copy(Path(__file__).parents[1] / "Makefile", tmp_path)
    command = ["make", "--no-print-directory", "-n", "run"]

    def run() -> str:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return " ".join(done.stdout.splitlines()[-1].split())

    assert run() == ".venv/bin/python run.py deploy/run.env"
    (tmp_path / ".env").touch()
    assert run() == ".venv/bin/python run.py .env deploy/run.env"


def test_the_addresses_come_after_the_lines_of_the_start(server: Run) -> None:
    before, _, after = server.output().partition("\nHoldfast is at ")
    assert "0001_tables" in before
    assert "0001_tables" not in after


def test_a_taken_port_is_one_clear_sentence(server: Run, folder: Path) -> None:
    second = run_again(server)
    assert second.returncode == 1
    assert second.stderr == (
        f"Port {server.port} on 127.0.0.1 cannot be used (Address already in use); "
        "choose another one: APP_PORT=8001 make run\n"
    )
    assert second.stdout == ""


def test_ctrl_c_ends_it_cleanly_and_the_next_run_goes_on_with_the_data(tmp_path: Path) -> None:
    with Run(tmp_path, AUTO_SEED="true") as first:
        made = first.get("/urls", "POST", body={"original_url": "https://example.com/kept"}).json()
        users = first.get("/users?count=true").headers["X-Total-Count"]
        assert first.stop(signal.SIGINT) == 0
        assert "Traceback" not in first.output()
    with Run(tmp_path, AUTO_SEED="true") as second:
        assert (
            second.get(f"/{made['short_code']}").headers["Location"] == "https://example.com/kept"
        )
        assert second.get("/users?count=true").headers["X-Total-Count"] == users


def test_without_any_link_it_says_how_to_come_by_one(tmp_path: Path) -> None:
    with Run(tmp_path) as server:
        assert len(commands_of(server.output())) == 2
        assert "follow one      the short_url of the answer" in server.output()


@pytest.mark.parametrize(
    ("host", "printed"),
    [("::1", "[::1]"), ("[::1]", "[::1]"), ("::", "localhost"), ("[::]", "localhost")],
)
def test_an_ipv6_address_is_listened_on_or_refused_where_the_machine_has_none(
    server: Run, tmp_path: Path, host: str, printed: str
) -> None:
    if not has_ipv6():
        _assert_refused(server, host)
        return
    listening = Run(tmp_path, APP_HOST=host)
    listening.host = "::1"
    with listening:
        assert f"Holdfast is at http://{printed}:{listening.port}\n" in listening.output()
        make, _ = commands_of(listening.output())
        address = re.search(r"'?http://[^ ']*/shorten'?$", make)
        assert address is not None
        connection = http.client.HTTPConnection(
            printed.strip("[]"), listening.port, timeout=HANGS_SECONDS
        )
        connection.request(
            "POST",
            "/shorten",
            '{"url": "https://e.example/"}',
            {"Content-Type": "application/json"},
        )
        assert json.loads(connection.getresponse().read())["short_url"].startswith(
            f"http://{printed}:"
        )
        connection.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::", "[::1]"])
def test_the_image_asks_for_its_health_where_it_listens(tmp_path: Path, host: str) -> None:
    if ":" in host and not has_ipv6():
        return
    listening = Run(tmp_path, APP_HOST=host)
    listening.host = "::1" if ":" in host else "127.0.0.1"
    found = re.search(
        r"HEALTHCHECK.*\n *CMD (\[.*\])\n", (Path(__file__).parents[1] / "Dockerfile").read_text()
    )
    assert found is not None
    command = [sys.executable, *json.loads(found[1])[1:]]
    with listening:
        assert (
            subprocess.run(command, env=listening.environment, check=False, timeout=60).returncode
            == 0
        )
    assert (
        subprocess.run(
            command, env=listening.environment, check=False, timeout=60, capture_output=True
        ).returncode
        != 0
    )


def test_a_client_that_names_no_host_is_shown_the_address_that_it_reached(tmp_path: Path) -> None:
    if not has_ipv6():
        return
    listening = Run(tmp_path, APP_HOST="::1")
    listening.host = "::1"
    with listening, socket.create_connection(("::1", listening.port), 20) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert f'"http://[::1]:{listening.port}/openapi.json"'.encode() in answer


def test_an_address_that_is_not_this_machines_is_one_clear_sentence(server: Run) -> None:
    _assert_refused(server, "192.0.2.1")


def _assert_refused(server: Run, host: str) -> None:
    refused = run_again(server, APP_HOST=host)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"Port {server.port} on {host} cannot be used (")
    assert len(refused.stderr.splitlines()) == 1
