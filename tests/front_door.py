"""The stack's Nginx, from its own files, before replicas that a test plays."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing, suppress

from testkit.servers import HANGS_SECONDS, ROOT, App, Server, free_port

_REPLICA_PORT = 8000  # nginx/start.sh says so

Act = Callable[[socket.socket, bytes], None]
"""What a replica does once it has read a request."""


def answer(connection: socket.socket, _request: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def die(connection: socket.socket, _request: bytes) -> None:
    """As a process does that the kernel ends: the connection breaks."""
    connection.close()


def say_nothing(_connection: socket.socket, _request: bytes) -> None:
    threading.Event().wait(5)


class Replica:
    """At an address of its own on loopback; remembers each request.

    Without `act` nobody listens there.
    """

    def __init__(self, number: int, act: Act | None) -> None:
        self.address = f"127.{os.getpid() // 250 % 250 + 1}.{os.getpid() % 250}.{number}"
        self.seen: list[bytes] = []
        self._act = act
        self._server = socket.create_server((self.address, _REPLICA_PORT)) if act else None
        if self._server:
            threading.Thread(target=self._serve, args=(self._server,), daemon=True).start()

    def _serve(self, server: socket.socket) -> None:
        with suppress(OSError):  # closed
            while True:
                connection, _ = server.accept()
                threading.Thread(target=self._work, args=(connection,), daemon=True).start()

    def _work(self, connection: socket.socket) -> None:
        with closing(connection), suppress(OSError):
            while request := _read(connection):
                self.seen.append(request)
                assert self._act
                self._act(connection, request)

    def close(self) -> None:
        if self._server:
            self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()


def _read(connection: socket.socket) -> bytes:
    """A whole request: Nginx says how long each body is."""
    request = connection.recv(100_000)
    found = re.search(rb"\r\nContent-Length: (\d+)\r\n", request)
    whole = request.find(b"\r\n\r\n") + 4 + int(found[1]) if found else 0
    while request and len(request) < whole and (more := connection.recv(1_000_000)):
        request += more
    return request


Door = tuple[str, int]
"""Where something listens: address and port."""


def ask(
    door: Door, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, str]:
    with closing(http.client.HTTPConnection(*door, timeout=HANGS_SECONDS)) as connection:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read().decode()


class ReplicaApp(App):
    """The application where nginx/start.sh looks for a replica."""

    def __init__(self, **environ: str) -> None:
        self.host = Replica(1, None).address
        super().__init__(**environ, APP_HOST=self.host)
        self.port, self.environ["APP_PORT"] = 8000, "8000"

    def answers(self) -> bool:
        try:
            return ask((self.host, self.port), "GET", "/health")[0] == 200
        except OSError:
            return False


class FrontDoor(Server):
    """Nginx as nginx/start.sh configures it.

    `changes` are made to nginx.conf, such as a shorter timeout for a test.
    """

    def __init__(
        self, *replicas: Replica, changes: dict[str, str] | None = None, **settings: str
    ) -> None:
        super().__init__()
        self.inner_port, self.tls_port = free_port(), free_port()
        self.changes = {
            "listen 8080": f"listen {self.port}",
            "listen 8081": f"listen {self.inner_port}",
            **(changes or {}),
        }
        servers = " ".join(replica.address for replica in replicas)
        self.settings = {"APP_SERVERS": servers, **settings}
        self._render()

    def _render(self) -> None:
        """As deploy/lint.sh does: every path is inside of our folder, and the script ends before it
        would start Nginx.
        """
        for path in (ROOT / "nginx").iterdir():
            text = re.sub(
                r"/etc/nginx/holdfast|/(?:var/)?tmp(?=/)", str(self.folder), path.read_text()
            )
            text = re.sub(r"/dev/std(?:err|out)", f"{self.folder}/nginx.log", text)
            text = re.sub(r"^(?:watch &|exec nginx .*)$", "", text, flags=re.MULTILINE)
            for old, new in self.changes.items() if path.name == "nginx.conf" else ():
                assert old in text
                text = text.replace(old, new)
            text = text.replace("listen 8443", f"listen {self.tls_port}")
            (self.folder / path.name).write_text(
                text.replace("127.0.0.1:8081", f"127.0.0.1:{self.inner_port}")
            )
        environment = {"PATH": f"{os.environ['PATH']}:/usr/sbin", **self.settings}
        subprocess.run(
            ["sh", str(self.folder / "start.sh")], check=True, env=environment, timeout=30
        )
        if os.geteuid() == 0:
            shutil.chown(self.folder, "nobody", "nogroup")

    def command(self) -> list[str]:
        nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
        assert nginx, "apt-get install nginx"
        return [
            nginx,
            "-e",
            str(self.folder / "nginx.log"),
            "-c",
            str(self.folder / "nginx.conf"),
            "-g",
            "daemon off;",
        ]

    def answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def ask(self, request: bytes, seconds: float = 20) -> bytes:
        """All that is said until the connection ends; for requests that no client would send."""
        with socket.create_connection(("127.0.0.1", self.port), seconds) as connection:
            with suppress(OSError):
                connection.sendall(request)
            said = b""
            with suppress(ConnectionResetError):  # what it did not want to read is left on the line
                while more := connection.recv(65_536):
                    said += more
            return said


def setting(name: str) -> int:
    """The seconds that nginx.conf gives to `name`, where it first does."""
    found = re.search(
        rf"^ *{name} (\d+)s;", (ROOT / "nginx" / "nginx.conf").read_text(), re.MULTILINE
    )
    assert found
    return int(found[1])
