"""Connections to PostgreSQL: few are opened, waiting is no failure, slowness is no death."""

from __future__ import annotations

import http.client
import json
import random
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from app.redirects.connection import RedisUnavailable, redis_connection
from testkit.servers import App, Postgres, Redis, wait_for
from tests.conftest import Api
from tests.test_database import at_once

Bound = Callable[..., Api]


def ask(server: Postgres, question: str) -> Any:
    with closing(psycopg2.connect(server.url.replace("+pool", ""))) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(question)
        return cursor.fetchone() if cursor.description else None


@pytest.mark.services
def test_a_thousand_requests_open_no_more_connections_than_there_are_threads(
    bound: Bound, postgres_server: Postgres
) -> None:
    api = bound(database_url=postgres_server.url, redis_url="")
    user = api.user()
    logged(postgres_server, "on")
    before = connections(postgres_server)

    def work(_number: int) -> set[int]:
        client = api.client.application.test_client()
        return {client.get(f"/users/{user['id']}").status_code for _ in range(250)}

    assert set.union(*at_once(4, work)) == {200}
    opened = connections(postgres_server) - before
    logged(postgres_server, "off")
    assert opened <= 2 * 4 + 1  # each with a knock; and the one that asked the server to log


def logged(server: Postgres, value: str) -> None:
    ask(server, f"ALTER SYSTEM SET log_connections = {value}")
    ask(server, "SELECT pg_reload_conf()")
    wait_for(lambda: bool(ask(server, "SHOW log_connections")[0] == value))


def connections(server: Postgres) -> int:
    """How many the server has had, each of which made it fork a process."""
    return (server.folder / "log").read_text().count("connection received")


@pytest.mark.services
def test_more_threads_than_connections_take_turns_and_the_breaker_stays_closed(
    bound: Bound, postgres_server: Postgres
) -> None:
    api = bound(database_url=f"{postgres_server.url}?max_connections=2", redis_url="")
    api.user()

    def work(_number: int) -> set[int]:
        client = api.client.application.test_client()
        return {client.get("/users").status_code for _ in range(20)}

    assert set.union(*at_once(12, work)) == {200}


@pytest.mark.services
def test_a_server_without_a_free_connection_is_waited_for_while_ours_are_in_use(
    bound: Bound, postgres_server: Postgres
) -> None:
    """The server allows this role two connections; the others wait for their turn."""
    with closing(psycopg2.connect(postgres_server.url.replace("+pool", ""))) as admin:
        admin.autocommit = True
        admin.cursor().execute("DROP ROLE IF EXISTS few")
        admin.cursor().execute("CREATE ROLE few LOGIN CONNECTION LIMIT 2")
        admin.cursor().execute("GRANT pg_read_all_data, pg_write_all_data TO few")
        bound(database_url=postgres_server.url, redis_url="").user()
        api = bound(
            empty_it=False,
            database_url=postgres_server.url.replace("holdfast@", "few@"),
            redis_url="",
        )

        def work(_number: int) -> set[int]:
            client = api.client.application.test_client()
            return {client.get("/users").status_code for _ in range(20)}

        assert set.union(*at_once(8, work)) == {200}


@pytest.mark.services
def test_nobody_is_refused_while_processes_stand_still_for_half_a_second_at_random(
    tmp_path: Path, postgres_server: Postgres, redis_server: Redis
) -> None:
    """Web server, PostgreSQL and Redis stop in turn, while clients read, write and follow."""
    name = postgres_server.another_database()
    app = App(DATABASE_URL=name, REDIS_URL=redis_server.url, PROMETHEUS_MULTIPROC_DIR=str(tmp_path))
    try:
        app.start()
        answers = under_load(app, lambda: stop_at_random(app, postgres_server, redis_server))
    finally:
        app.destroy()
    assert len(answers) > 200
    assert {status for _, status in answers} <= {200, 201, 302}


def under_load(app: App, meanwhile: Callable[[], None]) -> list[tuple[str, int]]:
    answers: list[tuple[str, int]] = []
    over = threading.Event()

    def one(method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=60)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(
                method, path, json.dumps(body) if body else None, headers if body else {}
            )
            answer = connection.getresponse()
            text = answer.read()
            answers.append((path, answer.status))
            return json.loads(text) if text else {}
        finally:
            connection.close()

    code = one("POST", "/urls", {"original_url": "https://example.com/"})["short_code"]

    def client() -> None:
        while not over.is_set():
            one("GET", f"/{code}")
            one("GET", "/users")
            one("POST", "/urls", {"original_url": "https://example.com/x"})
            one("GET", "/events")

    threads = [threading.Thread(target=client) for _ in range(16)]
    for thread in threads:
        thread.start()
    meanwhile()
    over.set()
    for thread in threads:
        thread.join()
    return answers


def stop_at_random(*servers: Any) -> None:
    chance = random.Random(12)
    for _ in range(8):
        stopped = [server for server in servers if chance.random() < 0.6] or [servers[0]]
        for server in stopped:
            server.send_all(signal.SIGSTOP)
        time.sleep(0.5)
        for server in stopped:
            server.send_all(signal.SIGCONT)
        time.sleep(chance.random() * 0.4)


class Forwarding(ExitStack):
    """Passes connections on to another port, until it is told to hold back the first one."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._to, self._listener = port, self.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port, self.holding = self._listener.getsockname()[1], threading.Event()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def _start(self, work: Callable[..., None], *arguments: Any) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        first = True
        with suppress(OSError):
            while True:
                here = self.enter_context(self._listener.accept()[0])
                there = self.enter_context(socket.create_connection(("127.0.0.1", self._to)))
                self._start(self._pass, here, there, first)
                self._start(self._pass, there, here, first)
                first = False

    def _pass(self, source: socket.socket, target: socket.socket, first: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not (first and self.holding.is_set()):
                    target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        """Shuts everything down; only then are the sockets closed."""
        for line in redis_connection.idle:
            line.close()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)


@pytest.mark.services
def test_one_call_without_an_answer_is_no_reason_to_refuse_those_that_are_answered(
    bound: Bound, redis_server: Redis
) -> None:
    with Forwarding(redis_server.port) as forwarding:
        bound(redis_url=f"redis://127.0.0.1:{forwarding.port}/0")
        ask_redis()  # by the first connection, which waits in the pool now
        forwarding.holding.set()
        with ThreadPoolExecutor(1) as threads:
            lost = threads.submit(ask_redis)
            wait_for(lambda: not redis_connection.idle)
            while not lost.done():
                assert ask_redis()
                time.sleep(0.02)  # so that none is under way at the moment that counts
            assert not lost.result()
            afterwards = [ask_redis() for _ in range(100)]
        forwarding.end()
    assert set(afterwards) == {True}


def ask_redis() -> bool:
    try:
        redis_connection.call("PING")
        return True
    except RedisUnavailable:
        return False


@pytest.mark.services
def test_a_link_that_is_held_for_longer_than_a_lock_is_waited_for_is_still_followed(
    bound: Bound, postgres_server: Postgres
) -> None:
    api = bound(database_url=postgres_server.url, redis_url="")
    url = api.url()
    with closing(psycopg2.connect(postgres_server.url.replace("+pool", ""))) as other:
        other.cursor().execute("SELECT 1 FROM urls WHERE id = %s FOR UPDATE", (url["id"],))
        release = threading.Timer(1.5, other.rollback)
        release.start()
        api.follow(url)
        release.join()
    assert api.clicks(url) == 1
