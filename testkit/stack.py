"""Stacks of real processes on loopback (Nginx to PostgreSQL), and their CPU time."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from app.process import Replica
from testkit.servers import Missing, free_port, wait_for

PYTHON = sys.executable
_NGINX = """
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.err;
daemon off;
events {{ worker_connections 2048; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    keepalive_requests 10000000;
    upstream replicas {{ least_conn; {servers} keepalive 64; keepalive_requests 10000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ {answer} }}
        {locations}
    }}
}}
"""
_PROXY = (
    'proxy_pass http://replicas; proxy_http_version 1.1; proxy_set_header Connection ""; '
    "proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;"
)


def need(program: str, package: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise Missing(f"{program} is not installed: apt-get install {package}")
    return found


SERVING = ["-k", "app.webworker.Worker", "--workers", "1", "--keep-alive", "75"]
SERVING += ["--no-control-socket", "--log-level", "warning"]
"""How Gunicorn is told to serve what is not Holdfast as Holdfast is served."""


class Stack:
    """Processes that serve together.

    `port` is where requests go, `cpu_seconds` is what they all cost so far.
    """

    def __init__(self, cleanup: ExitStack) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="holdfast-bench-"))
        self.folder.chmod(0o755)
        cleanup.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._cleanup = cleanup
        self.parts: dict[str, list[Replica]] = {}
        self.port = 0
        self.replica_ports: list[int] = []

    def run(
        self,
        name: str,
        command: Sequence[str],
        environment: dict[str, str] | None = None,
        folder: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env={**os.environ, **(environment or {})},
                stdout=log,
                stderr=log,
                cwd=folder,
            )
        self.watch(name, process.pid)
        self._cleanup.callback(_end, process)
        return process

    def watch(self, name: str, pid: int) -> None:
        family = Replica()
        family.master_pid = pid
        self.parts.setdefault(name, []).append(family)

    def replicas(self, application: Sequence[str], environments: Iterable[dict[str, str]]) -> None:
        """Starts one Gunicorn for each environment.

        `application` is what follows `gunicorn` on the command line.
        """
        for environment in environments:
            port = free_port()
            self.run(
                "app",
                [PYTHON, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", *application],
                {**environment, "APP_PORT": str(port)},
            )
            self.replica_ports.append(port)
        for port in self.replica_ports:
            wait_for(
                lambda port=port: _answers(port),
                what=f"the replica on port {port} (logs in {self.folder})",
            )  # type: ignore[misc]

    def nginx(self, answer: str = _PROXY, locations: str = "") -> None:
        """Puts Nginx before the replicas, or lets it answer by itself, elsewhere as `locations`
        say.
        """
        self.port = free_port()
        servers = " ".join(f"server 127.0.0.1:{port};" for port in self.replica_ports or [1])
        configuration = self.folder / "nginx.conf"
        configuration.write_text(
            _NGINX.format(
                folder=self.folder,
                servers=servers,
                port=self.port,
                answer=answer,
                locations=locations,
            )
        )
        self.run("nginx", [need("nginx", "nginx"), "-c", str(configuration)])
        wait_for(lambda: _answers(self.port), what="Nginx")

    def cpu_seconds(self) -> dict[str, float]:
        """User and system time of each part, with its children and those of them that ended."""
        return {
            name: sum(family.cpu_seconds() for family in families)
            for name, families in self.parts.items()
        }


def _answers(port: int) -> bool:
    """Whether there is an HTTP answer: Gunicorn listens before its workers are ready."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            return connection.recv(16).startswith(b"HTTP/")
    except OSError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
