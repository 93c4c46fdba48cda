"""Many clients at once over keep-alive connections, which remember what became of every request."""

from __future__ import annotations

import http.client
import itertools
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import redis

from testkit.machine import Stopwatch
from testkit.servers import HANGS_SECONDS, Redis, wait_for

LOST = 0
"""The status of a request whose connection broke before its answer came: nobody knows whether it
was a click.
"""


IDLE_SECONDS = 60
"""For how long a connection may be idle and be used again. The server closes it after 75 s."""

Answer = tuple[int, str, bytes]


class Client:
    """One keep-alive connection, opened again when it breaks, and after IDLE_SECONDS.

    A patient client repeats a request that was answered with 503, and counts it in `refused`.
    """

    def __init__(self, port: int, *, patient: bool = False) -> None:
        self._port, self._patient = port, patient
        self._connection: http.client.HTTPConnection | None = None
        self._used = 0.0  # when the last answer came
        self.refused = 0

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Status, Location and body; (LOST, "", b"") when the connection broke."""
        watch, answer = Stopwatch(), self._send(method, path, body, **headers)
        while self._patient and answer[0] == 503 and watch.wall < HANGS_SECONDS:
            self.refused += 1
            time.sleep(0.1)
            answer = self._send(method, path, body, **headers)
        return answer

    def _send(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        content = {"Content-Type": "application/json"} if body is not None else {}
        if time.monotonic() - self._used > IDLE_SECONDS:
            self.close()
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(
                    "127.0.0.1",
                    self._port,
                    timeout=HANGS_SECONDS,
                )
            self._connection.request(
                method, path, json.dumps(body) if body is not None else None, {**content, **headers}
            )
            response = self._connection.getresponse()
            answer = response.status, response.headers.get("Location", ""), response.read()
            self._used = time.monotonic()
            return answer
        except (OSError, http.client.HTTPException):
            self.close()
            return LOST, "", b""

    def json(self, method: str, path: str, body: Any = None) -> Any:
        status, _, content = self.request(method, path, body)
        assert status in (200, 201), (status, content)
        return json.loads(content)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Line:
    """A keep-alive connection that does nothing but follow links, and costs little.

    It must not break.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), HANGS_SECONDS)

    def follow(self, short_code: str) -> tuple[int, str]:
        """Status and Location."""
        self._socket.sendall(f"GET /{short_code} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._receive()
        head, _, body = answer.partition(b"\r\n\r\n")
        headers = dict(re.findall(r"(?m)^(\S+): (.*?)\r?$", head.decode()))
        while len(body) < int(headers["content-length"]):
            body += self._receive()
        return int(head[9:12]), headers.get("location", "")

    def _receive(self) -> bytes:
        received = self._socket.recv(4096)
        if not received:
            raise ConnectionError("the server hung up")
        return received

    def close(self) -> None:
        self._socket.close()


@dataclass
class Load:
    """`total` redirects of `codes` by `clients` threads.

    Each request says in its User-Agent which one it is, behind one of `agents`.
    """

    port: int
    codes: list[str]
    total: int = 5000
    clients: int = 16
    agents: tuple[str, ...] = ("",)
    statuses: dict[str, int] = field(default_factory=dict)
    _numbers: Any = field(default_factory=itertools.count)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        self._threads = [threading.Thread(target=self._follow) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        for thread in self._threads:
            thread.join()

    def _follow(self) -> None:
        client = Client(self.port)
        for number in iter(self._numbers.__next__, None):
            if number >= self.total:
                break
            name = f"{self.agents[number % len(self.agents)]}request-{number}"
            self.statuses[name] = client.request(
                "GET", f"/{self.codes[number % len(self.codes)]}", **{"User-Agent": name}
            )[0]
            if self.statuses[name] == LOST:
                time.sleep(0.05)  # whoever is to be reached has just died
        client.close()

    def when(self, share: float, happens: Callable[[], Any]) -> None:
        """Does something after that share of the requests, however long they take."""
        while (seen := len(self.statuses)) < share * self.total:
            self._wait_for_more_than(seen)
        happens()

    def _wait_for_more_than(self, seen: int) -> None:
        wait_for(lambda: len(self.statuses) > seen, what="the next answer")

    def counts(self) -> Counter[int]:
        """How many requests had each status."""
        return Counter(self.statuses.values())

    def count(self, status: int) -> int:
        return self.counts()[status]


class Yardstick:
    """Does a small piece of work again and again beside a load; `times` counts when it took too
    long.

    What Holdfast refuses because it waited for so long is right where the machine is that slow.
    """

    def __init__(self, work: Callable[[], Any], seconds: float) -> None:
        self.times = 0
        self._work, self._seconds = work, seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on)

    def __enter__(self) -> Yardstick:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._over.wait(0.02):
            watch = Stopwatch()
            self._work()
            self.times += watch.wall > self._seconds


@contextmanager
def slow_redis(server: Redis) -> Iterator[Yardstick]:
    """Counts writes for which Holdfast would not have waited."""
    with (
        redis.Redis.from_url(server.url) as client,
        Yardstick(lambda: client.set("yardstick", 1), 0.25) as yardstick,
    ):
        yield yardstick


@contextmanager
def slow_postgres(url: str) -> Iterator[Yardstick]:
    """Counts transactions that took longer than the drain waits for a locked row."""
    with closing(psycopg2.connect(url.partition("?")[0].replace("+pool", ""))) as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE TEMPORARY TABLE yardstick AS SELECT 1 AS n")

        def work() -> None:
            cursor.execute("UPDATE yardstick SET n = n + 1")
            connection.commit()

        with Yardstick(work, 0.2) as yardstick:
            yield yardstick


def click_events(client: Client) -> list[dict[str, Any]]:
    """All of them, page by page."""
    found: list[dict[str, Any]] = []
    while True:
        after = f"&after={found[-1]['id']}" if found else ""
        page = client.json("GET", f"/events?event_type=clicked&per_page=100{after}")
        found += page
        if len(page) < 100:
            return found


def assert_exact(load: Load, urls: list[dict[str, Any]], client: Client) -> None:
    """Every 302 that was received is exactly one event.

    Of the rest only requests that were cut off may be one.
    """
    client.close()  # its server process may be gone
    wait_for(
        lambda: client.json("GET", "/health")["status"] == "ok",
        what="the circuit breaker, which is open for a second",
    )
    events = click_events(client)
    stored = Counter(event["details"]["user_agent"] for event in events)
    answered = {name for name, status in load.statuses.items() if status == 302}
    assert not answered - stored.keys(), "lost"
    assert max(stored.values()) == 1, "doubled"
    assert {load.statuses[name] for name in stored.keys() - answered} <= {LOST}
    per_url = Counter(event["url_id"] for event in events)
    for url in urls:
        assert client.json("GET", f"/urls/{url['id']}")["click_count"] == per_url[url["id"]]
