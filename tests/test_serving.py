"""Holdfast under Gunicorn: what comes and goes with its processes, and what Gunicorn itself may
say.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from app.serving import without_secrets
from app.webworker import Worker
from testkit.machine import Stopwatch
from testkit.servers import HANGS_SECONDS, free_port, wait_for
from testkit.webserver import WebServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with WebServer(tmp_path_factory.mktemp("server")) as started:
        yield started


def entries_of(server: WebServer) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log_file.read_text().splitlines()]


def opened(server: WebServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), HANGS_SECONDS)


def send(server: WebServer, request: bytes) -> bytes:
    with opened(server) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


def test_logs_has_the_lines_of_all_workers_whichever_answers_and_also_after_a_restart(
    tmp_path: Path,
) -> None:
    ids = [f"request-{number}" for number in range(20)]
    with WebServer(tmp_path) as server:
        for request_id in ids:
            server.get("/users", headers={"X-Request-ID": request_id})
        seen = [
            entry["request_id"]
            for entry in server.get("/logs?lines=1000").json()
            if entry["message"] == "request finished"
        ]
        assert [request_id for request_id in seen if request_id.startswith("request-")] == ids
    with WebServer(tmp_path) as server:
        for _ in range(4):
            found = server.get("/logs?filter=request-&limit=200").json()
            assert [
                entry["request_id"]
                for entry in found["logs"]
                if entry["message"] == "request finished"
            ] == ids


def test_a_long_path_is_a_404_and_not_broken_http(server: WebServer) -> None:
    reply = server.get("/" + "x" * 5000)
    assert (reply.status, reply.json()["status"]) == (404, 404)


def test_many_requests_fit_on_one_connection(server: WebServer) -> None:
    request = b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n"
    answer = send(
        server, request * 4 + request.replace(b"Host: h", b"Host: h\r\nConnection: close")
    )
    assert answer.count(b"HTTP/1.1 200 OK") == 5


def test_chaos_ends_the_master_which_is_what_its_supervisor_watches(tmp_path: Path) -> None:
    with WebServer(tmp_path, CHAOS_TOKEN="let-me-in") as server:
        assert server.get("/users/let-me-in").status == 404
        assert server.get("/chaos", headers={"X-Chaos-Token": "let-me-in"}).status == 204
        assert server.process.wait(HANGS_SECONDS) == 0
        assert "let-me-in" not in server.output() + server.log_file.read_text()


def listens(server: WebServer) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), 5).close()
    except OSError:
        return False
    return True


def test_a_request_that_is_under_way_at_the_end_is_still_answered(tmp_path: Path) -> None:
    tries = iter(range(5))
    wait_for(lambda: finishes_what_is_under_way(tmp_path / str(next(tries))))


def finishes_what_is_under_way(folder: Path) -> bool:
    """False, which shows nothing, where this machine took longer than a server waits at its end."""
    folder.mkdir()
    with WebServer(folder) as server, opened(server) as connection:
        head = (
            b"POST /users HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length:"
            b" 45\r\n"
        )
        connection.sendall(head + b"Expect: 100-continue\r\n\r\n")
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{")
        watch = Stopwatch()
        os.kill(server.process.pid, signal.SIGTERM)
        wait_for(lambda: not listens(server), what="a server that takes no new connections")
        answer = b""
        with suppress(ConnectionError):
            connection.sendall(b'"username": "ada", "email": "a@example.com"}')
            answer = connection.recv(65536)
        if watch.wall > Worker.CONFIG_KWARGS["timeout_graceful_shutdown"]:
            return False
        assert answer.startswith(b"HTTP/1.1 201")
        assert server.process.wait(HANGS_SECONDS) == 0
        return True


def test_the_death_of_a_worker_is_in_the_log(server: WebServer) -> None:
    killed = server.workers()[0]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: killed not in server.workers(), what="its burial")
    wait_for(
        lambda: any(f"pid:{killed}" in entry["message"] for entry in entries_of(server)),
        what="a line about it",
    )


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /a?hemlig=1 b HTTP/1.1 x\r\n\r\n",
        b"GET /a HTTP/1.1\r\nAuthorization Bearer hemlig\r\n\r\n",
        b"GET /a HTTP/1.1\r\nX-Chaos-Token : hemlig\r\n\r\n",
        b"GET /a?hemlig HTTP/9.9\r\n\r\n",
        b"hemlig\xff\x00\r\n\r\n",
    ],
)
def test_broken_http_is_refused_and_logged_without_what_it_contained(
    server: WebServer, request_bytes: bytes
) -> None:
    before = len(entries_of(server))
    assert b" 400 " in send(server, request_bytes).split(b"\r\n")[0]
    assert entries_of(server)[before]["message"].startswith("Invalid request: ")
    assert "hemlig" not in server.output() + server.log_file.read_text()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /a HTTP/1.1\r\nHost: h\r\nHost: h\r\nAccept: %b\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\nAccept: %b\r\nX-Chaos-Token : x\r\n\r\n", 400),
        (b"GET /%b HTTP/1.1\r\nHost: h\r\nAccept: %%b\r\n\r\n" % (b"a" * 9000), 414),
        (b"GET /a HTTP/1.1\r\nAccept: %%b\r\nX: %b\r\n\r\n" % (b"a" * 40_000), 431),
    ],
)
def test_broken_http_is_a_problem_to_who_accepts_that(
    server: WebServer, request_bytes: bytes, status: int
) -> None:
    problem = b"application/problem+json"
    head, _, body = send(server, request_bytes % problem).partition(b"\r\n\r\n")
    assert b"\r\nContent-Type: application/problem+json\r\n" in head
    assert b"\r\nX-Content-Type-Options: nosniff\r\n" in head
    found = json.loads(body)
    assert (found["status"], found["type"]) == (status, "about:blank")
    assert found["instance"] == f"urn:holdfast:request:{found['request_id']}"
    assert b"\r\nContent-Type: application/json\r\n" in send(server, request_bytes % b"*/*")


def test_the_address_of_a_request_that_broke_loses_its_query_string() -> None:
    record = logging.makeLogRecord(
        {
            "msg": "Error handling request %s %s",
            "args": ("GET", "/a?hemlig=1&b=2"),
            "levelno": logging.ERROR,
        }
    )
    assert without_secrets(record)
    assert record.getMessage() == "Error handling request GET /a?..."


def test_an_unavailable_database_at_the_start_is_reported_without_its_password(
    tmp_path: Path,
) -> None:
    address = f"postgresql://ada:hemlig@127.0.0.1:{free_port()}/holdfast"
    with WebServer(tmp_path, DATABASE_URL=address) as server:
        assert server.get("/health").json()["database"] == "disconnected"
        assert server.get("/health/ready").status == 503
        assert server.get("/metrics").status == 200
        assert server.get("/users").status == 503
        text = server.output() + server.log_file.read_text()
    assert "hemlig" not in text
    assert '"the database is unavailable: ' in text


def test_settings_that_cannot_be_used_end_it_with_the_reasons_and_no_trace(tmp_path: Path) -> None:
    server = WebServer(tmp_path, WEB_WORKERS="many", LOG_LEVEL="LOUD")
    with server:
        assert server.process.wait(HANGS_SECONDS) != 0
    assert (
        server.output()
        == "WEB_WORKERS must be a whole number, not 'many'\nLOG_LEVEL must be one of DEBUG, INFO,"
        " WARNING, ERROR\n"
    )
