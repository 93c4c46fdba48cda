"""Whose host stands in our addresses, and whose address in a click: only what is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from app.proxies import Proxies
from app.redirects.visits import addresses
from testkit.servers import Redis
from testkit.webserver import WebServer
from tests.answers import check
from tests.conftest import Api

NO_HOSTS = (
    "a@b", "a<b>", "a b", 'a"b', "a'b", "a/b", "a?b", "a#b", "a\\b", "a,b", "a;b", "a|b", "ä",
    "a%41", "", " ", ":80", "a:0",
    "a:65536", "a:x", "a:80:80", "[::1", "[::g]", "::1", "1.2.3.256", "a." * 130, "x\tb",
    "javascript:alert(1)",
)  # fmt: skip
REFUSED_HOSTS = (".", "a..b", "a" * 64)
HOSTS = (
    "my_host:8000",
    "sho.rt",
    "SHO.rt",
    "localhost:8000",
    "127.0.0.1:8000",
    "[::1]:8000",
    "xn--mller-kva.example",
    "sho.rt.",
    "a:65535",
)


@pytest.fixture
def behind(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The application behind one proxy, which keeps whole addresses."""
    monkeypatch.setattr(app, "wsgi_app", Proxies(app.wsgi_app, 1))
    addresses.bind("full")
    yield Api(app.test_client())
    addresses.bind("short")


def short_url(api: Api, address: str = "https://example.com/", **headers: str) -> str:
    own = {name.replace("_", "-"): value for name, value in headers.items()}
    made = check(api.client.post("/urls", json={"original_url": address}, headers=own), 201)
    return str(made.get_json()["short_url"]).rpartition("/")[0]


@pytest.mark.parametrize("host", NO_HOSTS, ids=ascii)
def test_what_is_no_host_never_becomes_part_of_an_address(behind: Api, host: str) -> None:
    assert short_url(behind, Host=host) == "http://localhost:80"
    assert (
        short_url(behind, Host="sho.rt", X_Forwarded_Host=host.replace(",", ";")) == "http://sho.rt"
    )
    index = check(behind.client.get("/", headers={"Host": host}), 200)
    assert index.get_json()["documentation"] == "http://localhost:80/openapi.json"


@pytest.mark.parametrize("host", REFUSED_HOSTS)
def test_what_no_name_server_could_be_asked_for_is_refused(behind: Api, host: str) -> None:
    for _ in range(2):  # what was accepted is remembered, what was refused is not
        check(behind.client.get("/", headers={"Host": "sho.rt"}), 200)
        check(behind.client.get("/", headers={"Host": host}), 400)
    assert short_url(behind, Host="sho.rt", X_Forwarded_Host=host) == "http://sho.rt"


@pytest.mark.parametrize("host", HOSTS)
def test_what_is_a_host_does(behind: Api, host: str) -> None:
    assert short_url(behind, Host=host) == f"http://{host}"
    assert (
        short_url(behind, Host="other", X_Forwarded_Host=f"evil.example, {host}")
        == f"http://{host}"
    )


@pytest.mark.parametrize(
    "scheme", ["ftp", "javascript", "https://", "", " ", "http:", "htt\u00e4", '"><x']
)
def test_a_scheme_is_http_or_https(behind: Api, scheme: str) -> None:
    assert short_url(behind, Host="sho.rt", X_Forwarded_Proto=scheme) == "http://sho.rt"
    assert short_url(behind, Host="sho.rt", X_Forwarded_Proto="HTTPS") == "https://sho.rt"


def test_nobody_is_believed_without_a_proxy(api: Api) -> None:
    forged = {
        "X_Forwarded_Host": "evil.example",
        "X_Forwarded_Proto": "https",
        "X_Forwarded_For": "203.0.113.7",
    }
    assert short_url(api, Host="sho.rt", **forged) == "http://sho.rt"


SENDER = "127.0.0.1"
FORWARDED = {
    "203.0.113.7": "203.0.113.7",
    "203.0.113.7:5555": "203.0.113.7",
    "[2001:db8::1]:443": "2001:db8::1",
    "[2001:db8::1]": "2001:db8::1",
    "2001:db8::1": "2001:db8::1",
    '"[2001:db8::1]:443"': "2001:db8::1",
    "fe80::1%eth0": "fe80::1",
    "unknown, 203.0.113.7": "203.0.113.7",
    "evil, 203.0.113.7:1 ": "203.0.113.7",
    "203.0.113.7, unknown": SENDER,
    "unknown": SENDER,
    "_hidden": SENDER,
    "203.0.113.256": SENDER,
    "203.0.113.7:x": SENDER,
    "203.0.113.7:": SENDER,
    "203.0.113.7:555555": SENDER,
    "[2001:db8::g]:443": SENDER,
    "2001:db8::1]:443": SENDER,
    "010.0.0.1": SENDER,
    "<script>": SENDER,
    "fe80::1%<script>": "fe80::1",
    "%": SENDER,
    ",": SENDER,
    "1" * 5000: SENDER,
}


@pytest.mark.parametrize(("header", "address"), FORWARDED.items(), ids=lambda text: text[:30])
def test_a_click_has_the_address_without_its_port_or_the_senders(
    behind: Api, header: str, address: str
) -> None:
    url = behind.url()
    check(behind.client.get(f"/{url['short_code']}", headers={"X-Forwarded-For": header}), 302)
    assert behind.get("/events?type=clicked")[0]["details"]["ip"] == address


@pytest.mark.services
def test_the_front_and_flask_agree_about_it(tmp_path: Path, redis_server: Redis) -> None:
    with WebServer(
        tmp_path,
        REDIS_URL=redis_server.url,
        TRUSTED_PROXIES="1",
        WEB_WORKERS="1",
        VISITOR_ADDRESS="full",
    ) as server:
        made = server.get("/urls", "POST", body={"original_url": "https://example.com/"}).json()
        for path in (
            f"/{made['short_code']}",
            f"/urls/{made['short_code']}/redirect",
        ):  # the front's, Flask's
            for header in FORWARDED:
                reply = server.get(path, headers={"X-Forwarded-For": header})
                assert reply.status == 302
                assert reply.headers["X-Content-Type-Options"] == "nosniff"
        events = server.get("/events?type=clicked&per_page=100").json()
    expected = [*FORWARDED.values()] * 2
    assert [event["details"]["ip"] for event in reversed(events)] == expected


@pytest.fixture
def based(api: Api) -> Any:
    """Sets BASE_URL."""
    config = api.client.application.config
    before = config["BASE_URL"]

    def set_base(address: str) -> Api:
        config["BASE_URL"] = address
        return api

    yield set_base
    config["BASE_URL"] = before


def test_a_base_url_with_a_path_stands_before_every_address(based: Callable[[str], Api]) -> None:
    api = based("https://x.example/s")
    made = check(api.client.post("/urls", json={"original_url": "https://example.com/"}), 201)
    base = "https://x.example/s"
    assert made.headers["Location"] == f"{base}/urls/{made.get_json()['id']}"
    assert made.get_json()["short_url"] == f"{base}/{made.get_json()['short_code']}"
    user = check(
        api.client.post("/users", json={"username": "ada", "email": "ada@example.com"}), 201
    )
    assert user.headers["Location"] == f"{base}/users/{user.get_json()['id']}"
    event = check(api.client.post("/events", json={"event_type": "shared"}), 201)
    assert event.headers["Location"] == f"{base}/events/{event.get_json()['id']}"
    pages = check(api.client.get("/events?per_page=1&page=2"), 200).headers["Link"]
    assert f'<{base}/events?per_page=1&page=1>; rel="prev"' in pages


def test_a_base_url_without_a_path_leaves_them_relative(based: Callable[[str], Api]) -> None:
    api = based("https://x.example")
    made = check(api.client.post("/urls", json={"original_url": "https://example.com/"}), 201)
    assert made.headers["Location"] == f"/urls/{made.get_json()['id']}"


OWN = {
    "https://sho.rt": (
        ("https://sho.rt", "https://sho.rt/", "http://sho.rt/abc123", "https://SHO.RT/abc",
         "https://sho.rt:443/abc", "http://sho.rt:80/a",
         "https://sho.rt./abc", "https://user:pw@sho.rt/abc", "https://sho\u3002rt/abc",
         "https://\uff33ho.rt/abc", "https://s\xadho.rt/abc",
         "https://sho.rt?x", "https://sho.rt#x", "https://sho.rt/urls/5", "https://sho.rt//abc",
         "https://sho.rt/ä"),
        ("https://sho.rt.example/abc", "https://www.sho.rt/abc", "https://sho.rt:8443/abc",
         "https://example.com/?u=https://sho.rt/abc"),
    ),
    "http://bücher.example:8000": (
        ("http://bücher.example:8000/a", "http://BÜCHER.example:8000/a",
         "https://xn--bcher-kva.example:8000/a", "http://xn--bcher-kva.example.:08000/"),
        ("http://bücher.example/a", "http://bucher.example:8000/a"),
    ),
    "http://127.0.0.1": (
        ("http://127.1/a", "http://0x7f000001/a", "http://2130706433/a", "http://0177.0.0.1/a",
         "http://\uff11\uff12\uff17.1/a"),
        ("http://127.0.0.2/a", "http://[::1]/a"),
    ),
    "http://[::1]:8000": (("http://[0:0::1]:8000/a", "http://[0000::0001]:8000"),
                          ("http://[::2]:8000/a", "http://[::1]/a")),
    "https://x.example/s": (
        ("https://x.example/s", "https://x.example/s/", "https://x.example/s/abc",
         "https://x.example/%73/abc", "https://x.example/./s/a",
         "https://x.example/a/../s/a", "https://x.example/a/%2e%2e/s/a", "https://x.example//s/a",
         "https://x.example\\s/a"[:17] + "/s\\a"),
        ("https://x.example/", "https://x.example/sabc", "https://x.example/S/abc",
         "https://x.example/s/../other", "https://x.example/?/s/a"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("base", "address"),
    [(base, address) for base, (own, _) in OWN.items() for address in own],
    ids=ascii,
)
def test_a_link_to_the_service_itself_is_refused(
    based: Callable[[str], Api], base: str, address: str
) -> None:
    api = based(base)
    url = api.url("https://example.com/")
    for method, path, field in (
        ("POST", "/urls", "original_url"),
        ("POST", "/urls", "url"),
        ("POST", "/shorten", "url"),
        ("PUT", f"/urls/{url['id']}", "url"),
    ):
        response = check(api.client.open(path, method=method, json={field: address}), 400)
        assert response.get_json()["errors"] == {field: "must not lead to this service itself"}


@pytest.mark.parametrize(
    ("base", "address"),
    [(base, address) for base, (_, others) in OWN.items() for address in others],
    ids=ascii,
)
def test_a_link_to_another_is_not(based: Callable[[str], Api], base: str, address: str) -> None:
    assert based(base).url(address)["original_url"] == address


def test_without_a_base_url_it_is_the_host_that_was_asked(api: Api) -> None:
    own = {"Host": "my_host:8000"}
    for address in ("http://my_host:8000/abc", "https://MY_HOST:8000"):
        check(api.client.post("/urls", json={"url": address}, headers=own), 400)
    check(api.client.post("/urls", json={"url": "http://my_host/abc"}, headers=own), 201)
    check(
        api.client.post("/urls", json={"url": "http://localhost/abc"}, headers={"Host": "a<b>"}),
        400,
    )
