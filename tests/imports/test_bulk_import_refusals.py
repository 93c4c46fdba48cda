"""POST /users/bulk: refused files, files that arrive together, files of random bytes."""

from __future__ import annotations

import gzip
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from app.database import db, release
from tests.conftest import Api
from tests.imports.uploads import counts, post_csv, tables

HEADER = b"username,email,created_at\n"
GOOD = b"".join(b"user%d,user%d@example.com,\n" % (n, n) for n in range(1500))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xef\xbb\xbf",
        b"\n\n",
        b"hello",
        b'{"username": "ada", "email": "ada@example.com"}',
        b"<!doctype html><title>users</title>\n<p>ada",
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
        gzip.compress(HEADER + GOOD),
        HEADER.decode().encode("utf-16"),
        HEADER.decode().encode("utf-16-le"),
        b"username,email\x00\nada,ada@example.com\n",
        b"username|email\nada|ada@example.com\n",
        b"username,mail\nada,ada@example.com\n",
        b"email,created_at\nada@example.com,\n",
        b"u" * 20_000 + b",username,email\n",
        HEADER + b"M\xfcller,mueller@example.com,\n",
        HEADER + GOOD + b"M\xfcller,mueller@example.com,\n",
        HEADER + GOOD + b"ada,ada@example.com,\n\xc3",
    ],
)
def test_what_is_no_csv_file_of_users_is_refused_and_nothing_is_stored(
    client: FlaskClient, content: bytes
) -> None:
    answer = post_csv(client, content)
    assert (answer.status_code, answer.json["error"], answer.json["status"]) == (
        400,
        "Bad Request",
        400,
    )
    assert answer.json["message"].startswith("The file ")
    assert counts()["users"] == 0


def test_a_missing_column_is_named(client: FlaskClient) -> None:
    answer = post_csv(client, "id;name\n1;ada\n")
    assert answer.json["message"] == "The file has no column email and no column username"
    assert answer.json["errors"] == {"email": "is required", "username": "is required"}


@pytest.mark.parametrize(
    "request_parts",
    [
        {},
        {"data": {"file": "username,email\nada,ada@example.com\n"}},
        {"data": {"upload": (BytesIO(b"username,email\n"), "users.csv")}},
        {"data": b"username,email\nada,ada@example.com\n", "content_type": "text/csv"},
        {"json": {"file": "username,email"}},
        {"data": b"--x\r\nnonsense", "content_type": "multipart/form-data; boundary=x"},
        {"data": b"file", "content_type": "multipart/form-data"},
    ],
)
def test_a_request_without_a_file_is_refused(
    client: FlaskClient, request_parts: dict[str, Any]
) -> None:
    answer = client.post("/users/bulk", **request_parts)
    assert (answer.status_code, answer.json["errors"]) == (400, {"file": "is required"})
    assert counts()["users"] == 0


def test_more_than_10_mib_are_refused(client: FlaskClient) -> None:
    answer = post_csv(client, HEADER + b"ada,ada@example.com,\n" * 600_000)
    assert (answer.status_code, counts()["users"]) == (413, 0)


def test_100_000_users_fit_into_one_upload(client: FlaskClient) -> None:
    content = "id,username,email,created_at\n" + "".join(
        f"{n},person.{n:06},person.{n:06}@mail.example.com,2024-01-31 10:20:30\n"
        for n in range(1, 100_001)
    )
    assert len(content) < 10 * 1024 * 1024
    assert post_csv(client, content).json["created"] == 100_000


def test_after_a_refusal_in_the_middle_of_a_file_the_same_connection_serves_on(app: Flask) -> None:
    with app.app_context():  # one context, so that all requests share the connection
        client = app.test_client()
        for _ in range(3):
            assert post_csv(client, HEADER + GOOD + b"\xff,x@example.com,\n").status_code == 400
            assert not db.in_transaction()
            assert post_csv(client, HEADER + GOOD).json["imported"] == 1500
            assert Api(client).get("/users?per_page=1&count=true")


def test_uploads_of_the_same_users_at_once_all_succeed_and_store_each_user_once(app: Flask) -> None:
    def upload(number: int) -> Any:
        rows = [f"{number * 10 + n},ada{n},ada{n}@example.com" for n in range(300)]
        try:
            return post_csv(
                app.test_client(),
                "id,username,email\n" + "\n".join(rows[::-1] if number % 2 else rows),
            )
        finally:
            release()

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(upload, range(6)))
    assert [answer.status_code for answer in answers] == [201] * 6
    assert [answer.json["imported"] for answer in answers] == [300] * 6
    assert sum(answer.json["created"] for answer in answers) == counts()["users"] == 300


def test_users_created_while_a_file_of_them_is_imported_are_stored_once(app: Flask) -> None:
    content = "id,username,email\n" + "\n".join(
        f"{n + 1},ada{n},ada{n}@example.com" for n in range(300)
    )

    def create(number: int) -> int:
        try:
            return (
                app.test_client()
                .post(
                    "/users", json={"username": f"ada{number}", "email": f"ADA{number}@example.com"}
                )
                .status_code
            )
        finally:
            release()

    with ThreadPoolExecutor(4) as threads:
        upload = threads.submit(lambda: (post_csv(app.test_client(), content), release()))
        statuses = set(threads.map(create, range(0, 300, 10)))
    assert statuses <= {201, 409}
    assert upload.result()[0].status_code == 201, upload.result()[0].json
    assert upload.result()[0].json["imported"] == 300
    assert counts()["users"] == 300


_FIELDS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "ada",
            "a@b.example",
            "A@B.example",
            '"',
            "'",
            "\x00",
            "5",
            "-5",
            "9" * 19,
            "2024-01-31T10:00:00Z",
            "\ud800",
            "\r",
            "\n",
            ",",
            ";",
        ]
    ),
)
_ROWS = st.lists(st.lists(_FIELDS, max_size=5), max_size=8)


def _looks_like_a_file(rows: list[list[str]]) -> bytes:
    return b"id,username,email,created_at\n" + "\n".join(",".join(row) for row in rows).encode(
        "utf-8", "surrogatepass"
    )


@hypothesis(
    deadline=None,
    max_examples=60,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.one_of(
        st.binary(max_size=300),
        _ROWS.map(_looks_like_a_file),
        st.binary(max_size=100).map(lambda junk: HEADER + junk),
    )
)
@example(HEADER + b'"')
@example(HEADER + b'a,"b\n')
@example(HEADER + b"a" * 150_000 + b"\x00\nb,b@example.com,\n")
def test_any_bytes_are_either_refused_with_nothing_stored_or_counted_row_by_row(
    client: FlaskClient, content: bytes
) -> None:
    before = tables()
    answer = post_csv(client, content)
    assert answer.status_code in (201, 400)
    if answer.status_code == 400:
        assert tables() == before
        return
    report = answer.json
    assert report["created"] + report["skipped"] + report["failed"] == report["total"]
    assert report["imported"] == report["count"] == report["created"] + report["skipped"]
    assert counts()["users"] == len(before["users"]) + report["created"]
    assert len(report["errors"]) == min(report["failed"], 100)
    assert post_csv(client, content).json["imported"] == report["imported"]
