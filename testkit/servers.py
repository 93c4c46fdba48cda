"""Real PostgreSQL and Redis servers on free loopback ports; tests may kill and restart them."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import glob
from pathlib import Path
from typing import Any

from testkit.machine import HANGS_SECONDS, free_port, wait_for


class Missing(Exception):
    """A program is not installed; the text says what to install."""


ROOT = Path(__file__).parents[1]


LONG_LOCKS = "?options=-c%20lock_timeout%3D60000%20-c%20statement_timeout%3D60000"
"""Behind a PostgreSQL URL: waits for locks last until a busy test has arranged the rest."""


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


class Server:
    """A process that listens on `port`; its data are in `folder` and outlive it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-"))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """How its process is started."""
        return {"cwd": self.folder, **as_nobody()}

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, **self.options()
            )
        wait_for(lambda: self.answers() or not self.running, what=self._name())
        assert self.running, f"{self._name()} ended at its start"

    def _name(self) -> str:
        return f"{type(self).__name__} (log in {self.folder}/log)"

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def send(self, name: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(name)

    def kill(self) -> None:
        """kill -9 of it and its children, and wait until it is gone."""
        self.send_all(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def send_all(self, name: signal.Signals) -> None:
        children = self.children()  # who is killed has none any more
        self.send(name)
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, name)

    def children(self) -> list[int]:
        assert self.process is not None
        pid = self.process.pid
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It accepts connections, and answers nobody."""
        self.send_all(signal.SIGSTOP)
        try:
            yield
        finally:
            self.send_all(signal.SIGCONT)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.send_all(signal.SIGCONT)
            self.process.send_signal(self.goodbye)
            self.process.wait()

    goodbye = signal.SIGTERM

    def destroy(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Postgres(Server):
    """A cluster with the database `holdfast`, fast rather than safe against power cuts."""

    goodbye = signal.SIGINT

    def __init__(self) -> None:
        super().__init__()
        self.programs = postgres_programs()
        give_to_nobody(self.folder)
        self._make()

    def _make(self) -> None:
        initdb = [
            f"{self.programs}/initdb",
            "-D",
            str(self.folder / "data"),
            "-U",
            "holdfast",
            "--auth=trust",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, **as_nobody())

    @property
    def url(self) -> str:
        return self._url_of("holdfast")

    def _url_of(self, name: str) -> str:
        return f"postgresql+pool://holdfast@127.0.0.1:{self.port}/{name}"

    def another_database(self) -> str:
        """The URL of a new, empty one."""
        name = f"holdfast_{secrets.token_hex(4)}"
        assert self._run("createdb", name) == 0
        return self._url_of(name)

    def command(self) -> list[str]:
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": "200",
            "shared_buffers": "256MB",
            "max_wal_size": "4GB",
        }
        settings = [
            argument for name, value in options.items() for argument in ("-c", f"{name}={value}")
        ]
        return [
            f"{self.programs}/postgres",
            "-D",
            str(self.folder / "data"),
            "-p",
            str(self.port),
            *settings,
        ]

    def answers(self) -> bool:
        return self._run("psql", "-c", "SELECT 1", "postgres") == 0

    def start(self) -> None:
        super().start()
        self._run("createdb", "holdfast")

    def _run(self, program: str, *arguments: str) -> int:
        command = [
            f"{self.programs}/{program}",
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-U",
            "holdfast",
            *arguments,
        ]
        return subprocess.run(
            command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/"
        ).returncode


class Redis(Server):
    """Redis as Holdfast wants it: every write on disk before it is answered, and nothing dropped
    that has no TTL.
    """

    def __init__(self) -> None:
        super().__init__()
        self.program = shutil.which("redis-server")
        if self.program is None:
            raise Missing("redis-server is not installed: apt-get install redis-server")
        give_to_nobody(self.folder)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        options = [
            "--bind",
            "127.0.0.1",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--maxmemory-policy",
            "volatile-lru",
            "--save",
            "",
        ]
        return [str(self.program), "--port", str(self.port), "--dir", str(self.folder), *options]

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), HANGS_SECONDS) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


class Program(Server):
    """One of our own processes, run from the repository with `environ` and no other settings."""

    module = ""

    def __init__(self, **environ: str) -> None:
        super().__init__()
        inherited = {
            name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ
        }
        self.environ = {
            **inherited,
            "LOG_FILE": str(self.folder / "holdfast.log"),
            "APP_PORT": str(self.port),
            **environ,
        }

    def command(self) -> list[str]:
        return [sys.executable, "-m", *self.module.split()]

    def options(self) -> dict[str, Any]:
        return {"cwd": ROOT, "env": self.environ}

    def answers(self) -> bool:
        return True


class App(Program):
    """The web server as it is run in production."""

    module = "gunicorn -c python:app.serving"

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), HANGS_SECONDS) as connection:
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return connection.recv(16).startswith(b"HTTP/1.1 200")
        except OSError:
            return False


class ClickWorker(Program):
    """The background process."""

    module = "app worker"

    def answers(self) -> bool:
        log = self.folder / "holdfast.log"
        return log.exists() and "warmed the cache up" in log.read_text()


class Silent:
    """Something that listens on `port`, takes connections and never says a word."""

    def __enter__(self) -> Silent:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = int(self._socket.getsockname()[1])
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()


def postgres_programs() -> str:
    folders = sorted(
        glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: int(path.split("/")[4])
    )
    found = folders[-1] if folders else shutil.which("initdb")
    if found is None:
        raise Missing("PostgreSQL is not installed: apt-get install postgresql")
    return str(Path(found).parent)


def as_nobody() -> dict[str, Any]:
    """PostgreSQL refuses to run as root; as anybody else it is us."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


def give_to_nobody(folder: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
