"""More requests than a server can serve: some wait, the newest are told to come again, and those
that watch it are answered.
"""

from __future__ import annotations

import http.client
import json
import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from testkit.servers import HANGS_SECONDS, wait_for
from testkit.webserver import Reply, WebServer

THREADS, WAITING, MORE = 2, 5, 9


class Crowd:
    """Many clients that make a user each, at once."""

    def __init__(self, server: WebServer) -> None:
        self.server, self.replies = server, list[Reply]()
        self._pool = ThreadPoolExecutor(40)

    def come(self, names: range) -> None:
        for name in names:
            self._pool.submit(self._make, name)

    def _make(self, name: int) -> None:
        body = {"username": f"user{name}", "email": f"user{name}@example.com"}
        headers = {"X-Request-ID": f"crowd-{name}"}
        self.replies.append(self.server.get("/users", "POST", headers, body))

    def leave(self) -> None:
        self._pool.shutdown()


def test_past_its_bound_the_newest_are_refused_and_the_others_served(tmp_path: Path) -> None:
    settings = {"WEB_WORKERS": "1", "WEB_THREADS": str(THREADS), "WEB_QUEUE": str(WAITING)}
    with WebServer(tmp_path, **settings) as server:
        crowd = Crowd(server)
        with sqlite3.connect(tmp_path / "holdfast.db", isolation_level=None) as held:
            held.execute("BEGIN IMMEDIATE")
            crowd.come(range(THREADS + WAITING + MORE))
            wait_for(lambda: len(crowd.replies) == MORE, what="the refusals")
            refused = list(crowd.replies)
            for path in ("/health", "/health/ready", "/metrics"):
                assert server.get(path).status == 200
            held.execute("ROLLBACK")
        crowd.leave()
        _assert_refused(server, refused)
        assert Counter(reply.status for reply in crowd.replies) == {
            201: THREADS + WAITING,
            503: MORE,
        }
        assert server.get("/users").status == 200


def _assert_refused(server: WebServer, refused: list[Reply]) -> None:
    """Each as any other answer: with the contract's error, in the log, and counted."""
    for reply in refused:
        assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
        error = reply.json()
        assert (error["error"], error["status"]) == ("Service Unavailable", 503)
        assert error["request_id"] == reply.headers["X-Request-ID"]
    lines = [json.loads(line) for line in server.log_file.read_text().splitlines()]
    for request_id in {reply.headers["X-Request-ID"] for reply in refused}:
        assert request_id.startswith("crowd-")
        found = [
            (each["message"], each["status"]) for each in lines if each["request_id"] == request_id
        ]
        assert found == [("request started", None), ("request finished", 503)]
    wanted = (
        f'http_requests_total{{endpoint="users.create_user",method="POST",status="503"}} {MORE}.0'
    )
    wait_for(lambda: wanted in server.get("/metrics").text, what="the count")


def test_a_request_whose_client_left_while_it_waited_is_not_served(tmp_path: Path) -> None:
    """Or those who try again would wait for what nobody waits for any more."""
    with WebServer(tmp_path, WEB_WORKERS="1", WEB_THREADS="1", WEB_QUEUE="3") as server:
        crowd = Crowd(server)
        with sqlite3.connect(tmp_path / "holdfast.db", isolation_level=None) as held:
            held.execute("BEGIN IMMEDIATE")
            crowd.come(range(1))
            wait_for(lambda: "crowd-0" in server.log_file.read_text(), what="the first request")
            for name in ("left1", "left2", "left3"):
                _come_and_go(server, name)
            wait_for(
                lambda: not _left(server),
                what="the end of the connections that their clients have left",
            )
            held.execute("ROLLBACK")
        crowd.leave()
        assert {user["username"] for user in server.get("/users").json()} <= {"user0"}


def _left(server: WebServer) -> list[str]:
    """The server's connections whose other side is closed (proc_pid_net(5): 08 is CLOSE_WAIT)."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [
        line[1] for line in lines if line[1].endswith(f":{server.port:04X}") and line[3] == "08"
    ]


def _come_and_go(server: WebServer, name: str) -> None:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=HANGS_SECONDS)
    body = json.dumps({"username": name, "email": f"{name}@example.com"})
    connection.request("POST", "/users", body, {"Content-Type": "application/json"})
    connection.close()


@pytest.mark.parametrize("value", ["0", "10001", "many"])
def test_the_bound_is_a_setting(tmp_path: Path, value: str) -> None:
    server = WebServer(tmp_path, WEB_QUEUE=value)
    with server:
        assert server.process.wait(HANGS_SECONDS) != 0
    assert server.output().startswith("WEB_QUEUE must be a whole number")
