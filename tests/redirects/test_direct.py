"""Cached redirects that are answered without a task, beside a Redis of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis

from testkit.servers import HANGS_SECONDS, Redis, wait_for
from testkit.webserver import WebServer
from tests.redirects import tasked

pytestmark = pytest.mark.services

CLOSE = b"Connection: close\r\n"
OTHER_SITE = "https://other.example"


class Direct(WebServer):
    """One worker process and its Redis; each of its links is cached.

    An answer that had a task says so: tasked.py.
    """

    command = (*WebServer.command, "tests.redirects.tasked:create()")

    def __init__(self, folder: Path, server: Redis) -> None:
        super().__init__(folder, WEB_WORKERS="1", REDIS_URL=server.url, CORS_ORIGINS=OTHER_SITE)
        self.redis = server

    def link(self) -> dict[str, Any]:
        body = {"original_url": "https://example.com/direct"}
        made: dict[str, Any] = self.get("/urls", "POST", body=body).json()
        return made

    def clicks(self, link: dict[str, Any]) -> int:
        path = f"/events?type=clicked&url_id={link['id']}&count=true"
        return int(self.get(path).headers["X-Total-Count"])

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), HANGS_SECONDS)

    def exchange(self, *requests: bytes) -> bytes:
        """All that comes back; the last request has to close."""
        with self.connect() as connection:
            connection.sendall(b"".join(requests))
            return everything(connection)

    def hits(self, *requests: bytes) -> list[bytes]:
        """Their answers by the front, of which only the first one had no task.

        Asks again while Redis is too slow, and Flask or a task answers.
        """
        found: list[bytes] = []
        tasks = [False, *[True] * (len(requests) - 1)]

        def are_hits() -> bool:
            found[:] = self.exchange(*requests).split(b"HTTP/1.1 ")[1:]
            had_tasks = [TASK in each for each in found]
            return all(map(BY_THE_FRONT.match, found)) and had_tasks == tasks

        wait_for(are_hits, what="hits, the first one without a task")
        return found

    def is_asked(self, code: str) -> None:
        """Waits until a redirect was answered from the cache: the front is connected to Redis."""
        wait_for(lambda: self.get(f"/{code}").headers.get("X-Cache") == "HIT", what="a hit")


BY_THE_FRONT = re.compile(rb"302 Found\r\ndate: [^\r]*\r\nlocation: (?s:.*)\r\nx-cache: HIT\r\n")
"""Flask writes Location last; what Redis did not answer in time is a MISS."""
TASK = b"%s: 1\r\n" % tasked.HEADER


def everything(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def get(code: str, *headers: bytes, version: bytes = b"1.1") -> bytes:
    head = b"GET /%s HTTP/%s\r\nHost: h\r\n" % (code.encode(), version)
    return head + b"".join(headers) + b"\r\n"


def alike(answer: bytes) -> bytes:
    """Without what differs from one answer to the next."""
    return re.sub(rb"(date|x-request-id): [^\r]*", rb"\1", answer.replace(TASK, b""))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Direct]:
    own = Redis()
    own.start()
    try:
        started = Direct(tmp_path, own)
        with started:
            yield started
            assert '"exception"' not in started.log_file.read_text()
            assert "Traceback" not in started.output()
    finally:
        own.destroy()


@pytest.mark.parametrize("origin", ["", OTHER_SITE, "https://foreign.example"])
def test_an_answer_without_a_task_has_the_bytes_of_one_with_a_task(
    server: Direct, origin: str
) -> None:
    code = server.link()["short_code"]
    server.is_asked(code)
    said = b"Origin: %s\r\n" % origin.encode() if origin else b""
    first, behind, last = server.hits(get(code, said), get(code, said), get(code, said, CLOSE))
    assert alike(first) == alike(behind)
    assert [alike(last)] == [alike(each) for each in server.hits(get(code, said, CLOSE))]
    assert (b"\r\naccess-control-allow-origin: " in first) == (origin == OTHER_SITE)
    assert first.startswith(b"302 Found\r\ndate: ")
    assert b"connection" not in first
    assert last.endswith(b"\r\nconnection: close\r\n\r\n")


def test_hits_and_others_on_one_connection_are_answered_in_their_order(server: Direct) -> None:
    link = server.link()
    code, kinds = link["short_code"], (link["short_code"], "nosuch", "health", "%61bc", "a.b")
    server.is_asked(code)
    before = server.clicks(link)
    ids = [b"mixed-%d" % number for number in range(60)]
    requests = [
        get(kinds[number % len(kinds)], b"X-Request-ID: %s\r\n" % each)
        for number, each in enumerate(ids)
    ]
    for sent in (requests, requests[::-1], [b"".join(requests[:30]), *requests[30:]]):
        answer = server.exchange(*sent, get(code, CLOSE))
        found = re.findall(rb"(?i)x-request-id: (mixed-\d+)", answer)
        assert found == (ids[::-1] if sent[0] == requests[-1] else ids)
        assert answer.count(b"HTTP/1.1 302 ") == 13
    assert server.clicks(link) == before + 3 * 13


def test_who_wants_the_connection_closed_and_http_1_0_get_it_closed(server: Direct) -> None:
    code = server.link()["short_code"]
    server.is_asked(code)
    for request in (get(code, CLOSE), get(code, version=b"1.0")):
        (answer,) = server.hits(request)
        assert answer.endswith(b"connection: close\r\n\r\n")
    with server.connect() as connection:
        for _ in range(3):
            connection.sendall(get(code))
            assert connection.recv(65536).startswith(b"HTTP/1.1 302 ")
        connection.shutdown(socket.SHUT_WR)
        assert everything(connection) == b""


def test_who_closes_its_side_at_once_is_still_answered(server: Direct) -> None:
    code = server.link()["short_code"]
    server.is_asked(code)
    with server.connect() as connection:
        connection.sendall(get(code))
        connection.shutdown(socket.SHUT_WR)
        assert everything(connection).startswith(b"HTTP/1.1 302 ")


def test_a_client_that_leaves_before_redis_answers_harms_nobody(server: Direct) -> None:
    link = server.link()
    server.is_asked(link["short_code"])
    before = server.clicks(link)
    server.redis.send(signal.SIGSTOP)
    left, stays = server.connect(), server.connect()
    for connection in (left, stays):
        connection.sendall(get(link["short_code"]))
    left.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
    left.close()
    server.redis.send(signal.SIGCONT)
    with closing(stays):
        assert stays.recv(65536).startswith(b"HTTP/1.1 302 ")
    assert server.clicks(link) - before in (1, 2)


def test_a_redis_that_dies_in_between_loses_and_doubles_no_click(server: Direct) -> None:
    link = server.link()
    server.is_asked(link["short_code"])
    before = server.clicks(link)
    connections = [server.connect() for _ in range(5)]
    server.redis.send(signal.SIGSTOP)
    for connection in connections:
        connection.sendall(get(link["short_code"], CLOSE))
    server.redis.kill()
    for connection in connections:
        with connection:
            assert everything(connection).startswith(b"HTTP/1.1 302 ")
    assert server.clicks(link) == before + 5


def test_a_redirect_under_way_at_the_end_is_still_answered(server: Direct) -> None:
    link = server.link()
    server.is_asked(link["short_code"])
    with server.connect() as connection, server.redis.frozen():
        connection.sendall(get(link["short_code"]))
        os.kill(server.process.pid, signal.SIGTERM)
        answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 302 ")
    assert b"\r\nconnection: close\r\n" in answer.lower()
    assert server.process.wait(HANGS_SECONDS) == 0


def test_a_hit_and_a_404_ask_redis_once_and_a_miss_twice(server: Direct) -> None:
    cached, forgotten = server.link()["short_code"], server.link()["short_code"]
    server.is_asked(cached)
    with closing(redis.Redis.from_url(server.redis.url)) as client:

        def calls() -> int:
            return int(client.info("commandstats")["cmdstat_evalsha"]["calls"])

        client.delete(f"link:{forgotten}")
        for code, status, most in ((cached, 302, 1), ("nosuch", 404, 1), (forgotten, 302, 2)):
            before = calls()
            assert server.get(f"/{code}").status == status
            assert calls() == before + most


def test_a_redirect_is_in_the_log_once(server: Direct) -> None:
    code = server.link()["short_code"]
    server.is_asked(code)
    server.get(f"/{code}", headers={"X-Request-ID": "logged-once"})
    wait_for(lambda: "logged-once" in server.log_file.read_text(), what="its line")
    lines = [line for line in server.log_file.read_text().splitlines() if "logged-once" in line]
    (entry,) = map(json.loads, lines)
    assert (entry["path"], entry["status"], entry["method"]) == (f"/{code}", 302, "GET")
