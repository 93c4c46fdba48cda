"""Odd bodies, each with the status it must get: never 500, and always the contract's error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.answers import check

HUGE = 10**30

NOT_AN_OBJECT = {
    "nothing": b"",
    "white space": b"  \r\n",
    "a string": b'"hello"',
    "an array": b'[{"username": "ada"}]',
    "a number": b"42",
    "true": b"true",
    "null": b"null",
    "broken": b'{"username": ',
    "single quotes": b"{'username': 'ada'}",
    "a trailing comma": b'{"username": "ada",}',
    "two objects": b"{}{}",
    "a comment": b"{} // hello",
    "invalid UTF-8": b'{"username": "\xff\xfe"}',
    "UTF-16": '{"username": "ada"}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "NaN": b'{"username": NaN}',
    "Infinity": b'{"username": Infinity}',
    "-Infinity": b'{"details": {"a": -Infinity}}',
    "1e999": b'{"username": 1e999}',
    "-1e999": b'{"details": [-1e999]}',
    "5,000 digits": b'{"username": ' + b"9" * 5000 + b"}",
    "60,000 brackets": b"[" * 60_000,
    "13,000 objects": b'{"a":' * 13_000,
    "a NUL": b"\x00",
    "a raw NUL in a string": b'{"username": "a\x00"}',
    "a form": b"username=ada&email=ada@example.com",
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
}
TAKES_A_BODY = (
    ("POST", "/users"),
    ("POST", "/urls"),
    ("POST", "/shorten"),
    ("POST", "/events"),
    ("PUT", "/users/1"),
    ("PUT", "/urls/1"),
)


@pytest.mark.parametrize("body", NOT_AN_OBJECT.values(), ids=NOT_AN_OBJECT)
def test_a_body_that_is_no_json_object_is_refused(client: FlaskClient, body: bytes) -> None:
    for method, path in TAKES_A_BODY:
        check(client.open(path, method=method, data=body, content_type="application/json"), 400)


CONTENT_TYPES = {
    "none": (None, 400),
    "empty": ("", 400),
    "plain text": ("text/plain", 400),
    "a form": ("application/x-www-form-urlencoded", 400),
    "multipart without a boundary": ("multipart/form-data", 400),
    "XML": ("application/xml", 400),
    "nonsense": ("\xff;=;;,", 400),
    "JSON in capitals": ("APPLICATION/JSON", 201),
    "JSON with a charset": ("application/json; charset=utf-8", 201),
    "JSON with an unknown charset": ("application/json; charset=nonsense", 201),
    "JSON with a broken parameter": ('application/json; charset="', 201),
    "a kind of JSON": ("application/vnd.api+json", 201),
}


@pytest.mark.parametrize(("content_type", "status"), CONTENT_TYPES.values(), ids=CONTENT_TYPES)
def test_the_content_type_must_be_json(
    client: FlaskClient, content_type: str | None, status: int
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    check(
        client.post(
            "/users", data=b'{"username": "ada", "email": "ada@example.com"}', headers=headers
        ),
        status,
    )


NOT_STRINGS = (1, 1.5, True, [], {}, ["ada"], {"a": 1})
NOT_STORABLE = ("", " ", "\t\n", "\u2003", "\x1c", "a\x00b", "\ud800", "\udfffx")
NOT_INTEGERS = (True, False, "1", "", 1.0, 1.5, 1e300, [], {}, [1])
NO_SUCH_ID = (0, -1, 99, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, HUGE, -HUGE)
BAD_EMAILS = (
    "ada",
    "@",
    "a@",
    "@b.co",
    "a@b",
    "a b@c.de",
    "a@b..de",
    "a@@b.de",
    "a@b.de, c@d.de",
    "a@b.de\nBcc: x@y.de",
    "<a@b.de>",
    f"{'a' * 251}@b.de",
)

REFUSED_FIELDS = [
    *(
        ("POST", "/users", "username", value)
        for value in (*NOT_STRINGS, *NOT_STORABLE, None, "a" * 101)
    ),
    *(
        ("POST", "/users", "email", value)
        for value in (*NOT_STRINGS, *NOT_STORABLE, None, *BAD_EMAILS)
    ),
    *(
        ("PUT", "/users/1", "username", value)
        for value in (*NOT_STRINGS, *NOT_STORABLE, None, "a" * 101)
    ),
    *(
        ("PUT", "/users/1", "email", value)
        for value in (*NOT_STRINGS, *NOT_STORABLE, None, *BAD_EMAILS)
    ),
    *(("POST", "/urls", "user_id", value) for value in NOT_INTEGERS),
    *(
        ("POST", "/urls", "title", value)
        for value in (*NOT_STRINGS, "a\x00b", "\ud800", "\udfffx", "t" * 256)
    ),
    *(("POST", "/urls", "is_active", value) for value in ("true", "false", "", 0, 1, 1.0, [], {})),
    *(("PUT", "/urls/1", "title", value) for value in (*NOT_STRINGS, *NOT_STORABLE, "t" * 256)),
    *(
        ("PUT", "/urls/1", "is_active", value)
        for value in ("true", "false", "", 0, 1, 1.0, None, [], {})
    ),
    *(
        ("PUT", "/urls/1", "original_url", value)
        for value in (*NOT_STRINGS, *NOT_STORABLE, None, "hello")
    ),
    *(
        ("POST", "/events", "event_type", value)
        for value in (*NOT_STRINGS, *NOT_STORABLE, None, "e" * 51)
    ),
    *(("POST", "/events", "url_id", value) for value in NOT_INTEGERS),
    *(("POST", "/events", "user_id", value) for value in NOT_INTEGERS),
    *(
        ("POST", "/events", "details", value)
        for value in (
            "{}",
            "",
            1,
            True,
            [],
            [{}],
            {"a": "\x00"},
            {"\x00": 1},
            {"a": ["\ud800"]},
            {"\udc00": 1},
        )
    ),
    *(
        ("POST", "/events", "details", value)
        for value in (
            {"a": "b" * 16_384},
            {"a": "é" * 8_200},
            {"a": [{}] * 6000},
            {"a" * 17_000: 1},
        )
    ),
]
GOOD = {
    "/users": {"username": "ada", "email": "ada@example.com"},
    "/urls": {"original_url": "https://example.com/"},
    "/events": {"event_type": "shared"},
}


@pytest.mark.parametrize(("method", "path", "field", "value"), REFUSED_FIELDS, ids=ascii)
def test_a_bad_field_is_refused_by_its_name(
    client: FlaskClient, method: str, path: str, field: str, value: Any
) -> None:
    body = {**GOOD.get(path, {}), field: value}
    response = check(
        client.open(path, method=method, data=json.dumps(body), content_type="application/json"),
        400,
    )
    assert list(response.get_json()["errors"]) == [field]


def nested(depth: int) -> dict[str, Any]:
    return {"a": nested(depth - 1)} if depth else {}


ACCEPTED_BODIES = [
    ("/users", {"username": "a" * 100, "email": "ada@example.com"}),
    ("/users", {"username": "  ada\n", "email": "\tada@example.com "}),
    ("/users", {"username": "'; DROP TABLE users; --", "email": "o'hara+x@example.com"}),
    ("/users", {"username": "<script>alert(1)</script>", "email": "ünï@exämple.com"}),
    ("/users", {"username": "😀" * 100, "email": f"{'a' * 243}@example.com"}),
    (
        "/users",
        {
            "username": "ada",
            "email": "ada@example.com",
            "id": HUGE,
            "\ud800": "\x00",
            "created_at": [],
        },
    ),
    ("/urls", {"original_url": "https://example.com/", "title": None, "user_id": None}),
    (
        "/urls",
        {
            "original_url": "https://example.com/",
            "title": "t" * 255,
            "short_code": "user-s",
            "click_count": -1,
        },
    ),
    ("/events", {"event_type": "e" * 50, "details": None, "url_id": None, "user_id": None}),
    ("/events", {"event_type": "%", "details": {}}),
    ("/events", {"event_type": "\\", "details": nested(20)}),
    (
        "/events",
        {"event_type": "x", "details": {"": "", "\t": [1e308, -0.0, 10**4000, "\x7f", None, [[]]]}},
    ),
]


@pytest.mark.parametrize(("path", "body"), ACCEPTED_BODIES, ids=lambda value: ascii(value)[:60])
def test_an_odd_but_legal_body_is_accepted_and_can_be_read_again(
    client: FlaskClient, path: str, body: dict[str, Any]
) -> None:
    made = check(client.post(path, data=json.dumps(body), content_type="application/json"), 201)
    assert check(client.get(made.headers["Location"]), 200).get_json() == made.get_json()
    check(client.get(path), 200)


def test_details_that_are_nested_too_deeply_are_refused(client: FlaskClient) -> None:
    for depth in (60, 500, 5000):
        body = b'{"event_type": "x", "details": ' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
        check(client.post("/events", data=body, content_type="application/json"), 400)


@pytest.mark.parametrize("value", NO_SUCH_ID)
@pytest.mark.parametrize(
    ("path", "field"), [("/urls", "user_id"), ("/events", "user_id"), ("/events", "url_id")]
)
def test_a_reference_that_leads_nowhere_is_not_found(
    client: FlaskClient, path: str, field: str, value: int
) -> None:
    response = check(client.post(path, json={**GOOD[path], field: value}), 404)
    assert f"{value} not found" in response.get_json()["message"]
