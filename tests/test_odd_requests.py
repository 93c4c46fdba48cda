"""Odd paths, ids, queries, headers and methods, each with the status it must get: never 500, and
always the contract's error.
"""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.answers import check, send
from tests.conftest import Api

ARABIC = "%D9%A1%D9%A2"

ODD_IDS = (
    "0",
    "-1",
    "+1",
    "1.0",
    "1e3",
    "%201",
    "1%20",
    "1%00",
    "0x1",
    "1_0",
    "abc",
    "None",
    "null",
    "%00",
    "%ff",
    "%F0%9F%98%80",
    ARABIC,
    "1;2",
    "1,2",
)
IMPOSSIBLE_IDS = (
    "99",
    str(2**31),
    str(2**63 - 1),
    str(2**63),
    "9" * 30,
    "9" * 41,
    "9" * 5000,
    "0" * 40,
)
BY_ID = (
    ("GET", "/users/{}"),
    ("PUT", "/users/{}"),
    ("DELETE", "/users/{}"),
    ("GET", "/users/{}/urls"),
    ("GET", "/urls/{}"),
    ("PUT", "/urls/{}"),
    ("DELETE", "/urls/{}"),
    ("GET", "/urls/{}/stats"),
    ("GET", "/urls/{}/events"),
    ("GET", "/urls/{}/versions"),
    ("POST", "/urls/{}/restore?version=1"),
    ("GET", "/events/{}"),
    ("DELETE", "/events/{}"),
)


@pytest.mark.parametrize("identity", [*ODD_IDS, *IMPOSSIBLE_IDS], ids=lambda value: value[:20])
def test_an_id_that_no_row_has_is_not_found(client: FlaskClient, identity: str) -> None:
    for method, path in BY_ID:
        check(
            send(client, method, path.format(identity), json={} if method == "PUT" else None), 404
        )


ODD_PATHS = (
    "//",
    "//users",
    "///users",
    "//users/1",
    "/users/",
    "/users//",
    "/users//5",
    "/users/1/",
    "/users/1/urls/",
    "/users/1%2Furls",
    "/users%2F1",
    "/%2Fusers",
    "/./users",
    "/../users",
    "/users/../urls",
    "/Users",
    "/USERS/1",
    "/users%20",
    "/users%00",
    "/health/",
    "/health/ready/",
    "/openapi.json/",
    "/static/x.css",
    "/docs/",
    "/favicon.png",
    "/.env",
    "/%00",
    "/%ff",
    "/%0a",
    "/%0d%0aSet-Cookie:%20a=b",
    "/%F0%9F%98%80",
    "/%ED%A0%80",
    "/%C3%28",
    "/%25",
    "/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/abc%00de",
    "/abcdef%20",
    "/abcde%0a",
    "/{{7*7}}",
    "/%3Cscript%3E",
    "/'%20OR%201=1--",
    "/" + "a" * 33,
    "/" + "a" * 5000,
    "/" + "%C3%A9" * 1000,
    "/abcdef/",
    "/abcdef/x",
    "//abcdef",
    "/urls/abcdef",
    "/urls/%00/redirect",
    "/urls/%ff/redirect",
    "/urls//redirect",
    "/urls/" + "a" * 5000 + "/redirect",
    "",
    "*",
)


@pytest.mark.parametrize("path", ODD_PATHS, ids=lambda value: ascii(value)[:40])
def test_an_odd_path_is_not_found_and_never_tidied(client: FlaskClient, path: str) -> None:
    for method in ("GET", "HEAD"):
        check(send(client, method, path), 404)


LISTS = ("/users", "/urls", "/events", "/products", "/users/{user}/urls", "/urls/{url}/events")
PAGE_QUERIES = [
    ("page=0", 200),
    ("page=-1", 200),
    ("page=-99999999999999999999999", 200),
    ("page=2", 200),
    ("page=007", 200),
    ("page=99999999999999999999", 200),
    ("page=9223372036854775807", 200),
    ("page=9223372036854775807&per_page=1", 200),
    ("page=461168601842738792&per_page=20", 200),
    ("page=" + "9" * 5000, 200),
    ("page=1&page=x", 200),
    ("page=x&page=1", 400),
    ("page=", 400),
    ("page", 400),
    ("page=%00", 400),
    ("page=1%00", 400),
    ("page=1.0", 400),
    ("page=1e3", 400),
    ("page=%2B1", 400),
    ("page=+1", 400),
    ("page=1%20", 400),
    ("page=1%0a", 400),
    ("page=--1", 400),
    ("page=-", 400),
    ("page=0x1", 400),
    ("page=" + ARABIC, 400),
    ("page=%ff", 400),
    ("page=true", 400),
    ("page=null", 400),
    ("page[]=1", 200),
    ("per_page=0", 200),
    ("per_page=-5", 200),
    ("per_page=101", 200),
    ("per_page=" + "9" * 30, 200),
    ("per_page=many", 400),
    ("after=0", 200),
    ("after=-1", 200),
    ("after=9223372036854775807", 200),
    ("after=9223372036854775808", 200),
    ("after=-99999999999999999999", 200),
    ("after=", 400),
    ("after=x", 400),
    ("after=1.5", 400),
    ("count=true", 200),
    ("count=0", 200),
    ("count=", 400),
    ("count=perhaps", 400),
    ("unknown=%00&&&=&=x&%=%&%ff=%ff", 200),
    ("&".join(["x=1"] * 500), 200),
    (";", 200),
]


@pytest.mark.parametrize(("query", "status"), PAGE_QUERIES, ids=lambda value: ascii(value)[:40])
def test_odd_paging_is_clamped_or_refused(
    client: FlaskClient, api: Api, query: str, status: int
) -> None:
    names = {"user": api.user()["id"], "url": api.url()["id"]}
    for path in LISTS:
        response = check(send(client, "GET", f"{path.format(**names)}?{query}"), status)
        assert isinstance(response.get_json(), list if status == 200 else dict)


FILTERS = [
    *(
        (f"{path}={value}", 200)
        for path in ("/urls?user_id", "/events?url_id", "/events?user_id")
        for value in ("0", "-1", str(2**63), "9" * 30, "007")
    ),
    *(
        (f"{path}={value}", 400)
        for path in ("/urls?user_id", "/events?url_id", "/events?user_id")
        for value in ("", "x", "1.0", "1e3", "%00", "%ff", ARABIC, "true", "1,2")
    ),
    *(
        (f"/urls?is_active={value}", 400)
        for value in ("", "2", "-1", "maybe", "null", "%00", "tru", "%20true")
    ),
    *(
        (f"/events?event_type={value}", 200)
        for value in ("", "%00", "a%00b", "%ff", "%25", "_", "x" * 5000, "'--", "%ED%A0%80")
    ),
    *((f"/events?type={value}", 200) for value in ("", "%00", "%ff")),
    *(
        (f"/logs?{query}", 200)
        for query in (
            "lines=",
            "lines=x",
            "lines=0",
            "lines=-1",
            "lines=" + "9" * 5000,
            "lines=1e3",
            "lines=%00",
            "lines=" + ARABIC,
        )
    ),
    *(
        (f"/logs?{query}", 200)
        for query in (
            "limit=",
            "limit=x",
            "limit=0",
            "limit=" + "9" * 5000,
            "filter=%00",
            "filter=%ff",
            "level=%00",
            "level=nonsense",
        )
    ),
]


@pytest.mark.parametrize(("target", "status"), FILTERS, ids=lambda value: ascii(value)[:40])
def test_odd_filters_match_nothing_or_are_refused(
    client: FlaskClient, target: str, status: int
) -> None:
    response = check(send(client, "GET", target), status)
    if status == 200 and not target.startswith("/logs"):
        assert response.get_json() == []


ODD_HEADERS = [
    *(
        ("X-Request-ID", value)
        for value in (
            "",
            " ",
            "x" * 65,
            "x" * 8000,
            "a b",
            "a\tb",
            '"',
            "<b>",
            "\xff\xfe",
            "{}",
            "%0d%0aX: y",
        )
    ),
    *(
        ("Accept", value)
        for value in (
            "",
            "nonsense",
            "*/*;q=nonsense",
            "text/html;q=2",
            ",,,;;;",
            "\xff",
            "a/b;" * 500,
            "text/*;q=0, application/json;q=0",
        )
    ),
    *(
        ("Host", value)
        for value in ("", "evil example", "<script>", "a:b:c", "a:99999", "\xff", "[::1", "a/b")
    ),
    *(("User-Agent", value) for value in ("", "\xff\xfe\x80", "x" * 8000, "'\"\\", "\u00e9")),
    *(("Referer", value) for value in ("", "\xff", "x" * 8000, "javascript:alert(1)")),
    *(("X-Forwarded-For", value) for value in ("", "not an address", "1.2.3.4, " * 500)),
    *(("X-Forwarded-Host", value) for value in ("", "\xff", "a b")),
    *(("X-Forwarded-Proto", value) for value in ("", "gopher", "\xff")),
    *(("If-None-Match", value) for value in ("*", '"', "\xff")),
    *(("If-Modified-Since", value) for value in ("never", "Thu, 01 Jan 1970 00:00:00 GMT")),
    *(("Range", value) for value in ("bytes=0-1", "bytes=-", "nonsense")),
    *(("Cookie", value) for value in ("a", "=;=;", "\xff=\xff")),
    *(("Authorization", value) for value in ("Basic", "Basic \xff", "Bearer", "Digest =,=")),
    *(("Content-Length", value) for value in ("", "x", "-1", "1.5")),
    *(("X-Chaos-Token", value) for value in ("", "\xff", "x" * 5000)),
    ("Expect", "nonsense"),
    ("Content-Encoding", "nonsense"),
    ("Accept-Encoding", "\xff"),
    ("X-HTTP-Method-Override", "DELETE"),
]


@pytest.mark.parametrize(("name", "value"), ODD_HEADERS, ids=lambda value: ascii(value)[:30])
def test_odd_headers_change_nothing(client: FlaskClient, api: Api, name: str, value: str) -> None:
    code = api.url()["short_code"]
    environ = {_environ_name(name): value}
    check(send(client, "GET", "/urls", environ=environ), 200)
    check(send(client, "GET", f"/{code}", environ=environ), 302)
    check(send(client, "GET", "/users/99", environ=environ), 404)
    check(send(client, "GET", "/chaos", environ=environ), 401)
    body = client.get("/events?event_type=clicked").get_json()
    assert len(body) == 1


@pytest.mark.parametrize("host", ["a" * 5000, ".."])
def test_a_host_that_no_server_can_have_is_refused(client: FlaskClient, host: str) -> None:
    check(send(client, "GET", "/urls", environ={"HTTP_HOST": host}), 400)


def _environ_name(header: str) -> str:
    name = header.upper().replace("-", "_")
    return name if name in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{name}"


@pytest.mark.parametrize("method", ["PATCH", "TRACE", "CONNECT", "FOO", "PROPFIND", "X" * 200])
def test_an_unknown_method_is_not_allowed(client: FlaskClient, method: str) -> None:
    for path in (
        "/",
        "/users",
        "/users/1",
        "/urls",
        "/events",
        "/products",
        "/shorten",
        "/logs",
        "/health",
        "/metrics",
        "/openapi.json",
        "/abcdef",
    ):
        expected = 400 if (method, path) == ("PATCH", "/urls") else 405
        check(send(client, "GET", path, environ={"REQUEST_METHOD": method}), expected)
