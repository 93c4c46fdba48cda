"""What clients that are slow, broken or hostile do to a server, on `make run`: little, and nothing
to the others.
"""

from __future__ import annotations

import http.client
import json
import os
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from testkit.webserver import Reply
from tests.test_run import Run

_JSON = b"Content-Type: application/json\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_LINK = b'{"url": "https://example.com/"}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with Run(tmp_path_factory.mktemp("connections"), WEB_WORKERS="1") as started:
        yield started
        assert "Traceback" not in started.output()
        assert '"exception"' not in started.output()


def connect(server: Run) -> socket.socket:
    return socket.create_connection((server.host, server.port), 60)


def everything(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def exchange(server: Run, request: bytes) -> bytes:
    """All that comes back; the server has to close."""
    with connect(server) as connection:
        connection.sendall(request)
        return everything(connection)


def post(target: str = "/shorten", *headers: bytes, body: bytes = b"") -> bytes:
    head = b"POST %s HTTP/1.1\r\nHost: h\r\n" % target.encode()
    return head + b"".join(headers) + b"\r\n" + body


def get(target: str = "/health", *headers: bytes) -> bytes:
    return b"GET %s HTTP/1.1\r\nHost: h\r\n" % target.encode() + b"".join(headers) + b"\r\n"


def error_of(answer: bytes) -> dict[str, object]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/json" in head, answer[:500]
    error: dict[str, object] = json.loads(body)
    assert error.keys() >= {"error", "message", "status", "request_id"}
    assert head.startswith(f"HTTP/1.1 {error['status']} {error['error']}\r\n".encode())
    return error


def count(server: Run) -> str:
    return server.get("/urls?count=true").headers["X-Total-Count"]


def test_a_chunked_body_is_a_body(server: Run) -> None:
    whole = b"%x\r\n%s\r\n0\r\n\r\n" % (len(_LINK), _LINK)
    pieces = (
        b"".join(b"1;name=value\r\n%c\r\n" % byte for byte in _LINK) + b"0\r\nX-Trailer: 1\r\n\r\n"
    )
    for chunks in (whole, pieces):
        assert exchange(
            server, post("/shorten", _JSON, _CHUNKED, b"Connection: close\r\n", body=chunks)
        ).startswith(b"HTTP/1.1 201 ")


_BROKEN_CHUNKS = [
    b"zz\r\n{}",
    b"-5\r\nhello",
    b"+2\r\n{}\r\n0\r\n\r\n",
    b"\r\n{}\r\n0\r\n\r\n",
    b"\r\n",
    b" 2\r\n{}\r\n0\r\n\r\n",
    b"2 \r\n{}\r\n0\r\n\r\n",
    b"0x2\r\n{}\r\n0\r\n\r\n",
    b"2\r\n{}0\r\n\r\n",
    b"2\r\n{}xx0\r\n\r\n",
    b"2\n{}\n0\n\n",
    b"1\r\n{}\r\n0\r\n\r\n",
    b"3\r\n{}\r\n0\r\n\r\n",
    b"ffffffffffffffffff\r\n{}",
    b"2;\x00\r\n{}\r\n0\r\n\r\n",
    b"2\r\n{}\r\n0\r\nnot a trailer\r\n\r\n",
    b"2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n",
]


@pytest.mark.parametrize("chunks", _BROKEN_CHUNKS, ids=ascii)
@pytest.mark.parametrize("target", ["/shorten", "/users/bulk", "/nosuch"])
def test_a_broken_chunked_body_is_a_bad_request_and_changes_nothing(
    server: Run, target: str, chunks: bytes
) -> None:
    before = count(server)
    good = b"%x\r\n%s\r\n" % (len(_LINK), _LINK)
    for sent in (chunks, good + chunks):
        assert error_of(exchange(server, post(target, _JSON, _CHUNKED, body=sent)))["status"] == 400
    assert count(server) == before


@pytest.mark.parametrize(
    "sent",
    [b"1f\r\n" + _LINK, b"1f\r\n" + _LINK + b"\r\n", b"1f\r\n" + _LINK + b"\r\n0\r\n", b"1", b""],
)
def test_a_body_without_its_end_is_never_taken_for_a_complete_one(server: Run, sent: bytes) -> None:
    before = count(server)
    for head in (_CHUNKED, b"Content-Length: 5000\r\n"):
        with connect(server) as connection:
            connection.sendall(post("/shorten", _JSON, head, body=sent))
            connection.shutdown(socket.SHUT_WR)
            assert error_of(everything(connection))["status"] == 400
    assert count(server) == before


_AMBIGUOUS = [
    b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
    b"Content-Length: 2\r\nContent-Length: 2\r\n",
    b"Content-Length: 2\r\nContent-Length: 3\r\n",
    b"Content-Length: 2, 2\r\n",
    b"Content-Length: +2\r\n",
    b"Content-Length: -2\r\n",
    b"Content-Length: 0x2\r\n",
    b"Content-Length: 2 2\r\n",
    b"Content-Length: \r\n",
    b"Content-Length: " + b"9" * 5000 + b"\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Content-Length : 2\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: gzip\r\n",
    b"Transfer-Encoding: \r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"Transfer-Encoding: chunked\r\n X: y\r\n",
    b"Host: other\r\n",
    b"Content-Type: text/plain\r\n" + _JSON,
]


@pytest.mark.parametrize("headers", _AMBIGUOUS, ids=lambda value: ascii(value)[:60])
def test_a_request_that_two_servers_might_read_differently_is_refused(
    server: Run, headers: bytes
) -> None:
    answer = exchange(server, post("/shorten", headers, body=b"0\r\n\r\n" + get("/health")))
    assert error_of(answer)["status"] == 400
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /health\r\n\r\n",
        b"GET /health HTTP/1.1\n\n",
        b"GET /health HTTP/0.9\r\n\r\n",
        b"GET /health HTTP/1.2\r\n\r\n",
        b"GET /health HTTP/2.0\r\n\r\n",
        b"GET health HTTP/1.1\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\n\r\n",
        b"GET http://[::1/ HTTP/1.1\r\n\r\n",
        b"get /health HTTP/1.1\r\n\r\n",
        b"G@T /health HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /shorten HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: h\r\nA: \x00\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_not_http_is_a_bad_request(server: Run, request_bytes: bytes) -> None:
    assert error_of(exchange(server, request_bytes))["status"] == 400


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (get("/" + "x" * 8300), 414),
        (b"GET /" + b"x" * 1_000_000, 414),
        (get("/health", b"X: " + b"x" * 40_000 + b"\r\n"), 431),
        (b"GET /health HTTP/1.1\r\nX: " + b"x" * 1_000_000, 431),
        (get("/health", *(b"X-%d: x\r\n" % number for number in range(200))), 431),
        (
            b"GET /health HTTP/1.1\r\n"
            + b"".join(b"X-%d: x\r\n" % number for number in range(200_000)),
            431,
        ),
    ],
    ids=range(6),
)
def test_a_head_has_its_limits(server: Run, request_bytes: bytes, status: int) -> None:
    assert error_of(exchange(server, request_bytes))["status"] == status


@pytest.mark.parametrize(
    "body", [b"0\r\nX: " + b"x" * 400_000, b"0\r\n" + b"X: x\r\n" * 60_000, b"1;" + b"x" * 400_000]
)
def test_so_has_what_stands_around_the_chunks_of_a_body(server: Run, body: bytes) -> None:
    for target in ("/shorten", "/users/bulk"):
        answer = exchange(
            server,
            post(target, b"Content-Type: multipart/form-data; boundary=x\r\n", _CHUNKED, body=body),
        )
        assert error_of(answer)["status"] == 431


def test_a_request_in_pieces_is_the_same_request(server: Run) -> None:
    with connect(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in get("/users", b"X-Request-ID: in-pieces\r\n", b"Connection: close\r\n"):
            connection.sendall(bytes((byte,)))
        assert b"x-request-id: in-pieces" in everything(connection).lower()


def test_trailers_are_no_headers(server: Run) -> None:
    body = (
        b"%x\r\n%s\r\n0\r\nX-Request-ID: trailer\r\nHost: trailer.example\r\nContent-Type:"
        b" text/plain\r\n\r\n" % (len(_LINK), _LINK)
    )
    answer = exchange(
        server, post("/shorten", _JSON, _CHUNKED, b"Connection: close\r\n", body=body)
    )
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert b"trailer" not in answer


_UPGRADES = [
    (
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version:"
        b" 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    ),
    b"Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n",
    (
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings:"
        b" AAMAAABkAAQAoAAAAAIAAAAA\r\n"
    ),
]


@pytest.mark.parametrize("upgrade", _UPGRADES)
def test_an_upgrade_is_answered_as_plain_http_with_its_body_and_what_follows(
    server: Run, upgrade: bytes
) -> None:
    before = len(server.output().splitlines())
    last = get("/users/99", b"Connection: close\r\n")
    length = b"Content-Length: %d\r\n" % len(_LINK)
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(_LINK), _LINK)
    for first, status in (
        (get("/urls", upgrade), 200),
        (post("/shorten", _JSON, upgrade, length, body=_LINK), 201),
        (post("/shorten", _JSON, upgrade, _CHUNKED, body=chunked), 201),
    ):
        answer = exchange(server, first + last)
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert answer.count(b"HTTP/1.1 404 ") == 1
    assert all('"level": "INFO"' in line for line in server.output().splitlines()[before:])


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "FOO", "PROPFIND", "X" * 200])
def test_a_method_that_is_not_known_is_not_allowed(server: Run, method: str) -> None:
    target = "h:80" if method == "CONNECT" else "/urls"
    answer = exchange(
        server, f"{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode()
    )
    assert error_of(answer)["status"] == 405
    assert b"\r\nallow: " in answer.lower()


@pytest.mark.parametrize(
    "header",
    [b"SCRIPT_NAME: /x", b"Script-Name: /x", b"X-Forwarded-Prefix: /x", b"X-Script-Name: /x",
     b"PATH_INFO: /x", b"Path-Info: /x",
     b"REMOTE_USER: x", b"X_Forwarded_For: 203.0.113.1", b"Content_Length: 5", b"WSGI.INPUT: x",
     b"Proxy: http://x.example"],
)  # fmt: skip
def test_a_header_that_is_called_like_something_of_the_server_harms_nothing(
    server: Run, header: bytes
) -> None:
    for target, status in (("/urls", 200), ("/", 200), ("/nosuch", 404)):
        plain = exchange(server, get(target, b"Connection: close\r\n", b"X-Request-ID: same\r\n"))
        odd = exchange(
            server,
            get(target, header + b"\r\n", b"Connection: close\r\n", b"X-Request-ID: same\r\n"),
        )
        assert odd.startswith(b"HTTP/1.1 %d " % status)
        assert odd.partition(b"\r\n\r\n")[2] == plain.partition(b"\r\n\r\n")[2]


def test_requests_on_one_connection_are_answered_in_their_order_up_to_a_broken_one(
    server: Run,
) -> None:
    ids = [b"pipelined-%d" % number for number in range(100)]
    requests = b"".join(get("/users/99", b"X-Request-ID: %s\r\n" % each) for each in ids)
    answer = exchange(server, requests + b"garbage\r\n\r\n")
    assert [
        line[14:]
        for line in answer.lower().split(b"\r\n")
        if line.startswith(b"x-request-id: pipelined")
    ] == ids
    assert answer.rpartition(b"HTTP/1.1 ")[2].startswith(b"400 ")


def test_http_1_0_and_head_are_answered_in_their_own_way(server: Run) -> None:
    for target in ("/urls", "/metrics", "/health", "/openapi.json", "/", "/nosuch"):
        old = exchange(server, b"GET %s HTTP/1.0\r\n\r\n" % target.encode())
        assert b"transfer-encoding" not in old.lower()
        head = exchange(
            server, b"HEAD %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" % target.encode()
        )
        assert head.endswith(b"\r\n\r\n")
        assert b"content-length: 0" not in head.lower()


def test_who_closes_its_side_after_a_request_is_still_answered(server: Run) -> None:
    with connect(server) as connection:
        connection.sendall(get("/users/99"))
        connection.shutdown(socket.SHUT_WR)
        assert error_of(everything(connection))["status"] == 404


# ---- too large ----


def _announced(target: str, kind: bytes, size: int) -> bytes:
    return post(target, b"Content-Type: %s\r\n" % kind, b"Content-Length: %d\r\n" % size)


@pytest.mark.parametrize("target", ["/shorten", "/urls", "/users", "/events", "/urls/1", "/nosuch"])
def test_a_body_over_64_kib_is_refused_before_it_is_sent(server: Run, target: str) -> None:
    for kind in (
        b"application/json",
        b"multipart/form-data; boundary=x",
        b"application/x-www-form-urlencoded",
    ):
        error = error_of(exchange(server, _announced(target, kind, 65_537)))
        assert (error["status"], error["message"]) == (413, "The body is larger than 64 KiB")


def test_a_body_of_64_kib_is_read(server: Run) -> None:
    body = json.dumps({"url": "https://example.com/", "padding": ""}).encode()
    body = body[:-2] + b"x" * (65_536 - len(body)) + body[-2:]
    for more, status in ((b"", 201), (b" ", 413)):
        for framing, sent in (
            (b"Content-Length: %d\r\n" % len(body + more), body + more),
            (_CHUNKED, b"%x\r\n%s\r\n0\r\n\r\n" % (len(body + more), body + more)),
        ):
            answer = exchange(
                server, post("/shorten", _JSON, framing, b"Connection: close\r\n", body=sent)
            )
            assert answer.startswith(b"HTTP/1.1 %d " % status)


def test_an_upload_has_10_mib_and_only_as_a_form_with_a_file(server: Run) -> None:
    form = b"multipart/form-data; boundary=x"
    assert (
        error_of(exchange(server, _announced("/users/bulk", form, 10 * 2**20 + 1)))["message"]
        == "The body is larger than 10 MiB"
    )
    for kind in (
        b"application/json",
        b"application/x-www-form-urlencoded",
        b"text/csv",
        b"multipart/mixed; boundary=x",
        b"multipart/form-data-x",
    ):
        for size in (1, 70_000, 10 * 2**20):
            error = error_of(exchange(server, _announced("/users/bulk", kind, size)))
            assert (error["status"], error["errors"]) == (400, {"file": "is required"})
        assert error_of(exchange(server, _announced("/users/bulk", kind, 10**12)))["status"] == 413


def test_a_refusal_reaches_a_client_that_sends_all_before_it_reads(server: Run) -> None:
    for _ in range(5):
        for framing in (b"Content-Length: 20000000\r\n", _CHUNKED + b"Connection: close\r\n"):
            with connect(server) as connection:
                connection.sendall(post("/shorten", _JSON, framing))
                sent = (
                    b"1000\r\n" + b"x" * 4096 + b"\r\n"
                    if framing.startswith(_CHUNKED)
                    else b"x" * 5000
                )
                for _ in range(4000):
                    connection.sendall(sent)
                assert error_of(everything(connection))["status"] == 413


def test_an_expectation_is_met_or_refused_before_the_body_is_sent(server: Run) -> None:
    expect = b"Expect: 100-continue\r\n"
    with connect(server) as connection:
        connection.sendall(
            post(
                "/shorten",
                _JSON,
                expect,
                b"Connection: close\r\n",
                b"Content-Length: %d\r\n" % len(_LINK),
            )
        )
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(_LINK)
        assert everything(connection).startswith(b"HTTP/1.1 201 ")
    assert (
        error_of(exchange(server, post("/shorten", _JSON, expect, b"Content-Length: 70000\r\n")))[
            "status"
        ]
        == 413
    )
    assert (
        error_of(
            exchange(server, post("/users/bulk", _JSON, expect, b"Content-Length: 70000\r\n"))
        )["status"]
        == 400
    )


# ---- many, and slow ----


def cpu_seconds(server: Run) -> float:
    """Of the only worker process."""
    fields = Path(f"/proc/{server.workers()[0]}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _threads(server: Run) -> int:
    return sum(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in server.workers())


def _allow_files(number: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, hard), hard))


def test_clients_that_keep_the_server_waiting_keep_nobody_else_waiting(server: Run) -> None:
    user = server.get(
        "/users", "POST", body={"username": "reader", "email": "r@example.com"}
    ).json()["id"]
    for number in range(100):
        body = {
            "original_url": f"https://example.com/{'x' * 2000}{number}",
            "user_id": user,
            "title": "y" * 255,
        }
        assert server.get("/urls", "POST", body=body).status == 201
    many = get(f"/users/{user}/urls?per_page=100")
    hostile = [
        (200, b""),
        (200, b"GET /health HTTP/1.1\r\nHost: h\r\nX-Half"),
        (200, post("/shorten", _JSON, b"Content-Length: 100\r\n", body=b"{")),
        (50, many * 20),
    ]
    before = _threads(server)
    with ExitStack() as stack:
        for number, sent in hostile:
            for _ in range(number):
                connection = stack.enter_context(connect(server))
                connection.sendall(sent)
        for path in ("/health", "/urls", "/health/ready", "/metrics", "/health"):
            assert server.get(path).status == 200
        assert server.get("/shorten", "POST", body={"url": "https://example.com/"}).status == 201
        # A thread that works now and then, such as the one that counts, may have ended meanwhile.
        assert _threads(server) <= before


def test_more_connections_than_there_may_be_make_room_for_the_next(server: Run) -> None:
    _allow_files(4096)
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(server)) for _ in range(2100)]
        for _ in range(5):
            assert server.get("/health").status == 200
        ended = 0
        for connection in silent:
            connection.setblocking(False)
            try:
                ended += connection.recv(1) == b""
            except BlockingIOError:
                continue
            except ConnectionResetError:
                ended += 1
        assert 100 <= ended <= 110


def _in_chunks(content: bytes) -> bytes:
    return b"".join(b"1\r\n%c\r\n" % byte for byte in content)


def _send_chunks(server: Run, request: bytes, answers: list[bytes]) -> None:
    """Of a form with a file, if anything."""
    start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    with connect(server) as connection:
        connection.sendall(request + _in_chunks(start))
        for _ in range(200):
            connection.sendall(_in_chunks(b"x") * 10_000)
        connection.sendall(_in_chunks(b"\r\n--x--\r\n") + b"0\r\n\r\n")
        answers.append(everything(connection))


@pytest.mark.parametrize(
    ("target", "kind", "status"),
    [
        ("/shorten", b"application/json", 413),
        ("/users/bulk", b"multipart/form-data; boundary=x", 400),
        ("/nosuch", b"text/plain", 413),
    ],
)
def test_two_million_chunks_of_a_byte_leave_time_for_others(
    server: Run, target: str, kind: bytes, status: int
) -> None:
    answers: list[bytes] = []
    request = post(target, b"Content-Type: %s\r\n" % kind, _CHUNKED, b"Connection: close\r\n")
    sender = threading.Thread(target=_send_chunks, args=(server, request, answers))
    before = cpu_seconds(server)
    sender.start()
    while sender.is_alive():
        assert server.get("/health").status == 200
    sender.join()
    assert error_of(answers[0])["status"] == status
    assert cpu_seconds(server) - before < 10


def test_a_client_of_its_own_kind_is_served_as_ever(server: Run) -> None:
    """What a library does: one connection, several requests."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    for _ in range(3):
        connection.request("POST", "/shorten", _LINK, {"Content-Type": "application/json"})
        response = connection.getresponse()
        reply = Reply(response.status, response.headers, response.read().decode())  # type: ignore[arg-type]
        connection.request("GET", f"/{reply.json()['short_code']}")
        followed = connection.getresponse()
        followed.read()
        assert (reply.status, followed.status) == (201, 302)
    connection.close()
