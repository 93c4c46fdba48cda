"""Exports over real connections: in pieces, at the pace of the client, without holding anything."""

from __future__ import annotations

import csv
import io
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from testkit.servers import HANGS_SECONDS, wait_for
from testkit.webserver import WebServer

ROWS = 60_000
REQUEST = b"GET /events.csv HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """One process with two threads, and more events than a connection's buffers hold."""
    folder = tmp_path_factory.mktemp("downloads")
    with WebServer(folder, WEB_WORKERS="1", WEB_THREADS="2") as started:
        fill(folder / "holdfast.db")
        yield started


def fill(path: Path) -> None:
    details = '{"note": "' + "x" * 500 + '"}'
    rows = (("shared", "2024-01-01 00:00:00", details) for _ in range(ROWS))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO events (event_type, timestamp, details) VALUES (?, ?, ?)", rows
        )


def opened(server: WebServer) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), HANGS_SECONDS)
    connection.sendall(REQUEST)
    return connection


def has_no_reader(server: WebServer) -> bool:
    """Whether SQLite's log can be emptied, which a running read keeps from being done."""
    path = server.environment["DATABASE_URL"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection:
        return bool(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)


def memory(server: WebServer) -> int:
    """Of the worker process, in bytes."""
    (worker,) = server.workers()
    status = Path(f"/proc/{worker}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def test_all_rows_arrive_and_memory_does_not_grow_with_them(server: WebServer) -> None:
    server.get("/users.csv")
    before = memory(server)
    text = server.get("/events.csv").text
    assert len(list(csv.reader(io.StringIO(text, newline="")))) == ROWS + 1
    assert memory(server) - before < len(text) / 2


def test_slow_clients_hold_no_thread_and_no_lock(server: WebServer) -> None:
    slow = [opened(server) for _ in range(6)]
    try:
        assert all(connection.recv(1000).startswith(b"HTTP/1.1 200") for connection in slow)
        for number in range(3):
            assert server.get("/users").status == 200
            assert has_no_reader(server)
            body = {"username": f"slow{number}", "email": f"slow{number}@example.com"}
            assert server.get("/users", "POST", body=body).status == 201
    finally:
        for connection in slow:
            connection.close()


def test_a_client_that_leaves_ends_its_export(server: WebServer) -> None:
    with opened(server) as connection:
        connection.recv(1000)
    wait_for(lambda: has_no_reader(server), what="an idle database")
    assert server.get("/events.csv?type=nosuch").text.count("\n") == 1
    assert "Traceback" not in server.output()


def test_head_has_the_headers_alone(server: WebServer) -> None:
    answer = server.get("/events.csv", "HEAD")
    assert (answer.status, answer.text) == (200, "")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
