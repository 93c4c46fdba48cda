"""What the stack's Nginx sends on, refuses and says by itself, on real connections."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from tests.front_door import Act, FrontDoor, Replica, answer, die, say_nothing, setting

pytestmark = pytest.mark.services

Door = Callable[..., tuple[FrontDoor, list[Replica]]]
SOON = {"proxy_read_timeout 15s": "proxy_read_timeout 1s"}
LARGEST_FILE = 10 * 2**20


@pytest.fixture
def door() -> Iterator[Door]:
    """Starts Nginx before one replica for each of `acts`."""
    with ExitStack() as cleanup:

        def start(
            *acts: Act | None, changes: dict[str, str] | None = None, **settings: str
        ) -> tuple[FrontDoor, list[Replica]]:
            replicas = [Replica(number, act) for number, act in enumerate(acts, 1)]
            for replica in replicas:
                cleanup.callback(replica.close)
            nginx = FrontDoor(*replicas, changes=changes, **settings)
            cleanup.callback(nginx.destroy)
            nginx.start()
            return nginx, replicas

        yield start


def ask(
    nginx: FrontDoor, path: str = "/users", method: str = "GET", size: int = 0, **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=30)) as connection:
        connection.request(method, path, b"x" * size or None, headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def said(whole: bytes) -> tuple[int, dict[str, object]]:
    """Status and decoded body of an answer as it came."""
    head, _, body = whole.partition(b"\r\n\r\n")
    assert b"\r\nX-Content-Type-Options: nosniff" in head, head
    return int(head.split()[1]), json.loads(body)


def times_sent(replicas: list[Replica]) -> int:
    return sum(len(replica.seen) for replica in replicas)


# ---- what is repeated ----


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_a_request_that_timed_out_at_one_replica_is_sent_to_no_other(
    door: Door, method: str
) -> None:
    nginx, replicas = door(
        say_nothing,
        say_nothing,
        say_nothing,
        changes={**SOON, "proxy_next_upstream_timeout 3s": "proxy_next_upstream_timeout 900ms"},
    )
    status, _, body = ask(nginx, method=method)
    assert (status, json.loads(body)["status"], times_sent(replicas)) == (504, 504, 1)


def test_a_timeout_of_an_answer_is_longer_than_the_time_for_repeating() -> None:
    """Or what froze one replica would be sent to the next. The test above has shorter ones."""
    assert (
        setting("proxy_connect_timeout") * 2
        < setting("proxy_next_upstream_timeout")
        < setting("proxy_send_timeout")
        < setting("proxy_read_timeout")
    )


@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("PUT", 2), ("DELETE", 2), ("POST", 1)])
def test_a_request_that_kills_a_replica_kills_two_at_most_and_one_when_it_is_not_idempotent(
    door: Door, method: str, times: int
) -> None:
    nginx, replicas = door(die, die, die)
    assert (ask(nginx, method=method)[0], times_sent(replicas)) == (502, times)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/users", "/users/bulk"])
def test_what_could_not_be_sent_to_two_replicas_is_answered_by_the_third(
    door: Door, method: str, path: str
) -> None:
    nginx, replicas = door(None, None, answer)
    assert [ask(nginx, path, method, size=2000)[0] for _ in range(12)] == [200] * 12
    assert times_sent(replicas) >= 12


@pytest.mark.parametrize("size", [100_000, 10_400_000])
def test_a_file_that_kills_its_replica_is_answered_in_json(door: Door, size: int) -> None:
    """The answer has no body to refuse, however large the request's was."""
    nginx, replicas = door(die, die)
    status, headers, body = ask(nginx, "/users/bulk", "POST", size=size)
    assert (status, json.loads(body)["status"], headers["Retry-After"]) == (502, 502, "1")
    assert times_sent(replicas) == 1


def test_what_killed_a_replica_after_it_could_not_be_sent_to_another_is_not_sent_again(
    door: Door,
) -> None:
    nginx, replicas = door(None, die, die)
    for _ in range(6):
        before = times_sent(replicas)
        assert ask(nginx)[0] == 502
        assert times_sent(replicas) - before <= 2


# ---- how large ----


@pytest.mark.parametrize(
    "path",
    [
        "/urls",
        "/users",
        "/shorten",
        "/urls/1",
        "/events",
        "/users/bulkx",
        "/users/bulk/",
        "/urls/bulk/",
        "/urls/importx",
        "/importx",
        "/import/",
        "/import/1/redo",
    ],
)
def test_json_may_have_64_kib(door: Door, path: str) -> None:
    nginx, replicas = door(answer)
    assert ask(nginx, path, "POST", size=64 * 2**10)[0] == 200
    sent = times_sent(replicas)
    status, headers, body = ask(nginx, path, "POST", size=64 * 2**10 + 1)
    assert (status, json.loads(body)["message"]) == (413, "The body is larger than 64 KiB")
    assert (headers["Content-Type"], headers["X-Content-Type-Options"]) == (
        "application/json",
        "nosniff",
    )
    assert times_sent(replicas) == sent


@pytest.mark.parametrize(
    "path",
    [
        "/users/bulk",
        "/users/bulk?x=1",
        "/users/bul%6b",
        "/urls/import?source=yourls",
        "/import",
        "/import/12/undo",
    ],
)
def test_a_file_may_have_10_mib_with_what_a_form_puts_around_it(door: Door, path: str) -> None:
    nginx, replicas = door(answer)
    assert ask(nginx, path, "POST", size=LARGEST_FILE)[0] == 200
    sent = times_sent(replicas)
    status, _, body = ask(nginx, path, "POST", size=LARGEST_FILE + 1)
    assert (status, json.loads(body)["message"]) == (413, "The body is larger than 10 MiB")
    assert times_sent(replicas) == sent


def test_many_links_may_have_1_mib(door: Door) -> None:
    nginx, replicas = door(answer)
    assert ask(nginx, "/urls/bulk", "POST", size=2**20)[0] == 200
    sent = times_sent(replicas)
    status, _, body = ask(nginx, "/urls/bulk", "POST", size=2**20 + 1)
    assert (status, json.loads(body)["message"]) == (413, "The body is larger than 1 MiB")
    assert times_sent(replicas) == sent


def test_a_body_in_chunks_is_counted_too(door: Door) -> None:
    nginx, replicas = door(answer)
    chunk = b"2000\r\n" + b"x" * 0x2000 + b"\r\n"
    whole = nginx.ask(
        b"POST /urls HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        + chunk * 9
        + b"0\r\n\r\n"
    )
    assert (said(whole)[0], times_sent(replicas)) == (413, 0)


# ---- limits of one address ----


def test_more_requests_than_one_address_may_make_are_429(door: Door) -> None:
    nginx, _ = door(answer, RATE_LIMIT="5")
    answers = [ask(nginx) for _ in range(30)]
    status, headers, body = answers[-1]
    assert (
        status,
        json.loads(body)["status"],
        headers["Retry-After"],
        headers["Content-Type"],
    ) == (429, 429, "1", "application/json")
    assert [each[0] for each in answers].count(200) >= 5


def test_more_requests_at_once_than_one_address_may_make_are_429(door: Door) -> None:
    nginx, replicas = door(say_nothing, CONNECTION_LIMIT="3")
    with ExitStack() as held:
        for _ in range(3):
            busy = held.enter_context(closing(socket.create_connection(("127.0.0.1", nginx.port))))
            busy.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        deadline = time.monotonic() + 20
        while times_sent(replicas) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        status, _, body = ask(nginx)
    assert (status, json.loads(body)["message"]) == (429, "Too many requests from your address")


@pytest.mark.parametrize(
    ("setting", "start", "status"),
    [
        ("HEADER_TIMEOUT", b"", None),
        ("HEADER_TIMEOUT", b"GET / HTTP/1.1\r\nHost:", None),
        ("BODY_TIMEOUT", b"POST /urls HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", None),
        ("KEEPALIVE_TIMEOUT", b"GET /users HTTP/1.1\r\nHost: x\r\n\r\n", 200),
    ],
)
def test_who_says_nothing_more_is_left(
    door: Door, setting: str, start: bytes, status: int | None
) -> None:
    nginx, _ = door(answer, **{setting: "1"})
    whole = nginx.ask(start, seconds=25)  # an end to hanging; by default these take 15, 30 and 65 s
    assert (int(whole.split()[1]) if whole else None) == status


def test_who_sends_its_header_byte_by_byte_is_left_too(door: Door) -> None:
    nginx, _ = door(answer, HEADER_TIMEOUT="2")
    with socket.create_connection(("127.0.0.1", nginx.port), 0.2) as connection:
        sent = (left_after(connection, bytes((byte,))) for byte in b"GET /" + b"a" * 200)
        assert any(sent)


def left_after(connection: socket.socket, byte: bytes) -> bool:
    """Whether Nginx hangs up once it has got one more."""
    try:
        connection.sendall(byte)
        return not connection.recv(1000)
    except TimeoutError:
        return False
    except ConnectionError:
        return True


# ---- addresses ----


@pytest.mark.parametrize(
    "start",
    [
        b"GET /users HTTP/1.0\r\n\r\n",
        b"GET /users HTTP/1.0\r\nX-Forwarded-Host: evil.example:8000\r\n\r\n",
    ],
)
def test_a_request_without_host_tells_a_replica_no_inner_address(door: Door, start: bytes) -> None:
    nginx, (replica,) = door(answer)
    nginx.ask(start)
    assert b"\r\nHost: localhost\r\n" in replica.seen[0]
    assert b"\r\nX-Forwarded-Host: localhost\r\n" in replica.seen[0]
    assert b":80" not in replica.seen[0]


def test_a_location_is_passed_on_as_it_is(door: Door) -> None:
    """By default Nginx cuts off what begins like its upstream's name."""

    def redirect(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(
            b"HTTP/1.1 302 Found\r\nLocation: http://app/where?x=1\r\nContent-Length: 0\r\n\r\n"
        )

    nginx, _ = door(redirect)
    assert ask(nginx)[1]["Location"] == "http://app/where?x=1"


# ---- what is no good request ----

HOST = b"Host: x\r\n"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (
            b"GET / HTTP/1.1\r\n"
            + HOST
            + b"X: "
            + b"x" * 7000
            + (b"\r\nX: " + b"x" * 7000) * 5
            + b"\r\n\r\n",
            431,
        ),
        (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
        (b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", 400),
        (
            b"POST / HTTP/1.1\r\n"
            + HOST
            + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
        (b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n", 405),
        (b"GET /%00 HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ],
    ids=range(13),
)
def test_what_nginx_refuses_by_itself_is_json(door: Door, request_: bytes, status: int) -> None:
    nginx, replicas = door(answer)
    found, error = said(
        nginx.ask(
            request_.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
            if b" HTTP/1.1" in request_
            else request_
        )
    )
    assert (found, error["status"], times_sent(replicas)) == (status, status, 0)
    assert error.keys() == {"error", "message", "status", "request_id"}
    assert error["error"] != "Internal Server Error"
