"""What Nginx' access log keeps of visitors."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from testkit.servers import wait_for
from tests.front_door import FrontDoor, Replica, answer
from tests.redirects.test_visits import SHORT

pytestmark = pytest.mark.services

LONG = {text: kept for text, kept in SHORT.items() if text[-1:].isalnum() and kept != text} | {
    "2001:db8:1:2:3:4:5:6": "2001:db8:1::",
    "2001::1:2": "2001::",
    "203.0.113.254": "203.0.113.0",
}
# Nginx cuts at a colon, and keeps less of 6to4; it writes no zone.
EXCEPTIONS = {"2001:DB8:0:1::1": "2001:db8:0::", "2002:c000:24d:1::1": "2002:c000::"}


@pytest.fixture
def doors() -> Iterator[ExitStack]:
    with ExitStack() as cleanup:
        yield cleanup


def logged(
    doors: ExitStack, addresses: list[str], headers: dict[str, str], **settings: str
) -> list[tuple[str, str]]:
    """Client and agent of each request's line."""
    replica = Replica(1, answer)
    doors.callback(replica.close)
    nginx = FrontDoor(replica, TRUSTED_PROXY_CIDR="127.0.0.0/8", **settings)
    doors.callback(nginx.destroy)
    nginx.start()
    for address in addresses:
        with closing(http.client.HTTPConnection("127.0.0.1", nginx.port, timeout=30)) as connection:
            own = {"X-Forwarded-For": address, "User-Agent": "probe", **headers}
            connection.request("GET", "/abc?token=hemlig", headers=own)
            assert connection.getresponse().status == 200
    file = nginx.folder / "nginx.log"
    wait_for(lambda: file.read_text().count('"uri":"/abc"') == len(addresses), what="the log")
    assert "hemlig" not in file.read_text()
    lines = [json.loads(line) for line in file.read_text().splitlines() if line.startswith("{")]
    return [(line["client"], line["user_agent"]) for line in lines]


def test_by_default_it_keeps_the_network_of_an_address(doors: ExitStack) -> None:
    no_client = "255.255.255.255"  # Nginx takes it for no address
    texts = [text for text in LONG if "%" not in text and text != no_client]
    kept = [(EXCEPTIONS.get(text, LONG[text]), "probe") for text in texts]
    assert sorted(logged(doors, texts, {})) == sorted(kept)  # two processes write it


@pytest.mark.parametrize(("kind", "kept"), [("full", "203.0.113.254"), ("none", "")])
def test_it_follows_the_setting(doors: ExitStack, kind: str, kept: str) -> None:
    assert logged(doors, ["203.0.113.254"], {}, VISITOR_ADDRESS=kind) == [(kept, "probe")]


@pytest.mark.parametrize("header", ["DNT", "Sec-GPC"])
def test_it_keeps_neither_address_nor_agent_of_a_private_visitor(
    doors: ExitStack, header: str
) -> None:
    asked = logged(doors, ["203.0.113.254"], {header: "1"}, VISITOR_ADDRESS="full")
    assert asked == [("", "")]
