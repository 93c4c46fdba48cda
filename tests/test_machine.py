"""Ports are one's own, the stopwatch takes off what other programs took, and nothing else, and a
client outlives its idle connection.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from testkit import load
from testkit.machine import Stopwatch, free_port
from testkit.servers import ROOT

_ASK = """
from testkit.machine import free_port
print(*(free_port() for _ in range(100)), flush=True)
input()
"""


def test_no_port_is_given_twice_whichever_process_asks_and_before_anybody_listens() -> None:
    command, pipe = [sys.executable, "-c", _ASK], subprocess.PIPE
    asked = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) for _ in range(4)
    ]
    ports = [free_port() for _ in range(100)]
    for process in asked:
        assert process.stdout is not None
        ports += map(int, process.stdout.readline().split())
    for process in asked:
        process.communicate("\n")
    assert len(set(ports)) == len(ports) == 500


@pytest.fixture
def busy_machine() -> Iterator[None]:
    """Two endless loops for each CPU."""
    with ExitStack() as stack:
        for _ in range(2 * (os.cpu_count() or 1)):
            loop = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(loop.wait)
            stack.callback(loop.kill)
        yield


def work(cpu_seconds: float, over: threading.Event | None = None) -> None:
    began = time.thread_time()
    while time.thread_time() < began + cpu_seconds and not (over and over.is_set()):
        pass


def test_a_sleep_counts() -> None:
    """One of ten at least: a machine that is busy all the time may keep a sleeper waiting."""

    def sleep() -> bool:
        watch = Stopwatch()
        time.sleep(0.3)
        return 0.1 < watch.seconds <= watch.wall

    assert any(sleep() for _ in range(10))


@pytest.fixture
def restless_threads() -> Iterator[None]:
    """They want to run all the time, and have to wait for the interpreter's lock."""
    over = threading.Event()
    threads = [threading.Thread(target=work, args=(60, over)) for _ in range(3)]
    for thread in threads:
        thread.start()
    yield
    over.set()
    for thread in threads:
        thread.join()


@pytest.mark.usefixtures("busy_machine", "restless_threads")
def test_work_beside_other_threads_never_counts_for_less_than_it_is() -> None:
    watch = Stopwatch()
    work(0.3)
    assert watch.seconds >= 0.3


@pytest.mark.usefixtures("busy_machine")
def test_work_counts_for_what_it_is_and_not_for_what_others_took_meanwhile() -> None:
    watch = Stopwatch()
    work(0.5)
    assert 0.3 < watch.seconds < 0.6
    assert watch.wall > 0.6


class _EndsIdleConnections(BaseHTTPRequestHandler):
    protocol_version, timeout = "HTTP/1.1", 0.2

    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


def test_a_client_that_was_idle_for_long_opens_another_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load, "IDLE_SECONDS", 0.1)
    with ThreadingHTTPServer(("127.0.0.1", 0), _EndsIdleConnections) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        client = load.Client(server.server_port)
        statuses = []
        for _ in range(2):
            statuses.append(client.request("GET", "/")[0])
            time.sleep(0.5)
        client.close()
        server.shutdown()
        thread.join()
    assert statuses == [204, 204]
