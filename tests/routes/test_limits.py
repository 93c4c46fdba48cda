"""Limits over HTTP: writes, imports and wrong codes, by address, on both backends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.access import Caller
from app.config import Settings
from app.database import db
from app.errors import TooManyRequests
from app.models import Url
from app.redirects import connection
from app.redirects.connection import redis_connection
from app.redirects.links import link_key
from app.routes.limiting import key_of
from app.schemas import KeyCreate
from app.services import keys
from app.services.keysecrets import new_secret
from testkit.servers import Redis
from tests.conftest import Api
from tests.imports.uploads import post_file

LINK = {"original_url": "https://example.com/"}


@pytest.fixture
def limited(
    bound: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., FlaskClient]:
    """A client of the application with these limits, which waits for a Redis that is slow today."""
    monkeypatch.setattr(connection, "TIMEOUT_SECONDS", 0.99)
    return lambda **limits: bound(**{"limits": "on", **limits}).client


def from_(address: str) -> dict[str, Any]:
    return {"environ_base": {"REMOTE_ADDR": address}}


def write(client: FlaskClient, address: str = "127.0.0.1", **more: Any) -> TestResponse:
    return client.post("/urls", json=LINK, **from_(address), **more)


def test_a_write_too_many_is_429_and_changes_nothing(limited: Callable[..., FlaskClient]) -> None:
    client = limited(limit_writes=3)
    assert [write(client).status_code for _ in range(5)] == [201, 201, 201, 429, 429]
    assert Url.select().count() == 3


def test_an_answer_says_what_the_client_has_left(limited: Callable[..., FlaskClient]) -> None:
    client = limited(limit_writes=2)
    first, second, refused = (write(client) for _ in range(3))
    for answer, left in ((first, 1), (second, 0), (refused, 0)):
        assert answer.headers["RateLimit-Policy"] == '"writes";q=2;w=60'
        name, rest, seconds = answer.headers["RateLimit"].split(";")
        assert (name, rest) == ('"writes"', f"r={left}")
        assert 54 < int(seconds.removeprefix("t=")) <= 66  # a slice may begin meanwhile
    assert "Retry-After" not in second.headers
    assert refused.headers["Retry-After"] == refused.headers["RateLimit"].rpartition("=")[2]
    assert refused.json is not None
    assert (refused.json["error"], refused.json["status"]) == ("Too Many Requests", 429)
    assert refused.json["message"].startswith("Too many writes: 2 in 60 s are allowed; wait ")


def test_a_request_is_counted_and_refused_before_its_body_is_looked_at(
    limited: Callable[..., FlaskClient],
) -> None:
    client = limited(limit_writes=2)
    bad = [client.post("/urls", data=b"{", **from_("192.0.2.1")) for _ in range(3)]
    assert [answer.status_code for answer in bad] == [400, 400, 429]
    assert bad[0].headers["RateLimit"].startswith('"writes";r=1;')


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/urls/1"),
        ("DELETE", "/urls/1"),
        ("PATCH", "/urls"),
        ("POST", "/shorten"),
        ("POST", "/urls/bulk"),
        ("POST", "/users"),
        ("DELETE", "/users/1"),
        ("POST", "/events"),
    ],
)
def test_every_kind_of_write_counts(
    limited: Callable[..., FlaskClient], method: str, path: str
) -> None:
    client = limited(limit_writes=1)
    answers = [client.open(path, method=method, json={}, **from_("192.0.2.1")) for _ in range(2)]
    assert answers[0].status_code in (400, 404)
    assert answers[1].status_code == 429


def test_what_reaches_no_endpoint_uses_nothing_up(limited: Callable[..., FlaskClient]) -> None:
    client = limited(limit_writes=1)
    foreign = {"Sec-Fetch-Site": "cross-site"}
    for status, method, path, sent in (
        (404, "POST", "/no/such/path", {}),
        (405, "DELETE", "/urls", {}),
        (413, "POST", "/urls", {"data": b"x" * 2**20, "content_type": "application/json"}),
        (403, "POST", "/urls", {"headers": foreign}),
    ):
        answer = client.open(path, method=method, **sent)
        assert (answer.status_code, "RateLimit" in answer.headers) == (status, False)
    assert [write(client).status_code for _ in range(3)] == [201, 429, 429]


def test_reads_are_never_limited_and_say_nothing(limited: Callable[..., FlaskClient]) -> None:
    client = limited(limit_writes=1, limit_wrong_codes=1)
    code = write(client).get_json()["short_code"]
    for path in ("/urls", "/users", f"/{code}", f"/{code}+", "/health", "/openapi.json"):
        answers = [client.open(path, method=each) for each in ("GET", "HEAD", "OPTIONS") * 2]
        assert {answer.status_code for answer in answers} <= {200, 302}
        assert not any("RateLimit" in answer.headers for answer in answers)


def test_an_import_counts_by_the_hour_and_as_nothing_else(
    limited: Callable[..., FlaskClient],
) -> None:
    client = limited(limit_writes=1, limit_imports=2)
    paths = ("/users/bulk", "/urls/import", "/users/bulk")
    answers = [post_file(client, path, "username,email\nada,ada@example.com\n") for path in paths]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert answers[2].headers["RateLimit-Policy"] == '"imports";q=2;w=3600'
    assert 3240 < int(answers[2].headers["Retry-After"]) <= 3960
    assert write(client, "127.0.0.1").status_code == 201


def test_each_address_has_its_own_limit_and_an_ipv6_network_one(
    limited: Callable[..., FlaskClient],
) -> None:
    client = limited(limit_writes=1)
    addresses = (
        "192.0.2.1",
        "192.0.2.2",
        "::ffff:192.0.2.2",
        "2001:db8:0:1::1",
        "2001:db8:0:1:ffff::9",
        "2001:db8:0:2::1",
    )
    answers = [write(client, address).status_code for address in addresses]
    assert answers == [201, 201, 429, 201, 429, 201]


def test_nothing_is_counted_where_limits_are_off(
    bound: Callable[..., Api], settings: Settings
) -> None:
    client = bound(limit_writes=1, limit_wrong_codes=1).client
    answers = [write(client) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {201}
    assert not any("RateLimit" in answer.headers for answer in answers)
    assert {client.get(f"/wrong{n}").status_code for n in range(5)} == {404}
    if settings.redis_url:
        assert redis_connection.call("KEYS", "limit:*") == []


def test_limits_are_off_by_default_only_where_auth_is_off() -> None:
    given = [Settings(auth=auth).has_limits for auth in ("off", "on", "create")]
    assert given == [False, True, True]
    assert Settings(limits="on").has_limits
    assert not Settings(auth="on", limits="off").has_limits


def test_a_limit_of_zero_is_none(limited: Callable[..., FlaskClient]) -> None:
    client = limited(limit_writes=0, limit_imports=0, limit_wrong_codes=0)
    answers = [write(client) for _ in range(70)]
    assert {answer.status_code for answer in answers} == {201}
    assert "RateLimit" not in answers[0].headers
    assert {client.get(f"/wrong{n}").status_code for n in range(70)} == {404}


WRONG = ("/{}", "/{}+", "/{}.qr", "/urls/{}/redirect")


@pytest.mark.parametrize("form_of", WRONG)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_wrong_code_too_many_is_429_however_it_is_asked_for(
    limited: Callable[..., FlaskClient], form_of: str, method: str
) -> None:
    client = limited(limit_wrong_codes=3)
    answers = [
        client.open(form_of.format(f"wrong{n}"), method=method, **from_("192.0.2.1"))
        for n in range(6)
    ]
    assert [answer.status_code for answer in answers] == [404] * 3 + [429] * 3
    for answer in answers[3:]:
        assert answer.headers["RateLimit-Policy"] == '"wrong-codes";q=3;w=60'
        assert answer.headers["RateLimit"].startswith('"wrong-codes";r=0;t=')
        assert 54 < int(answer.headers["Retry-After"]) <= 66
    assert client.get("/wrong", **from_("192.0.2.2")).status_code == 404


def test_a_program_reads_why_and_a_browser_gets_a_page(
    limited: Callable[..., FlaskClient],
) -> None:
    client = limited(limit_wrong_codes=1)
    client.get("/wrong", **from_("192.0.2.1"))
    program = client.get("/wrong", **from_("192.0.2.1"))
    assert program.get_json()["reason"] == "limited"
    assert program.get_json()["message"].startswith("Too many wrong codes: 1 in 60 s are allowed")
    page = client.get("/wrong", headers={"Accept": "text/html"}, **from_("192.0.2.1"))
    assert (page.status_code, page.mimetype) == (429, "text/html")
    assert "Please wait" in page.text


def test_codes_that_cannot_exist_and_dead_links_are_no_wrong_codes(
    limited: Callable[..., FlaskClient],
) -> None:
    client = limited(limit_wrong_codes=1)
    dead, gone = write(client).get_json(), write(client).get_json()
    client.put(f"/urls/{dead['id']}", json={"is_active": False})
    client.delete(f"/urls/{gone['id']}")
    for path, status in (("/a.b", 404), (f"/{dead['short_code']}", 410), ("/" + "a" * 99, 404)):
        assert {client.get(path).status_code for _ in range(3)} == {status}
    for form in WRONG:
        path = form.format(gone["short_code"])
        assert {client.get(path).status_code for _ in range(3)} == {404}, path
    assert [client.get("/wrong").status_code for _ in range(2)] == [404, 429]


def test_a_refused_address_still_follows_what_the_cache_has(
    limited: Callable[..., FlaskClient], settings: Settings
) -> None:
    """Without Redis the database tells; a valid code is never refused there."""
    client = limited(limit_wrong_codes=1)
    cached, cold = (write(client).get_json()["short_code"] for _ in range(2))
    if settings.redis_url:
        redis_connection.call("DEL", link_key(cold))
    assert [client.get("/wrong").status_code for _ in range(2)] == [404, 429]
    kinds = ("/{}", "/{}+", "/{}.qr", "/urls/{}/redirect")
    assert {client.get(kind.format(cached)).status_code for kind in kinds} == {200, 302}
    expected = 429 if settings.redis_url else 302
    assert client.get(f"/{cold}").status_code == expected
    assert client.head(f"/{cold}").status_code == expected
    assert client.get(f"/{cold}", **from_("192.0.2.9")).status_code == 302
    assert client.get(f"/{cold}").status_code == 302  # the other visitor's request has cached it


@pytest.fixture
def keyed(
    limited: Callable[..., FlaskClient], session_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., FlaskClient]:
    """The same with AUTH=on."""
    monkeypatch.setitem(session_app.config, "AUTH", "on")
    return limited


def shown(secret: str) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {secret}"}}


def new_key(name: str) -> str:
    return keys.create(KeyCreate(name=name, scope="write"))[1].text


def test_a_key_has_its_own_limit_wherever_it_is_used(keyed: Callable[..., FlaskClient]) -> None:
    client = keyed(limit_writes=1)
    one, other = new_key("one"), new_key("other")
    used = ((one, "192.0.2.1"), (one, "192.0.2.2"), (other, "192.0.2.1"))
    answers = [write(client, address, **shown(secret)).status_code for secret, address in used]
    assert answers == [201, 429, 201]


def test_wrong_keys_above_the_limit_are_429_and_a_right_one_goes_on(
    keyed: Callable[..., FlaskClient],
) -> None:
    client = keyed(limit_wrong_keys=2)
    right = new_key("right")
    wrong = [new_secret().text for _ in range(4)]
    assert client.get("/urls", **shown(right)).status_code == 200
    answers = [client.get("/urls", **shown(secret)) for secret in wrong]
    assert [answer.status_code for answer in answers] == [401, 401, 429, 429]
    assert answers[3].headers["RateLimit-Policy"] == '"wrong-keys";q=2;w=60'
    assert answers[3].headers["Retry-After"]
    assert client.get("/urls", **shown(right)).status_code == 200
    assert client.get("/urls").status_code == 401  # no key is no wrong key
    assert client.get("/urls", **shown(wrong[0]), **from_("192.0.2.2")).status_code == 401


def test_who_may_not_write_uses_nothing_up(keyed: Callable[..., FlaskClient]) -> None:
    client = keyed(limit_writes=1)
    assert {write(client).status_code for _ in range(3)} == {401}
    assert write(client, **shown(new_key("one"))).status_code == 201


def ask_key(app: Flask, secret: str, known: tuple[str, ...], address: str = "192.0.2.1") -> Any:
    """Whom the gate would find; counts the look-ups."""
    asked: list[str] = []

    def find(shown: str) -> Caller | None:
        asked.append(shown)
        return Caller(key_id=1) if shown in known else None

    with app.test_request_context(**from_(address)):
        try:
            return key_of(secret, find) is not None, len(asked)
        except TooManyRequests as refused:
            return refused.headers["RateLimit-Policy"], len(asked)


def test_above_the_limit_of_wrong_keys_nobody_looks_a_key_up(
    bound: Callable[..., Api], session_app: Flask
) -> None:
    bound(limits="on", limit_wrong_keys=2)
    policy = '"wrong-keys";q=2;w=60'
    answers = [ask_key(session_app, f"wrong{n}", ()) for n in range(4)]
    assert answers == [(False, 1), (False, 1), (policy, 0), (policy, 0)]
    assert ask_key(session_app, "wrong", (), "192.0.2.2") == (False, 1)


def test_a_key_that_was_right_lately_works_beside_wrong_ones_until_it_is_revoked(
    bound: Callable[..., Api], session_app: Flask
) -> None:
    bound(limits="on", limit_wrong_keys=1)
    assert ask_key(session_app, "mine", ("mine",)) == (True, 1)
    assert ask_key(session_app, "wrong", ("mine",)) == (False, 1)
    assert ask_key(session_app, "mine", ("mine",)) == (True, 1)
    assert ask_key(session_app, "new", ("mine", "new")) == ('"wrong-keys";q=1;w=60', 0)
    assert ask_key(session_app, "mine", ())[1] == 1
    assert ask_key(session_app, "mine", ()) == ('"wrong-keys";q=1;w=60', 0)


@pytest.mark.services
def test_without_an_answer_of_redis_nothing_is_refused_and_a_metric_counts_it(
    bound: Callable[..., Api], redis_server: Redis, session_app: Flask
) -> None:
    limits = {"limits": "on", "limit_writes": 1, "limit_wrong_codes": 1}
    client = bound(redis_url=redis_server.url, **limits).client
    assert [write(client).status_code for _ in range(2)] == [201, 429]
    before = unchecked(client)
    redis_server.kill()
    db.close()
    assert {write(client).status_code for _ in range(3)} == {201}
    assert {client.get(f"/wrong{n}").status_code for n in range(3)} == {404}
    assert unchecked(client) - before == 6


def unchecked(client: FlaskClient) -> float:
    lines = client.get("/metrics").text.splitlines()
    return float(next(each.split()[1] for each in lines if each.startswith("limits_unchecked_t")))


@pytest.mark.services
def test_a_full_redis_refuses_nobody(
    bound: Callable[..., Api], redis_server: Redis, session_app: Flask
) -> None:
    client = bound(redis_url=redis_server.url, limits="on", limit_writes=1).client
    assert write(client).status_code == 201
    redis_connection.call("CONFIG", "SET", "maxmemory", "1")
    before = unchecked(client)
    assert {write(client, "192.0.2.7").status_code for _ in range(3)} == {201}
    assert unchecked(client) - before == 3
