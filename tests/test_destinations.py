"""Private destinations, blocked and allowed hosts: which URLs are refused, however spelled."""

from __future__ import annotations

import os
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.schemas import destinations, host_of, listed_host
from app.schemas.addresses import host_and_port
from app.schemas.checking import validator
from app.schemas.hosts import HostFile, covered
from app.schemas.private import is_private
from app.schemas.rules import WebAddress
from tests.logbook import Log

check = validator(WebAddress)

PRIVATE = (
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.0.3",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.168.1.1", "198.18.0.1",
    "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "127.1", "0x7f.1", "0177.1", "2130706433", "0x7f000001", "017700000001", "0", "0x", "10.1",
    "127.0.0.1.", "0X7F.0x0.0X0.1", "00127.0.1".replace("00127", "0177"),
    "\uff11\uff12\uff17.\uff10.\uff10.\uff11", "127\u30020\uff0e0\uff611", "\u2460\u2461\u2466.1",
    "127.0.0.1\xad", "1\u200b27.0.0.1", "%31%32%37.0.0.1", "127%2e0.0.1", "%6cocalhost",
    "[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[0000::0001]", "[::127.0.0.1]", "[::7f00:1]",
    "[::ffff:127.0.0.1]", "[::FFFF:7f00:1]", "[::ffff:10.0.0.1]", "[::ffff:0:169.254.169.254]",
    "[64:ff9b::127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]", "[2002:7f00:1::]",
    "[2002:c0a8:101::1]", "[2001::1]", "[100::1]", "[fc00::1]", "[fd12:3456::1]", "[fe80::1]",
    "[fec0::1]", "[ff02::1]",
    "localhost", "LOCALHOST", "localhost.", "a.localhost", "\uff4c\uff4fcalhost", "printer.local",
    "metadata.google.internal", "internal", "nas.home.arpa", "home.arpa", "router.lan", "intranet",
    "wiki.corp", "a", "com", "b\xfccher",
)  # fmt: skip
PUBLIC = (
    "example.com", "93.184.216.34", "1.1.1.1", "100.63.255.255", "100.128.0.1", "172.15.0.1",
    "172.32.0.1", "169.253.0.1", "192.167.1.1", "223.255.255.255", "[2606:4700::1111]",
    "[::ffff:1.1.1.1]", "[2002:101:101::1]", "[64:ff9b::101:101]", "localhost.example.com",
    "mylocal.com", "notlocalhost.org", "internal.example", "10.example.com",
    "xn--mller-kva.example",
)  # fmt: skip


def taken(host: str) -> bool:
    """Whether a link may lead to it where private destinations are refused."""
    try:
        return not is_private(host_of(check(f"http://{host}/")))
    except ValueError:
        return False


@pytest.mark.parametrize("host", PRIVATE, ids=ascii)
def test_a_private_host_is_refused_in_every_spelling(host: str) -> None:
    assert not taken(host)
    assert not taken(f"user:password@{host}:8080")
    assert not taken(f"example.com@{host}")


@pytest.mark.parametrize("host", PUBLIC)
def test_a_public_host_is_not(host: str) -> None:
    assert taken(host)


NETWORKS = [(10, 8), (100 << 8 | 64, 10), (127, 8), (169 << 8 | 254, 16), (192 << 8 | 168, 16)]


@st.composite
def private_v4(draw: st.DrawFn) -> IPv4Address:
    start, bits = draw(st.sampled_from(NETWORKS))
    high = start << (24 if start < 256 else 16)
    return IPv4Address(high | draw(st.integers(0, 2 ** (32 - bits) - 1)))


NUMBERS: list[Callable[[int], str]] = [str, hex, "0{:o}".format, "0X{:X}".format, "0x0{:x}".format]
DOTS = ".\u3002\uff0e\uff61"


@st.composite
def spelled(draw: st.DrawFn, address: IPv4Address) -> str:
    """One of the ways in which the URL standard lets an IPv4 address be written."""
    count = draw(st.integers(1, 4))
    octets = list(address.packed)
    parts = [*octets[: count - 1], int.from_bytes(octets[count - 1 :], "big")]
    texts = [draw(st.sampled_from(NUMBERS))(part) for part in parts]
    text = texts[0] + "".join(draw(st.sampled_from(DOTS)) + part for part in texts[1:])
    wide = draw(st.sets(st.integers(0, len(text) - 1)))
    text = "".join(
        chr(ord(c) + 0xFEE0) if at in wide and c.isascii() and c.isalnum() else c
        for at, c in enumerate(text)
    )
    return text + draw(st.sampled_from(("", ".", "\u3002")))


@given(private_v4().flatmap(spelled))
def test_every_spelling_of_a_private_address_is_refused(host: str) -> None:
    assert host_of(f"http://{host}/"), "a browser takes it, and so do we"
    assert not taken(host)


@given(
    st.integers(0, 2**32 - 1).map(IPv4Address).flatmap(lambda a: spelled(a).map(lambda t: (a, t)))
)
def test_every_spelling_of_an_address_is_the_same_host(pair: tuple[IPv4Address, str]) -> None:
    address, host = pair
    assert host_of(f"http://{host}/") == str(address)


EMBEDDED = ("::{}", "::ffff:{}", "::ffff:0:{}", "64:ff9b::{}", "2002:{}:{}::", "2002:{}:{}:1::9")


@given(private_v4(), st.sampled_from(EMBEDDED), st.booleans())
def test_a_private_address_within_ipv6_is_refused(
    address: IPv4Address, form: str, upper: bool
) -> None:
    high, low = divmod(int(address), 65536)
    groups = (f"{high:x}", f"{low:x}") if form.count("{}") == 2 else (str(address),)
    text = form.format(*groups)
    for spelling in (text, IPv6Address(text).exploded, IPv6Address(text).compressed):
        assert not taken(f"[{spelling.upper() if upper else spelling}]")


@given(st.from_regex(r"[a-z0-9.-]{1,70}", fullmatch=True), st.sampled_from(("", "/x", "?x", "#x")))
def test_a_plain_host_is_its_own_normal_spelling(host: str, rest: str) -> None:
    try:
        normal = host_and_port(host)[0]
    except ValueError:
        normal = ""
    assert host_of(f"https://{host}{rest}") == normal


# ---- lists of hosts ----


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Evil.Example.", "evil.example"),
        ("*.evil.example", "evil.example"),
        (".evil.example", "evil.example"),
        ("M\xdcLLER.example", "xn--mller-kva.example"),
        ("github.io", "github.io"),
        ("localhost", "localhost"),
        ("0x7f.1", "127.0.0.1"),
        ("2001:DB8::1", "[2001:0db8:0000:0000:0000:0000:0000:0001]"),
        ("[2001:db8::1]", "[2001:0db8:0000:0000:0000:0000:0000:0001]"),
    ],
)
def test_a_host_of_a_list_is_read_in_every_spelling(text: str, host: str) -> None:
    assert listed_host(text) == host


@pytest.mark.parametrize("text", ["com", "CO.UK.", "*.com", "\u0440\u0444", "foo.kobe.jp"])
def test_a_public_suffix_is_no_host_of_a_list(text: str) -> None:
    with pytest.raises(ValueError, match="is a public suffix"):
        listed_host(text)


@pytest.mark.parametrize(
    "text", ["", "*", "https://evil.example/", "a b", "evil.example:80", "a@b.example"]
)
def test_what_is_no_host_is_not_listed(text: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a host"):
        listed_host(text)


def test_a_listed_host_covers_its_subdomains_and_no_neighbours() -> None:
    hosts = {"evil.example", "10.0.0.1"}
    assert covered("evil.example", hosts)
    assert covered("a.b.evil.example", hosts)
    assert covered("10.0.0.1", hosts)
    for other in ("notevil.example", "example", "evil.example.org", "1.10.0.0", "0.0.1", ""):
        assert not covered(other, hosts)


@pytest.fixture
def list_file(tmp_path: Path) -> Path:
    path = tmp_path / "hosts.txt"
    path.write_text("# bad ones\n\nEvil.example  # a comment\ncom\nnot a host\n")
    return path


class Looking(HostFile):
    """Looks at its file each time."""

    def hosts(self) -> frozenset[str]:
        self._look_at = 0.0
        return super().hosts()


def test_lines_that_are_no_hosts_are_left_out_and_logged(list_file: Path, log: Log) -> None:
    assert Looking(str(list_file)).hosts() == {"evil.example"}
    said = "".join(log.lines())
    assert f"{list_file}:4: 'com' is a public suffix" in said
    assert f"{list_file}:5: 'not a host' is not the name of a host" in said


def test_a_list_without_one_good_line_is_no_flood_of_warnings(list_file: Path, log: Log) -> None:
    list_file.write_text("not a host\n" * 1000 + "evil.example\n")
    assert Looking(str(list_file)).hosts() == {"evil.example"}
    said = [entry["message"] for entry in log.entries()]
    assert len(said) == 11
    assert said[9].startswith(f"{list_file}:10: ")
    assert said[10] == f"{list_file}: 990 more lines are left out"


def test_a_file_is_read_again_when_it_changed(list_file: Path) -> None:
    file = Looking(str(list_file))
    assert file.hosts() == {"evil.example"}
    list_file.write_text("other.example\n")
    assert file.hosts() == {"other.example"}
    replacement = list_file.with_name("new")
    replacement.write_text("third.example\n")
    os.replace(replacement, list_file)
    assert file.hosts() == {"third.example"}


def test_a_file_that_vanishes_or_breaks_leaves_its_last_list_and_says_so_once(
    list_file: Path, log: Log
) -> None:
    file = Looking(str(list_file))
    file.hosts()
    list_file.rename(list_file.with_name("away"))
    assert file.hosts() == file.hosts() == {"evil.example"}
    assert "".join(log.lines()).count("its last list stays") == 1
    list_file.write_bytes(b"\xff\xfe\n")
    assert file.hosts() == {"evil.example"}
    list_file.write_text("other.example\n")
    assert file.hosts() == {"other.example"}


def test_a_file_is_looked_at_once_a_second(list_file: Path) -> None:
    file = HostFile(str(list_file))
    file.hosts()
    list_file.write_text("other.example\n")
    assert file.hosts() == {"evil.example"}


def test_an_allowed_host_may_be_private_and_others_are_refused(list_file: Path) -> None:
    list_file.write_text("wiki.internal\nexample.com\n")
    destinations.bind("", str(list_file), True, frozenset)
    try:
        assert destinations.refusal("http://www.wiki.internal./x") == ""
        assert destinations.refusal("https://EXAMPLE.com") == ""
        assert (
            destinations.refusal("https://other.example/") == "leads to a host that is not allowed"
        )
    finally:
        destinations.bind("", "", False, frozenset)
