"""Odd web addresses: refused, or kept as given and sent as a header can carry them."""

from __future__ import annotations

import json

import pytest
from flask.testing import FlaskClient

from tests.answers import check
from tests.conftest import Api

REFUSED_ADDRESSES = (
    "hello",
    "example.com",
    "www.example.com/x",
    "//example.com",
    "/path",
    "?q",
    "#f",
    "ftp://example.com/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "JaVaScRiPt://example.com/%0aalert(1)",
    "data:text/html,x",
    "mailto:a@b.de",
    "blob:https://example.com/x",
    "http",
    "http:",
    "http:/",
    "http://",
    "http:///",
    "http:///path",
    "http:example.com",
    "http://?q",
    "http://#f",
    "http://:80/",
    "http://user@/",
    "http://user:pass@:80/",
    "httpx://example.com/",
    "://example.com",
    "http//example.com",
    "http://example.com:0/",
    "http://example.com:65536/",
    "http://example.com:99999999999/",
    "http://example.com:-80/",
    "http://example.com:80x/",
    "http://example.com:\uff18\uff10/",
    "http://example.com:80:80/",
    "http://[::1",
    "http://::1]/",
    "http://[]/",
    "http://[example]/",
    "http://[1.2.3.4]/",
    "http://[::1]x/",
    "http://[v1.x]/",
    "http://[::g]/",
    "http://a b/",
    "http://example.com/a b",
    "http://example.com/a\tb",
    "http://example.com/\r\nSet-Cookie: a=b",
    "http://example.com/\nx",
    "http://exam\r\nple.com/",
    "http://example.com/\x00",
    "http://example.com/\x1b[31m",
    "http://example.com/\x7f",
    "http://example.com/\x85x",
    "http://example.com/\u2028x",
    "http://example.com/\u3000x",
    "http://example.com/\ud800",
    "http://example.com\\@evil.example/",
    "http://\\example.com/",
    "http://exa<mple.com/",
    'http://exa"mple.com/',
    "http://exa|mple.com/",
    "http://exa^mple.com/",
    "http://exa`mple.com/",
    "http://{x}/",
    "http://%65xample.com/",
    "http://a..b/",
    "http://ü..b/",
    "http://.example.com/",
    "http://ex\uff0fample.com/",
    f"http://{'a' * 64}.com/",
    f"http://{'ü' * 70}.com/",
    f"http://{'a.' * 130}com/",
    "http://example.com/" + "a" * 2030,
)


@pytest.mark.parametrize("address", REFUSED_ADDRESSES, ids=lambda value: ascii(value)[:50])
def test_what_is_no_web_address_is_refused(client: FlaskClient, address: str) -> None:
    for path, field in (("/urls", "original_url"), ("/urls", "url"), ("/shorten", "url")):
        response = check(client.post(path, data=json.dumps({field: address}), content_type="application/json"), 400)
        assert list(response.get_json()["errors"]) == [field]


ACCEPTED_ADDRESSES = {
    "http://a": None,
    "https://example.com": None,
    "HTTP://EXAMPLE.COM/": None,
    "http://localhost:8000/": None,
    "http://127.0.0.1/": None,
    "http://[::1]:8080/x": None,
    "http://[::ffff:1.2.3.4]/": None,
    "http://example.com:/": None,
    "http://example.com:65535/": None,
    "http://example.com./": None,
    "http://user:p%40ss@example.com/": None,
    "http://my_host.example/": None,
    "http://example.com/%00%0d%0a%ff": None,
    "http://example.com/?a=b&c=%20#?/#": None,
    "http://example.com//a//../b;x=1,2": None,
    "http://example.com/\\a": None,
    "http://example.com/<\"'`{}|^>": None,
    "http://example.com/%": None,
    "http://example.com?http://other.example/": None,
    "http://example.com/" + "a" * 2029: None,
    "http://example.com/ä/ö?ü=é#ñ": "http://example.com/%C3%A4/%C3%B6?%C3%BC=%C3%A9#%C3%B1",
    "http://example.com/😀": "http://example.com/%F0%9F%98%80",
    "http://example.com/ä%20%C3%A4": "http://example.com/%C3%A4%20%C3%A4",
    "http://example.com/" + "ä" * 2029: "http://example.com/" + "%C3%A4" * 2029,
    "http://müller.example/": "http://xn--mller-kva.example/",
    "http://MÜLLER.example:80/Ü": "http://xn--mller-kva.example:80/%C3%9C",
    "http://straße.example/": "http://xn--strae-oqa.example/",
    "https://例え。テスト/": "https://xn--r8jz45g.xn--zckzah/",
    "http://😀.example/": "http://xn--e28h.example/",
    "http://❤️.example/": "http://xn--qei.example/",
    "http://ü:ü@example.com/": "http://%C3%BC:%C3%BC@example.com/",
    "http://[::1]/ü": "http://[::1]/%C3%BC",
    "http://http/ü": "http://http/%C3%BC",
}


@pytest.mark.parametrize(("address", "location"), ACCEPTED_ADDRESSES.items(), ids=lambda value: ascii(value)[:50])
def test_a_legal_address_is_kept_as_given_and_sent_in_ascii(client: FlaskClient, api: Api, address: str, location: str | None) -> None:
    url = api.url(address)
    assert url["original_url"] == address
    response = check(client.get(f"/{url['short_code']}"), 302)
    assert response.headers["Location"] == (location or address)
    assert response.headers["Location"].isascii()
    assert response.headers["Location"].isprintable()
    assert api.get("/events?type=clicked")[0]["details"]["original_url"] == address


@pytest.mark.parametrize("fill", ["a", "é", "😀"])
def test_an_address_of_2048_characters_is_the_longest(client: FlaskClient, fill: str) -> None:
    longest = "http://e.io/".ljust(2048, fill)
    check(client.post("/urls", json={"original_url": f" {longest} "}), 201)
    check(client.post("/urls", json={"original_url": longest + fill}), 400)
