"""POST /users/bulk: the form around the file, and the answer to a file that has bad rows only."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.schemas import Error
from tests.conftest import Api
from tests.imports.uploads import counts, post_csv

FILE = b"username,email\nada,ada@example.com\n"


def _part(name: str, content: bytes, more: str = "", kind: str = "") -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"{more}\r\n{kind}\r\n'
    return b"--edge\r\n" + head.encode() + content + b"\r\n"


def _post(client: FlaskClient, *parts: bytes, end: bytes = b"--edge--\r\n") -> TestResponse:
    kind = "multipart/form-data; boundary=edge"
    return client.post("/users/bulk", data=b"".join(parts) + end, content_type=kind)


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ("", ""),
        ("", "Content-Type: text/csv\r\n"),
        ("", "Content-Type: text/plain; charset=iso-8859-1\r\n"),
        ('; filename=""', ""),
        ('; filename="users.csv"', "Content-Type: text/csv\r\n"),
        ("; filename*=UTF-8''users.csv", ""),
    ],
)
def test_the_file_is_found_with_and_without_a_name(
    client: FlaskClient, api: Api, more: str, kind: str
) -> None:
    content = "username,email\nMüller,m@example.com\n".encode()
    answer = _post(client, _part("note", b"x"), _part("file", content, more, kind))
    assert (answer.status_code, answer.json["created"]) == (201, 1), answer.text
    assert [user["username"] for user in api.get("/users")] == ["Müller"]


def test_a_field_without_a_file_name_may_be_as_long_as_a_file(client: FlaskClient) -> None:
    rows = b"".join(b"user%d,user%d@example.com\n" % (n, n) for n in range(20_000))
    answer = _post(client, _part("file", b"username,email\n" + rows))
    assert (answer.status_code, answer.json["created"]) == (201, 20_000)


@pytest.mark.parametrize("more", ["", '; filename="users.csv"'])
def test_wrong_encoding_is_refused_with_and_without_a_name(client: FlaskClient, more: str) -> None:
    answer = _post(client, _part("file", FILE + b"M\xfcller,m@example.com\n", more))
    assert (answer.status_code, counts()["users"]) == (400, 0)
    assert 'save it as "CSV UTF-8"' in answer.json["message"]


def test_other_fields_of_any_size_are_passed_over(client: FlaskClient) -> None:
    answer = _post(client, _part("note", b"x" * 3_000_000), _part("file", FILE), _part("end", b""))
    assert (answer.status_code, answer.json["created"]) == (201, 1)


def test_a_form_of_very_many_parts_is_refused_for_what_it_is(client: FlaskClient) -> None:
    answer = _post(client, _part("a", b"") * 5_000, _part("file", FILE))
    assert (answer.status_code, counts()["users"]) == (400, 0)
    assert answer.json["message"] == "The form has more than 1000 parts"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([_part("file", FILE)] * 2, "The form has the field file more than once"),
        ([_part("files", FILE)], "The request must be multipart/form-data with a CSV file"),
        ([b"--edge\r\nX: " + b"x" * 900_000], "The form has a part whose headers are too long"),
        ([b"x" * 900_000 + b"\r\n"], "The form has a part whose headers are too long"),
        ([b"--edge\r\nX: y\r\n\r\nno name\r\n"], "The form is broken or cut off"),
        ([b"--edge\r\nContent-Disposition: \xff\r\n\r\n\r\n"], "The form is broken or cut off"),
        ([], "The request must be multipart/form-data with a CSV file"),
    ],
)
def test_a_form_without_one_file_is_refused(
    client: FlaskClient, parts: list[bytes], message: str
) -> None:
    answer = _post(client, *parts)
    assert (answer.status_code, counts()["users"]) == (400, 0)
    assert answer.json["message"].startswith(message)


def test_a_form_that_is_cut_off_is_refused(client: FlaskClient) -> None:
    for end in (b"", b"--edg", b"--edge"):
        answer = _post(client, _part("file", FILE), end=end)
        assert (answer.status_code, answer.json["errors"]) == (400, {"file": "is required"})
    assert counts()["users"] == 0


@pytest.mark.parametrize(
    "kind",
    ["application/x-www-form-urlencoded", "multipart/mixed; boundary=edge", "text/csv", ""],
)
def test_nothing_but_a_multipart_form_is_read(client: FlaskClient, kind: str) -> None:
    body = b"a&" * 100_000 if "urlencoded" in kind else _part("file", FILE) + b"--edge--\r\n"
    answer = client.post("/users/bulk", data=body, content_type=kind)
    assert (answer.status_code, answer.json["errors"]) == (400, {"file": "is required"})


# ---- bad rows only ----


def test_a_file_of_bad_rows_only_is_an_error_with_the_report(client: FlaskClient) -> None:
    answer = post_csv(client, "username,email\nada,nowhere\n\nbob,\n")
    body: dict[str, Any] = answer.get_json()
    assert answer.status_code == 400
    assert body.pop("request_id") == answer.headers["X-Request-ID"]
    assert body == {
        "error": "Bad Request",
        "message": "Nothing was imported, all 2 rows are bad; "
        "line 2: email: not a valid email address (got 'nowhere')",
        "status": 400,
        "errors": {
            "line 2": "email: not a valid email address (got 'nowhere')",
            "line 4": "email: must not be empty",
        },
        "imported": 0,
        "count": 0,
        "created": 0,
        "skipped": 0,
        "failed": 2,
        "total": 2,
    }
    Error.model_validate({**answer.get_json()}, strict=True)


def test_only_the_first_hundred_bad_rows_are_put_into_words(client: FlaskClient) -> None:
    body = post_csv(client, "username,email\n" + "ada,nowhere\n" * 150).json
    assert (body["failed"], list(body["errors"])) == (150, [f"line {n}" for n in range(2, 102)])


def test_rows_that_are_there_already_are_no_error_beside_bad_ones(
    client: FlaskClient, api: Api
) -> None:
    api.user("ada")
    answer = post_csv(client, FILE + b"bob,nowhere\n")
    assert (answer.status_code, answer.json["skipped"], answer.json["failed"]) == (201, 1, 1)


def test_the_document_describes_this_error(client: FlaskClient) -> None:
    document = client.get("/openapi.json").json
    refused = document["paths"]["/users/bulk"]["post"]["responses"]["400"]["content"]
    schema = document["components"]["schemas"]["ImportRefusal"]
    assert refused["application/json"]["schema"] == {"$ref": "#/components/schemas/ImportRefusal"}
    body = post_csv(client, "username,email\nada,nowhere\n").json
    assert set(schema["properties"]) == set(body)
    assert set(schema["required"]) == {"error", "message", "status", "request_id"}
