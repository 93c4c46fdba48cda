"""Idempotency-Key on every POST: the same request again gets the first one's answer again."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.test import TestResponse, stream_encode_multipart

from app.database import now, released
from app.models import IdempotencyKey
from app.services import idempotency
from testkit.webserver import WebServer
from tests.answers import check
from tests.conftest import Api
from tests.test_openapi_examples import arguments, target

LINK = {"original_url": "https://example.com/"}
OWN = ("idempotent-replayed", "x-request-id", "date")


def post(client: FlaskClient, key: str, path: str = "/urls", **sent: Any) -> TestResponse:
    sent = sent or {"json": LINK}
    return client.post(path, headers={"Idempotency-Key": key}, **sent)


def is_again(response: TestResponse) -> bool:
    return response.headers.get("Idempotent-Replayed") == "true"


def comparable(response: TestResponse) -> tuple[Any, ...]:
    """All but what is new in each answer."""
    body = response.get_json()
    body.pop("request_id", None)
    headers = sorted(pair for pair in response.headers if pair[0].lower() not in OWN)
    return response.status, headers, body


def old(name: str) -> None:
    """Makes a key older than it is."""
    before = now() - timedelta(seconds=1)
    with released():
        IdempotencyKey.update(forget_at=before).where(IdempotencyKey.name == name).execute()


def names() -> set[str]:
    with released():
        return {each.name for each in IdempotencyKey.select()}


def test_every_post_is_answered_again(client: FlaskClient, api: Api) -> None:
    document = api.get("/openapi.json")
    operations = {path: it["post"] for path, it in document["paths"].items() if "post" in it}
    operations = {path: it for path, it in operations.items() if not path.startswith("/keys")}
    assert len(operations) >= 5
    ids = {"user_id": api.user("eve")["id"], "url_id": api.url()["id"]}
    for path, operation in operations.items():
        assert "Idempotency-Key" in [each["name"] for each in operation["parameters"]]
        where = target(operation, path, ids)
        first = check(post(client, path, where, **arguments(document, operation, ids)), 200, 201)
        second = post(client, path, where, **arguments(document, operation, ids))
        assert not is_again(first), path
        assert is_again(second), path
        assert comparable(second) == comparable(first), path


def test_a_link_is_made_once_and_its_location_and_tag_come_again(
    client: FlaskClient, api: Api
) -> None:
    first, second = post(client, "k"), post(client, "k")
    assert len(api.get("/urls")) == 1
    for name in ("Location", "ETag", "Content-Type"):
        assert second.headers[name] == first.headers[name]
    assert second.data == first.data


def test_a_quoted_key_is_the_same_as_a_bare_one(client: FlaskClient) -> None:
    for one, other in (("a-b", '"a-b"'), ('a\\"', '"a\\\\\\""'), ("a b", '"a b"')):
        assert not is_again(post(client, one))
        assert is_again(post(client, other))


@pytest.mark.parametrize(
    "key", ["", " ", '""', '"', '"a', '"a"b', '"a\\b"', "k" * 256, "ä", '"a";b=1']
)
def test_a_malformed_or_too_long_key_is_refused(client: FlaskClient, api: Api, key: str) -> None:
    assert "Idempotency-Key" in check(post(client, key), 400).get_json()["message"]
    assert api.get("/urls") == []


def test_a_key_may_have_255_characters(client: FlaskClient) -> None:
    for key in ("k" * 255, f'"{"q" * 255}"', '"' + '\\"' * 255 + '"'):
        check(post(client, key), 201)
        assert is_again(post(client, key))


@pytest.mark.parametrize(
    "changed",
    [
        {"json": {**LINK, "title": "x"}},
        {"json": LINK, "query_string": "a=b"},
        {"data": b'{"original_url":  "https://example.com/"}', "content_type": "application/json"},
        {"json": LINK, "content_type": "application/json; charset=utf-8"},
        {"json": LINK, "path": "/shorten"},
    ],
)
def test_another_request_with_the_key_is_refused(
    client: FlaskClient, api: Api, changed: dict[str, Any]
) -> None:
    first = post(client, "k")
    refused = check(post(client, "k", **changed), 422).get_json()
    assert "k was used for another request" in refused["message"]
    assert len(api.get("/urls")) == 1
    assert comparable(post(client, "k")) == comparable(first)


@pytest.mark.parametrize(
    ("path", "sent", "status"),
    [
        ("/urls", {"json": {"original_url": "hello"}}, 400),
        ("/urls", {"data": b"{", "content_type": "application/json"}, 400),
        ("/urls", {"json": {**LINK, "user_id": 99}}, 404),
        ("/users", {"json": {"username": "ada", "email": "b@example.com"}}, 409),
        ("/events", {"json": {"event_type": "shared", "url_id": 99}}, 404),
        ("/users/bulk", {"data": {}, "content_type": "multipart/form-data; boundary=x"}, 400),
    ],
)
def test_an_error_is_answered_again_too(
    client: FlaskClient, api: Api, path: str, sent: dict[str, Any], status: int
) -> None:
    api.user("ada")
    first, second = (check(post(client, "k", path, **sent), status) for _ in range(2))
    assert comparable(second) == comparable(first)
    assert is_again(second)
    assert second.get_json()["request_id"] == second.headers["X-Request-ID"]


def test_an_error_stays_when_its_reason_is_gone(client: FlaskClient, api: Api) -> None:
    ada = api.user("ada")
    taken = {"json": {"username": "ada", "email": "b@example.com"}}
    check(post(client, "k", "/users", **taken), 409)
    client.delete(f"/users/{ada['id']}")
    assert is_again(check(post(client, "k", "/users", **taken), 409))
    check(post(client, "l", "/users", **taken), 201)


def users_file(*names: str) -> dict[str, Any]:
    rows = "\n".join(f"{name},{name}@example.com" for name in ("username", *names))
    rows = rows.replace("username@example.com", "email")
    body = (
        '--edge\r\nContent-Disposition: form-data; name="file"; filename="u.csv"\r\n\r\n'
        f"{rows}\r\n--edge--\r\n"
    )
    return {"data": body.encode(), "content_type": "multipart/form-data; boundary=edge"}


def test_a_file_is_imported_once(client: FlaskClient, api: Api) -> None:
    first = check(post(client, "k", "/users/bulk", **users_file("ada", "eve")), 201)
    second = check(post(client, "k", "/users/bulk", **users_file("ada", "eve")), 201)
    assert first.get_json()["created"] == 2
    assert comparable(second) == comparable(first)
    check(post(client, "k", "/users/bulk", **users_file("ada")), 422)
    assert len(api.get("/users")) == 2


def test_a_boundary_makes_no_other_request(client: FlaskClient) -> None:
    rows = "".join(f"somebody-{number:06},{number}@example.com\n" for number in range(9000))
    for boundary in ("a", "edge", "e" * 70):
        file = FileStorage(io.BytesIO(f"username,email\n{rows}".encode()), "u.csv", "file")
        form = MultiDict({"file": file})
        body, length, _ = stream_encode_multipart(form, boundary=boundary)
        assert length > 4 * 65_536  # the server reads it in pieces
        sent = {"data": body.read(), "content_type": f"multipart/form-data; boundary={boundary}"}
        answer = check(post(client, "k", "/users/bulk", **sent), 201)
        assert is_again(answer) == (boundary != "a")


def test_a_large_file_is_hashed_and_imported(client: FlaskClient) -> None:
    many = users_file(*(f"somebody-{number:06}" for number in range(20_000)))
    first, second = (check(post(client, "k", "/users/bulk", **many), 201) for _ in range(2))
    assert first.get_json()["created"] == 20_000
    assert comparable(second) == comparable(first)


def test_a_file_of_bad_rows_only_is_refused_again(client: FlaskClient, api: Api) -> None:
    bad = users_file("a b@")
    first, second = (post(client, "k", "/users/bulk", **bad) for _ in range(2))
    assert (first.status_code, first.get_json()["failed"]) == (400, 1)
    assert comparable(second) == comparable(first)
    assert api.get("/users") == []


def test_what_is_too_large_is_refused_and_not_kept(client: FlaskClient) -> None:
    chunked = {"input_stream": io.BytesIO(b" " * 70_000), "content_type": "application/json"}
    environ = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    check(post(client, "k", environ_overrides=environ, **chunked), 413)
    check(post(client, "k"), 201)


def test_a_strict_answer_says_so_again(client: FlaskClient) -> None:
    for _ in range(2):
        headers = {"Idempotency-Key": "k", "Prefer": "handling=strict"}
        answer = check(client.post("/urls", json=LINK, headers=headers), 201)
        assert answer.headers["Preference-Applied"] == "handling=strict"


def test_other_methods_ignore_a_key(client: FlaskClient, api: Api) -> None:
    path = f"/urls/{api.url()['id']}"
    headers = {"Idempotency-Key": '"'}
    for _ in range(2):
        answer = check(client.put(path, json={"title": "x"}, headers=headers), 200)
        assert not is_again(answer)
    assert not is_again(check(client.get(path, headers=headers), 200))


def test_requests_without_a_key_leave_none(client: FlaskClient) -> None:
    for _ in range(2):
        assert not is_again(check(client.post("/urls", json=LINK), 201))
    assert names() == set()


def test_a_key_counts_for_24_hours(client: FlaskClient, api: Api) -> None:
    post(client, "k")
    with released():
        left = IdempotencyKey.get().forget_at - now()
    assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)
    old("k")
    assert not is_again(check(post(client, "k", json={**LINK, "title": "x"}), 201))
    assert is_again(post(client, "k", json={**LINK, "title": "x"}))
    assert len(api.get("/urls")) == 2


def test_old_keys_are_removed(client: FlaskClient) -> None:
    for number in range(15):
        post(client, f"k{number}")
        old(f"k{number}") if number < 14 else None
    assert names() >= {"k14"}
    for number in range(3):
        post(client, f"k{number}")
        old(f"k{number}")
    with released():
        assert idempotency.forget_old() >= 1
    assert names() == {"k14"}


def test_a_request_removes_some_old_keys(client: FlaskClient) -> None:
    with released():
        row = {"fingerprint": "", "status": 201, "headers": "[]", "answer": "", "forget_at": now()}
        IdempotencyKey.insert_many([{"name": f"old{n}", **row} for n in range(25)]).execute()
    for left in (15, 5, 0):
        post(client, f"new{left}")
        assert len([name for name in names() if name.startswith("old")]) == left


def test_an_answer_comes_again_after_a_restart(tmp_path: Path) -> None:
    headers, answers = {"Idempotency-Key": '"k"'}, []
    for _ in range(2):
        with WebServer(tmp_path) as server:
            answers += [server.get("/urls", "POST", headers, LINK) for _ in range(2)]
    assert {answer.text for answer in answers} == {answers[0].text}
    assert [answer.headers.get("Idempotent-Replayed") for answer in answers] == [
        None,
        *["true"] * 3,
    ]
