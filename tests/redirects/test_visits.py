"""What is kept of visitors: their addresses by the setting, and what their headers ask for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.database import db
from app.redirects import cancelling
from app.redirects.clicks import Click, Outcome, load_visitor, visitor
from app.redirects.drain import store
from app.redirects.links import ACTIVE, Link
from app.redirects.visitors import kind_of
from app.redirects.visits import addresses, extras, shortened, site, stored
from testkit.servers import Redis
from testkit.webserver import WebServer
from tests.conftest import Api
from tests.redirects.test_rollups import check

SHORT = {
    "192.0.2.77": "192.0.2.0",
    "255.255.255.255": "255.255.255.0",
    "2001:db8:1234:5678:9abc::1": "2001:db8:1234::",
    "2001:DB8:0:1::1": "2001:db8::",
    "2001:0db8:0001:0000:0000:0000:0000:0001": "2001:db8:1::",
    "::1": "::",
    "::": "::",
    "::ffff:192.0.2.77": "192.0.2.0",
    "::FFFF:c000:024d": "192.0.2.0",
    "2002:c000:24d:1::1": "2002:c000:200::",
    "64:ff9b::192.0.2.77": "64:ff9b::",
    "fe80::1%eth0": "fe80::",
    "testclient": "testclient",
    "192.0.2": "192.0.2",
    "192.0.2.256": "192.0.2.256",
    "1.2.3.4\x00": "1.2.3.4\x00",
    "": "",
}


@pytest.fixture(autouse=True)
def default_again() -> Iterator[None]:
    yield
    addresses.bind("short")


@pytest.mark.parametrize(("address", "kept"), SHORT.items(), ids=ascii)
def test_an_address_is_cut_to_its_network(address: str, kept: str) -> None:
    assert shortened(address) == kept
    assert shortened(kept) == kept
    assert json.loads(visitor(address, "", ""))["ip"] == kept


@given(st.ip_addresses())
def test_of_every_address_only_its_network_is_kept(address: Any) -> None:
    kept = 24 if address.version == 4 else 48
    network = int(address) >> (address.max_prefixlen - kept) << (address.max_prefixlen - kept)
    tunnels = address.version == 6 and (address.ipv4_mapped or address.sixtofour)
    if not tunnels:
        assert shortened(str(address)) == str(type(address)(network))


def test_the_setting_keeps_whole_addresses_or_none(bound: Callable[..., Api]) -> None:
    for kind, kept in (("short", "127.0.0.0"), ("full", "127.0.0.1"), ("none", "")):
        api = bound(visitor_address=kind)
        api.follow(api.url())
        [click] = api.get("/events?type=clicked")
        assert click["details"]["ip"] == kept
        assert set(click["details"]) == {
            "short_code", "original_url", "ip", "user_agent", "referrer",
        }  # fmt: skip


def test_what_is_no_address_is_cut() -> None:
    for kind in ("short", "full"):
        addresses.bind(kind)
        assert json.loads(visitor("x" * 500, "", ""))["ip"] == "x" * 64


EXTRAS: list[tuple[dict[str, str], str, dict[str, Any]]] = [
    ({}, "", {}),
    ({}, "a=b&utm_medium=c", {}),
    ({"Sec-Purpose": "prefetch"}, "", {"purpose": "prefetch"}),
    ({"Sec-Purpose": "prefetch;prerender"}, "", {"purpose": "prefetch"}),
    ({"Purpose": "Preview"}, "", {"purpose": "preview"}),
    ({"X-Moz": "prefetch"}, "", {"purpose": "prefetch"}),
    ({"Purpose": "other", "X-Moz": "prefetch"}, "", {"purpose": "prefetch"}),
    ({"Purpose": "no-prefetch", "Sec-Purpose": ""}, "", {}),
    ({}, "utm_source=mail", {"campaign": "mail"}),
    ({}, "a=b&utm_source=Caf%C3%A9+de%20&utm_source=x", {"campaign": "Café de"}),
    ({}, "utm_source=" + "ä" * 150, {"campaign": "ä" * 100}),
    ({}, "utm_source=%22%5C", {"campaign": '"\\'}),
    ({}, "utm_source=", {}),
    ({}, "utm_source", {}),
    ({}, "utm_sources=x&a=utm_source=x", {}),
    ({}, "utm_source=a%00b", {}),
    ({}, "utm_source=a%0Ab", {}),
    ({}, "utm_source=%ED%A0%80", {}),
    ({}, "utm_source=%ff", {}),
    ({"DNT": "0", "Sec-GPC": "0"}, "", {}),
    ({"DNT": ""}, "", {}),
]
PRIVATE: list[tuple[dict[str, str], str, dict[str, Any]]] = [
    ({"DNT": "1"}, "", {"private": True}),
    ({"Sec-GPC": "1"}, "", {"private": True}),
    (
        {"DNT": "0", "Sec-GPC": "1", "Sec-Purpose": "prefetch"},
        "utm_source=x",
        {"purpose": "prefetch", "campaign": "x", "private": True},
    ),
]
AGENT = {"User-Agent": 'probe "1"', "Referer": "https://r.example:8/a/b?c=d#e"}


def visits(get: Callable[[str, dict[str, str]], Any], code: str) -> None:
    for headers, query, _ in (*EXTRAS, *PRIVATE):
        get(f"/{code}?{query}".rstrip("?"), {**AGENT, **headers})


def expected_details(url: dict[str, Any]) -> list[dict[str, Any]]:
    link = {"short_code": url["short_code"], "original_url": url["original_url"]}
    usual = {"ip": "127.0.0.0", "user_agent": 'probe "1"', "referrer": AGENT["Referer"]}
    return [{**link, **usual, **more} for _, _, more in EXTRAS] + [
        {**link, "referrer": "https://r.example/", **more} for _, _, more in PRIVATE
    ]


def details_of(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event["details"] for event in reversed(events)]


def test_what_few_visits_have_is_kept_only_then(api: Api) -> None:
    url = api.url()

    def get(target: str, headers: dict[str, str]) -> None:
        response = api.client.get(
            target.replace("ä", "%C3%A4"),
            headers=headers,
            environ_base={"REMOTE_ADDR": "127.0.0.1"},
        )
        assert response.status_code == 302

    visits(get, url["short_code"])
    assert details_of(api.get("/events?type=clicked&per_page=100")) == expected_details(url)


@pytest.mark.services
def test_the_front_and_flask_keep_the_same_of_a_visit(tmp_path: Path, redis_server: Redis) -> None:
    kept = []
    for front in ("true", "false"):
        folder = tmp_path / front
        folder.mkdir()
        with WebServer(folder, REDIS_URL=redis_server.url, FRONT=front) as server:
            url = server.get("/urls", "POST", body={"original_url": "https://example.com/"}).json()

            def get(target: str, headers: dict[str, str], server: WebServer = server) -> None:
                reply = server.get(target.replace("ä", "%C3%A4"), headers=headers)
                assert reply.status == 302

            visits(get, url["short_code"])
            kept.append(details_of(server.get("/events?type=clicked&per_page=100").json()))
            assert kept[-1] == expected_details(url)
            assert server.get(f"/urls/{url['id']}").json()["click_count"] == len(kept[-1])


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30), st.binary(max_size=30))
def test_every_visit_is_read_back_as_it_was_written(
    agent: str, referrer: str, header: str, query: bytes
) -> None:
    names = b"dnt", b"sec-gpc", b"sec-purpose", b"purpose", b"x-moz"
    for name in names:
        for value in (header, "1" + header, "prefetch" + header):
            text = visitor("192.0.2.7", agent, referrer, extras({name: value}, query))
            assert load_visitor(text) == text
            loaded = json.loads(stored(text))
            assert ("user_agent" in loaded) == ("ip" in loaded) == ("private" not in loaded)
            if "private" in loaded:
                assert "192.0.2" not in text
                assert kind_of(stored(text), "https://x.example/") == kind_of(
                    text, "https://x.example/"
                )


SITES = {
    "https://r.example/a?b#c": "https://r.example/",
    "HTTPS://User:Pass@R.Example:443/a": "https://r.example/",
    "android-app://com.example.app/": "android-app://com.example.app/",
    "https://[2001:db8::1]:8/": "https://[2001:db8::1]/",
    "": "",
    "x": "other",
    "https://[": "other",
    "https:///path": "other",
    "mailto:ada@example.com": "other",
}


@pytest.mark.parametrize(("referrer", "kept"), SITES.items())
def test_a_private_visitors_referrer_is_cut_to_its_host(referrer: str, kept: str) -> None:
    assert site(referrer) == kept
    assert site(kept) == kept


@pytest.mark.parametrize("referrer", [None, 5, [], {}])
def test_a_referrer_that_is_no_text_is_none(referrer: object) -> None:
    assert site(referrer) == ""


def test_a_private_click_that_was_stored_is_cancelled(api: Api) -> None:
    url = api.url()
    text = visitor("127.0.0.1", "probe", "https://r.example/a", ', "private": true')
    link = Link(ACTIVE, 1, url["id"], url["original_url"])
    click = Click(url["short_code"], text, link=link)
    other = Click(url["short_code"], visitor("127.0.0.1", "probe", ""), ms=click.ms, link=link)
    with db.atomic():
        store([other, click])
    assert api.clicks(url) == 2
    click.outcome = Outcome.UNKNOWN
    cancelling.cancel(click)
    assert api.clicks(url) == 1
    assert "private" not in api.get("/events?type=clicked")[0]["details"]


def test_private_people_and_robots_are_counted_as_their_events_tell(api: Api) -> None:
    url = api.url()
    for agent in ("Firefox/1", "Googlebot/2.1", ""):
        headers = {"DNT": "1", "User-Agent": agent, "Referer": "https://r.example/a"}
        api.client.get(f"/{url['short_code']}", headers=headers)
    api.client.get(f"/{url['short_code']}", headers={"User-Agent": "Firefox/1"})
    events = api.get("/events?type=clicked")
    assert [event["details"].get("robot", False) for event in reversed(events)] == [
        False, True, True, False,
    ]  # fmt: skip
    check()
    for event in events:
        api.client.delete(f"/events/{event['id']}")
    check()
