"""Bodies that are made to cost memory or time: a replica, which has 512 MiB, takes little of
either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_run import Run
from tests.test_slow_clients import connect, cpu_seconds, error_of, everything

MEBIBYTE = 2**20
_NESTED = b"[" * 29 + b"]" * 29
_FORM = b"multipart/form-data; boundary=x"
JSON_ENDPOINTS = [
    "POST /shorten",
    "POST /urls",
    "PUT /urls/1",
    "POST /users",
    "PUT /users/1",
    "POST /events",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with Run(tmp_path_factory.mktemp("bodies"), WEB_WORKERS="1", AUTO_SEED="true") as started:
        for _ in range(2):  # what the first bodies load is no cost of a hostile one
            _send(started, "POST /urls/bulk", b"application/json", _links(b"{}", 10))
        yield started


def _peak_bytes(server: Run) -> int:
    """The most physical memory that the worker process ever had (proc_pid_status(5))."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{server.workers()[0]}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def _send(server: Run, where: str, kind: bytes, body: bytes) -> bytes:
    method, path = where.encode().split()
    head = (
        b"%s %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length:"
        b" %d\r\n\r\n"
    )
    with connect(server) as connection:
        connection.sendall(head % (method, path, kind, len(body)) + body)
        return everything(connection)


def _json(size: int, inner: bytes) -> bytes:
    """An object of about `size` bytes, whose field `ignored` is a list of `inner`."""
    start = b'{"url": "https://example.com/", "ignored": ['
    return start + b",".join([inner] * ((size - len(start) - 2) // (len(inner) + 1))) + b"]}"


def _links(link: bytes, number: int) -> bytes:
    return b'{"urls": [' + b",".join([link] * number) + b"]}"


def _file(content: bytes) -> bytes:
    return b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n%s\r\n--x--\r\n' % content


def _items(*items: bytes, size: int = 9_900_000) -> bytes:
    """A form whose file is a list of these items, again and again."""
    several = b",".join(items)
    return _file(b"[" + b",".join([several] * (size // (len(several) + 1))) + b"]")


def _shlink(link: bytes) -> bytes:
    return b'{"shortCode": "a", "longUrl": "https://example.com/", %s}' % link


def _parts(number: int, headers: bytes = b"", content: bytes = b"x", name: bytes = b"a") -> bytes:
    part = (
        b'--x\r\nContent-Disposition: form-data; name="'
        + name
        + b'"\r\n'
        + headers
        + b"\r\n"
        + content
        + b"\r\n"
    )
    return part * number + b"--x--\r\n"


BODIES = [
    *((where, b"application/json", _json(9_900_000, _NESTED), {413}) for where in JSON_ENDPOINTS),
    *(
        (where, b"application/json", _json(64_000, _NESTED), {200, 201, 400})
        for where in JSON_ENDPOINTS
    ),
    ("POST /shorten", b"application/json", _json(64_000, b"{}"), {201}),
    ("POST /shorten", b"application/json", _json(64_000, b"9" * 4000), {201}),
    ("POST /shorten", b"application/json", _json(64_000, b"9" * 60_000), {400}),
    ("POST /shorten", b"application/json", _json(64_000, b"1e99"), {201}),
    ("POST /shorten", b"application/json", b"[" * 65_000, {400}),
    ("POST /shorten", b"application/x-www-form-urlencoded", b"a&" * 5_000_000, {413}),
    *(
        ("POST /urls/bulk", b"application/json", body, {status})
        for body, status in (
            (_json(9_900_000, _NESTED), 413),
            (_json(1_040_000, _NESTED), 400),
            (_json(1_040_000, b'{"a":1}'), 400),
            (_json(1_040_000, b"9" * 4000), 400),
            (_links(b"{}", 340_000), 400),
            (_links(b"{}", 1000), 400),
            (_links(b'{"url": "%s", "tags": 1, "title": 2}' % (b"x" * 900), 1000), 400),
            (_links(b'{"url": "https://example.com/%s"}' % (b"\\u00fc" * 150), 1000), 201),
        )
    ),
    ("POST /users/bulk", b"application/x-www-form-urlencoded", b"a&" * 5_000_000, {400}),
    ("POST /users/bulk", b"application/json", _json(9_900_000, _NESTED), {400}),
    ("POST /users/bulk", b"text/csv", b"x" * 9_900_000, {400}),
    ("POST /users/bulk", b"multipart/mixed; boundary=x", _parts(100_000), {400}),
    ("POST /users/bulk", _FORM, _parts(5_000), {400, 413}),
    ("POST /users/bulk", _FORM, _parts(150_000), {400, 413}),
    ("POST /users/bulk", _FORM, _parts(1, content=b"x" * 9_900_000), {400, 413}),
    ("POST /users/bulk", _FORM, _parts(1, headers=b"X: y\r\n" * 1_500_000), {400, 413}),
    ("POST /users/bulk", _FORM, _parts(1, headers=b"X: " + b"y" * 9_900_000 + b"\r\n"), {400, 413}),
    ("POST /users/bulk", _FORM, b"x" * 9_900_000, {400, 413}),
    ("POST /users/bulk", _FORM, b"\r\n" * 4_900_000, {400, 413}),
    ("POST /users/bulk", _FORM, b"--x\r\n" * 1_900_000, {400, 413}),
    *(
        ("POST /urls/import?source=shlink", _FORM, body, {status})
        for body, status in (
            (_items(b"1"), 400),
            (_items(b"1\n"), 400),
            (_items(b"{}"), 400),
            (_items(_NESTED), 400),
            (_items(b'{"a":1}'), 400),
            (_items(b'{"password":1}'), 400),
            (_items(b'"%s"' % (b"x" * 900_000)), 400),
            (_items(_shlink(b'"tags": [%s1]' % (b"1," * 400_000))), 400),
            (_items(_shlink(b'"tags": [%s1]' % (b'{"a":1},' * 100_000))), 400),
            (_items(_shlink(b'"title": "%s"' % (b"\\ud83d" * 100_000))), 400),
            (_items(_shlink(b'"title": "%s"' % ("\U0001f4a1" * 200_000).encode())), 400),
            (_items(b"{%s}" % b",".join(b'"%x":1' % n for n in range(90_000))), 400),
            (_file(b"[" * 9_900_000), 400),
            (_file(b'["' + b"x" * 9_900_000), 400),
            (_file(b"[" + b" " * 9_900_000), 400),
            (_file(b"[" + b"9" * 9_900_000), 400),
            (_file(b'{"data":' * 1_200_000), 400),
            (_file(b'{"data":[],' * 900_000), 201),
            (_file(b'{"data":[1],' * 800_000), 400),
            (_file(b"{" + b'"data" ' * 1_400_000), 400),
        )
    ),
    ("POST /import", _FORM, _parts(150_000), {400, 413}),
    ("POST /import", _FORM, _parts(1, content=b"x" * 9_900_000, name=b"source"), {400, 413}),
    ("POST /urls/import", _FORM, _file(b"[" * 9_900_000), {400}),
    ("POST /urls/import", _FORM, _file(b"x" * 9_900_000), {400}),
    ("POST /urls/import", b"application/json", _json(9_900_000, _NESTED), {400}),
    ("POST /users/bulk", _FORM.replace(b"=x", b"=" + b"x" * 8000), b"x" * 9_900_000, {400, 413}),
]


@pytest.mark.parametrize(
    ("where", "kind", "body", "statuses"),
    BODIES,
    ids=[f"{each[0]} {number}" for number, each in enumerate(BODIES)],
)
def test_a_hostile_body_costs_little(
    server: Run, where: str, kind: bytes, body: bytes, statuses: set[int]
) -> None:
    server.get("/users?per_page=1")
    memory, cpu, worker = _peak_bytes(server), cpu_seconds(server), server.workers()[0]
    answers = [_send(server, where, kind, body) for _ in range(3)]
    assert {int(answer[9:12]) for answer in answers} <= statuses
    if statuses <= {400, 413} and where != "POST /import":  # which answers with a page
        error_of(answers[0])
    assert server.workers()[0] == worker
    assert _peak_bytes(server) - memory < 48 * MEBIBYTE
    assert cpu_seconds(server) - cpu < 3
