"""A stand-in for Discord's webhook: keeps what it is told, refuses what Discord would refuse, and
fails as it is asked to.

`python -m tests.discord PORT FILE [HOST]` appends every message to FILE, one JSON line each: {"at":
seconds since 1970, "message": {...}}. POST /fail {"status": 429, "retry_after": 2, "times": 3}
makes the next three calls fail so.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from testkit.servers import free_port

LIMITS = {"title": 256, "description": 4096, "name": 256, "value": 1024}


@dataclass(frozen=True)
class Failure:
    """How one call fails; Discord's 429 says how long to wait in the header, or in the body, or in
    both.
    """

    status: int = 500
    header: float | None = None
    body: float | None = None
    hangs: bool = False


@dataclass(frozen=True)
class Told:
    """A message, and when it came."""

    at: float
    message: dict[str, Any]

    @property
    def titles(self) -> list[str]:
        return [embed["title"] for embed in self.message["embeds"]]


class Discord:
    """Listens on loopback while it is open.

    `failures` are used up one call at a time, `calls` counts all of them.
    """

    path = "/api/webhooks/1/very-secret"

    def __init__(self, port: int = 0, file: Path | None = None, host: str = "127.0.0.1") -> None:
        self.host, self.port, self.file = host, port or free_port(), file
        self.told: list[Told] = []
        self.failures: list[Failure] = []
        self.calls: list[float] = []
        self.lock = threading.Lock()
        self.released = threading.Event()
        self.server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}{self.path}"

    @property
    def titles(self) -> list[str]:
        return [title for told in self.told for title in told.titles]

    def open(self) -> None:
        self.server = _Server(self)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Connections are refused from now on."""
        if self.server:
            self.released.set()
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def __enter__(self) -> Discord:
        self.open()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def next_failure(self) -> Failure | None:
        with self.lock:
            self.calls.append(time.time())
            return self.failures.pop(0) if self.failures else None

    def keep(self, message: dict[str, Any]) -> None:
        told = Told(time.time(), message)
        with self.lock:
            self.told.append(told)
            if self.file:
                with self.file.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"at": told.at, "message": message}) + "\n")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, discord: Discord) -> None:
        self.discord = discord
        super().__init__((discord.host, discord.port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        address = urlsplit(self.path)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if address.path == "/fail":
            self._arrange(body)
        elif address.path == Discord.path:
            self._take(body, waits=parse_qs(address.query).get("wait") == ["true"])
        else:
            self._answer(404, {"message": "Unknown Webhook", "code": 10015})

    def _arrange(self, wish: dict[str, Any]) -> None:
        failure = Failure(wish["status"], wish.get("retry_after"), wish.get("retry_after"))
        self.server.discord.failures += [failure] * wish.get("times", 1)
        self._answer(204, None)

    def _take(self, message: dict[str, Any], *, waits: bool) -> None:
        discord = self.server.discord
        failure = discord.next_failure()
        wrong = problems(message)
        if failure:
            self._fail(failure)
        elif wrong:
            self._answer(400, {"message": "Invalid Form Body", "code": 50035, "errors": wrong})
        else:
            discord.keep(message)
            self._answer(200 if waits else 204, {"id": str(len(discord.told))} if waits else None)

    def _fail(self, failure: Failure) -> None:
        if failure.hangs:
            self.server.discord.released.wait(60)
            self.close_connection = True
            return
        headers = {} if failure.header is None else {"Retry-After": str(failure.header)}
        told = {} if failure.body is None else {"retry_after": failure.body, "global": False}
        self._answer(failure.status, {"message": "asked to fail", **told}, headers)

    def _answer(
        self, status: int, body: dict[str, Any] | None, headers: dict[str, str] | None = None
    ) -> None:
        text = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(text)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_args: object) -> None:
        """Says nothing."""


def problems(message: dict[str, Any]) -> list[str]:
    """What Discord would refuse `message` for."""
    embeds = message.get("embeds", [])
    found = [] if message.get("content") or embeds else ["empty"]
    if (
        _size(message.get("content", "")) > 2000
        or len(embeds) > 10
        or sum(_size(text) for _, text in _texts(embeds)) > 6000
    ):
        found.append("too long")
    found += [
        f"{kind}: {text[:20]!r}"
        for kind, text in _texts(embeds)
        if not text.strip() or _size(text) > LIMITS[kind]
    ]
    found += [
        f"url: {embed['url']}"
        for embed in embeds
        if "url" in embed and "." not in (urlsplit(embed["url"]).hostname or "")
    ]
    found += ["fields" for embed in embeds if len(embed.get("fields", [])) > 25]
    return found


def _texts(embeds: list[dict[str, Any]]) -> list[tuple[str, str]]:
    own = [
        (kind, embed[kind])
        for embed in embeds
        for kind in ("title", "description")
        if kind in embed
    ]
    return own + [
        (kind, field[kind])
        for embed in embeds
        for field in embed.get("fields", [])
        for kind in ("name", "value")
    ]


def _size(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def main() -> None:
    port, file, *host = sys.argv[1:]
    discord = Discord(int(port), Path(file), *host)
    discord.open()
    print(f"listening on {discord.url}", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
