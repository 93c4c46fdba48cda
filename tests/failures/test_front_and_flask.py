"""The front and Flask behind it answer the same, byte by byte, and store the same: one table of
requests goes both ways.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import pytest

from testkit.load import Client, click_events
from testkit.servers import HANGS_SECONDS, App, Postgres, Redis, wait_for
from tests.test_odd_requests import IMPOSSIBLE_IDS, LISTS, ODD_HEADERS, ODD_IDS, ODD_PATHS

pytestmark = pytest.mark.services

_ADDRESSES = (
    "https://example.com/plain?a=b#c",
    'http://ex.com/%41%zz"<>{}|',
    "https://münchen.example/straße?q=ü",
    "https://example.com/😀",
)


class Ways(NamedTuple):
    front: App
    flask: App
    client: Client


@pytest.fixture(scope="module")
def ways(session_postgres: Postgres) -> Iterator[Ways]:
    with ExitStack() as stack:
        redis = Redis()
        environ = {
            "DATABASE_URL": session_postgres.another_database(),
            "REDIS_URL": redis.url,
            "TRUSTED_PROXIES": "1",
            "BASE_URL": "http://sho.rt",
        }
        front, flask = App(FRONT="on", **environ), App(FRONT="off", **environ)
        for server in (redis, front, flask):
            stack.callback(server.destroy)
            server.start()
        client = Client(front.port)
        stack.callback(client.close)
        yield Ways(front, flask, client)


def exchange(port: int, request: bytes) -> bytes:
    """The whole answer to a request that is sent as it is, on a connection of its own."""
    with socket.create_connection(("127.0.0.1", port), HANGS_SECONDS) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def request_bytes(method: str, target: str | bytes, *headers: bytes, body: bytes = b"") -> bytes:
    raw = target if isinstance(target, bytes) else target.encode("latin-1", "replace")
    lines = [
        method.encode() + b" " + raw + b" HTTP/1.1",
        b"Host: sho.rt",
        b"Connection: close",
        *headers,
    ]
    if body:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


_VOLATILE = (
    (rb"(?m)^date: [^\r]*\r\n", b""),
    (rb"[0-9a-f]{16}", b"ID"),
    (rb"127\.0\.0\.1:\d+", b"HOST"),
)


def comparable(answer: bytes) -> tuple[bytes, set[bytes], bytes]:
    """Status line, headers and body of an answer, without what differs from one request to the
    next.
    """
    for pattern, put in _VOLATILE:
        answer = re.sub(pattern, put, answer)
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *headers = head.split(b"\r\n")
    return b" ".join(status.split(b" ")[:2]), {_sorted(header.lower()) for header in headers}, body


def _sorted(header: bytes) -> bytes:
    """The methods of Allow come in no order."""
    name, _, value = header.partition(b": ")
    return name + b": " + b", ".join(sorted(value.split(b", "))) if name == b"allow" else header


def assert_same(ways: Ways, request: bytes) -> bytes:
    one, other = exchange(ways.front.port, request), exchange(ways.flask.port, request)
    assert comparable(one) == comparable(other), request[:300]
    return one


@pytest.fixture(scope="module")
def codes(ways: Ways) -> list[str]:
    """Links of every kind; the last ones are deactivated and deleted.

    All of them have been asked for.
    """
    made = [
        ways.client.json("POST", "/urls", {"original_url": address})
        for address in (*_ADDRESSES, "https://gone.example/", "https://dead.example/")
    ]
    found = [url["short_code"] for url in made]
    for code in found:
        ways.client.request("GET", f"/{code}")
    ways.client.json("PUT", f"/urls/{made[-2]['id']}", {"is_active": False})
    assert ways.client.request("DELETE", f"/urls/{made[-1]['id']}")[0] == 204
    return found


_CLIENT_HEADERS: list[tuple[bytes, ...]] = [
    (),
    (b"User-Agent: probe/1.0", b"Referer: https://r.example/?q=1"),
    (b"User-Agent: \xfc\xe4 \xc3\xbc", b"Referer: \xff"),
    (b"User-Agent: " + b"u" * 2000, b"Referer: " + b"r" * 2000),
    (b"User-Agent: one", b"User-Agent: two"),
    (b"X-Request-ID: sane-1",),
    (b"X-Request-ID: not sane at all",),
    (b"X-Request-ID: " + b"x" * 65,),
    (b"X-Forwarded-For: 203.0.113.9",),
    (b"X-Forwarded-For: 198.51.100.1, 203.0.113.9",),
    (b"X-Forwarded-For: 198.51.100.1", b"X-Forwarded-For: 203.0.113.7"),
    (b"X-Forwarded-For: ,, ",),
    (b'X-Forwarded-For: "x, 203.0.113.9',),
    (b'X-Forwarded-For: 198.51.100.1, "203.0.113.9"',),
    (b"Accept: text/html",),
    (b"Cookie: a=b", b"Authorization: Basic eDp5"),
]


@pytest.mark.parametrize("headers", _CLIENT_HEADERS, ids=range(len(_CLIENT_HEADERS)))
def test_every_link_is_followed_the_same_whoever_asks(
    ways: Ways, codes: list[str], headers: tuple[bytes, ...]
) -> None:
    for code in codes:
        for target in (f"/{code}", f"/{code}?utm=1&x=%00", f"/urls/{code}/redirect"):
            for method in ("GET", "HEAD"):
                assert_same(ways, request_bytes(method, target, *headers))


def test_both_ways_store_the_same_click_and_the_same_log_line(ways: Ways, codes: list[str]) -> None:
    for number, headers in enumerate(_CLIENT_HEADERS):
        before = len(click_events(ways.client))
        answer = assert_same(
            ways, request_bytes("GET", f"/{codes[number % len(_ADDRESSES)]}", *headers)
        )
        assert b"\r\nx-cache: HIT\r\n" in answer
        one, other, *_ = events = click_events(ways.client)
        assert len(events) == before + 2
        assert one["details"] == other["details"]
        assert (one["url_id"], one["user_id"]) == (other["url_id"], other["user_id"])


def _log_line(server: App, request_id: str) -> dict[str, Any]:
    path = server.folder / "holdfast.log"
    wait_for(lambda: request_id in path.read_text(), what="the log line")
    (line,) = (line for line in path.read_text().splitlines() if request_id in line)
    entry: dict[str, Any] = json.loads(line)
    return {**entry, "timestamp": "", "duration_ms": type(entry["duration_ms"])}


def test_both_ways_log_the_same(ways: Ways, codes: list[str]) -> None:
    exchange_id = "both-ways-log-1"
    assert_same(
        ways, request_bytes("GET", f"/{codes[0]}", b"X-Request-ID: " + exchange_id.encode())
    )
    one, other = _log_line(ways.front, exchange_id), _log_line(ways.flask, exchange_id)
    assert one == other
    assert list(one) == list(other)


def _has_redirects(server: App, redirects: float) -> bool:
    return _figures(server)["redirects_total"] == redirects


def _figures(server: App) -> dict[str, float]:
    text = exchange(server.port, request_bytes("GET", "/metrics")).decode()
    wanted = (
        'http_requests_total{endpoint="redirects.follow_code"',
        "redirects_total",
        "cache_hits_total",
        'http_request_duration_seconds_count{endpoint="redirects.follow_code"',
    )
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith(wanted) and "HEAD" not in line
    }


def test_both_ways_count_the_same(ways: Ways, codes: list[str]) -> None:
    before = {way: _figures(way) for way in (ways.front, ways.flask)}
    for _ in range(7):
        assert_same(ways, request_bytes("GET", f"/{codes[0]}"))
    for way, figures in before.items():
        redirects = figures["redirects_total"] + 7
        reached = partial(_has_redirects, way, redirects)
        wait_for(reached, what="seven redirects more")
        more = {name: value - figures.get(name, 0.0) for name, value in _figures(way).items()}
        assert set(more.values()) <= {0.0, 7.0}
        assert more["cache_hits_total"] == 7.0
        assert (
            sum(value for name, value in more.items() if name.startswith("http_requests_total"))
            == 7.0
        )
        assert sum(value for name, value in more.items() if "duration_seconds_count" in name) == 7.0


_TARGETS = [
    *ODD_PATHS,
    *(f"/{'a' * length}" for length in (1, 6, 32, 33, 5000)),
    *(
        "/users",
        "/shorten",
        "/health",
        "/chaos",
        "/nosuch",
        "/%6eosuch",
        "/a.b",
        "/a b",
        "/%00",
        "/%ff",
        "/%0a",
        "/é",
        "*",
        "http://sho.rt/nosuch",
        "/nosuch#x",
    ),
    *(f"/urls/{identity}" for identity in (*ODD_IDS, *IMPOSSIBLE_IDS)),
    *(
        path.format(user=1, url=1) + query
        for path in LISTS
        if path != "/products"
        for query in ("", "?page=x", "?per_page=1&count=1", "?after=1e3", "?page=\xff", "?type=%00")
    ),
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PATCH"])
def test_everything_else_is_answered_the_same(ways: Ways, codes: list[str], method: str) -> None:
    for target in _TARGETS:
        if target and " " not in target:
            assert_same(ways, request_bytes(method, target))


def test_odd_headers_make_no_difference(ways: Ways, codes: list[str]) -> None:
    for name, value in ODD_HEADERS:
        assert_same(ways, request_bytes("GET", f"/{codes[0]}", f"{name}: {value}".encode()))


_BODIES = (
    b'{"url": "https://example.com/"}',
    b"{",
    b"[]",
    b"\xff",
    b'{"url": "ftp://x"}',
    b'{"url": NaN}',
    b"x" * 70_000,
)


@pytest.mark.parametrize("target", ["/shorten", "/users", "/events", "/users/bulk"])
def test_bad_bodies_are_refused_the_same(ways: Ways, target: str) -> None:
    for body in _BODIES[1:]:
        assert_same(
            ways, request_bytes("POST", target, b"Content-Type: application/json", body=body)
        )
        chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        head = request_bytes(
            "POST", target, b"Content-Type: application/json", b"Transfer-Encoding: chunked"
        )
        assert_same(ways, head + chunked)


def test_a_body_in_chunks_is_a_body(ways: Ways) -> None:
    head = request_bytes(
        "POST", "/shorten", b"Content-Type: application/json", b"Transfer-Encoding: chunked"
    )
    for way in (ways.front, ways.flask):
        answer = exchange(way.port, head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(_BODIES[0]), _BODIES[0]))
        assert answer.startswith(b"HTTP/1.1 201")
