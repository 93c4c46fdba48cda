"""What Nginx answers by itself: every error in the contract's form, with a request id, and its own
status to nobody outside.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.stack.compose import Stack, docker, fetch
from tests.stack.pace import wait_for
from tests.stack.report import Report, require

_SILENT = "import socket, time; s = socket.create_server(('', 8000)); time.sleep(600)"
"""A replica that takes connections and never says a word."""


def check(report: Report, stack: Stack) -> None:
    report.step("413, 404 and 405 of Nginx itself are the contract's", _refusals, stack)
    report.step("504 when the replicas are silent", _silent, stack)
    report.step("502 when no replica can be reached", _with_replicas, stack, "prometheus", 502)
    report.step("503 when no replica is known, 429 to who asks too much", _limited, stack)
    report.step("the status for the exporter is on the inner network only", _status, stack)


def check_error(answer: tuple[int, bytes, Any], status: int) -> None:
    found, body, headers = answer
    require(found == status, f"{found}, not {status}: {body[:300]!r}")
    require(headers["Content-Type"] == "application/json", headers["Content-Type"])
    error = json.loads(body)
    require(
        set(error) - {"reason"} == {"error", "message", "status", "request_id"}
        and error["status"] == status
        and error["message"],
        error,
    )
    require(error["request_id"] == headers["X-Request-ID"], error)
    require(status not in (429, 502, 503, 504) or int(headers["Retry-After"]) > 0, "no Retry-After")


def _ask(
    base: str, path: str = "/users", method: str = "GET", **headers: str
) -> tuple[int, bytes, Any]:
    return fetch(base + path, method, None, X_Request_ID="front-door", **headers)


def _refusals(stack: Stack) -> None:
    answer = _ask(
        stack.url(),
        method="POST",
        Content_Type="application/json",
        Content_Length=str(64 * 2**10 + 1),
    )
    check_error(answer, 413)
    require(json.loads(answer[1])["message"] == "The body is larger than 64 KiB", answer[1])
    check_error(_ask(stack.url(), "/users/bulk", "POST", Content_Length=str(11 * 2**20)), 413)
    require(answer[2]["X-Request-ID"] == "front-door", "the client's id is not kept")
    check_error(_ask(stack.url(), "/%00"), 404)
    check_error(_ask(stack.url(), method="TRACE"), 405)


@contextmanager
def _another_nginx(stack: Stack, replicas: str, rate: str = "20000") -> Iterator[str]:
    """The base URL of a second Nginx, from the same files, before other replicas."""
    name = f"{stack.project}-door-{time.time_ns()}"
    stack.compose(
        "run",
        "-d",
        "--no-deps",
        "--name",
        name,
        "-e",
        f"APP_SERVERS={replicas}",
        "-e",
        f"RATE_LIMIT={rate}",
        "nginx",
    )
    try:
        base = f"http://{_address(stack, name)}:8080"
        wait_for(lambda: _opens(base), 20, "another Nginx")
        yield base
    finally:
        docker("rm", "-f", "-v", name)


def _address(stack: Stack, name: str) -> str:
    return docker(
        "inspect",
        "--format",
        f'{{{{(index .NetworkSettings.Networks "{stack.project}_front").IPAddress}}}}',
        name,
    )


def _opens(base: str) -> bool:
    try:
        return fetch(f"{base}/nginx-health")[0] == 200
    except OSError:
        return False


def _with_replicas(stack: Stack, replicas: str, status: int) -> None:
    with _another_nginx(stack, replicas) as base:
        check_error(_ask(base), status)


def _silent(stack: Stack) -> None:
    name = f"{stack.project}-silent-{time.time_ns()}"
    stack.compose("run", "-d", "--no-deps", "--name", name, "app1", "python", "-c", _SILENT)
    try:
        _with_replicas(stack, name, 504)
    finally:
        docker("rm", "-f", "-v", name)


def _limited(stack: Stack) -> str:
    with _another_nginx(stack, "nobody", "1") as base:
        check_error(_ask(base), 503)
        answers = [_ask(base) for _ in range(10)]
        check_error(answers[-1], 429)
        return f"{sum(answer[0] == 429 for answer in answers)} of 10 at once"


def _status(stack: Stack) -> None:
    check_error(_ask(stack.url(), "/stub_status"), 404)
