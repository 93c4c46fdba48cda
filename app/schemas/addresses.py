"""Original URLs: which ones a link may have, and how the Location header carries them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from posixpath import normpath
from unicodedata import bidirectional
from urllib.parse import quote, unquote, unquote_plus

import idna

_ADDRESS = re.compile(r"(?P<scheme>https?)://(?P<netloc>[^/?#]*)(?P<rest>.*)", re.I | re.A | re.S)
_HOST = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>[0-9]*))?", re.A
)
# Most hosts are in their normal spelling: to see that takes a tenth of the time of making it.
_PLAIN = re.compile(r"https?://([a-z0-9]+(?:[.-][a-z0-9]+)*\.[a-z]{2,63})(?:[/?#]|\Z)")
_LEGAL = re.compile("[a-z0-9._-]+")
_NUMBER = re.compile("0x[0-9a-f]*|[0-9]+")
_RIGHT_TO_LEFT = frozenset(("R", "AL", "AN"))
_NOT_IN_LOGIN = frozenset("\\[]")
_JOINERS = "\u200c\u200d"
_ALL_ASCII = "".join(map(chr, range(33, 127)))
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST_NAME, _LONGEST_LABEL = 253, 63


def is_printable(text: str) -> bool:
    """Whether it has no white space and no control characters."""
    return not any(c.isspace() or ord(c) < 32 or 127 <= ord(c) < 160 for c in text)


def is_web_address(text: str) -> bool:
    """Whether it is http or https with a host that can be looked up and a port that exists."""
    match = _ADDRESS.fullmatch(text)
    try:
        return match is not None and bool(_ascii_netloc(match["netloc"]))
    except ValueError:
        return False


def is_host(text: str) -> bool:
    """Whether a Host header names a host, and perhaps a port, as ASCII."""
    try:
        return text.isascii() and "@" not in text and bool(_ascii_netloc(text))
    except ValueError:
        return False


def location(address: str) -> str:
    """The address as a header can carry it: ASCII stays as it was given."""
    if address.isascii():
        return address
    match = _ADDRESS.fullmatch(address)
    try:
        netloc = _ascii_netloc(match["netloc"]) if match else ""
    except ValueError:
        netloc = ""  # stored under older rules
    if match and netloc:
        address = f"{match['scheme']}://{netloc}{match['rest']}"
    return quote(address, safe=_ALL_ASCII)


def forwarded(address: str, query: bytes) -> str:
    """`address` with a visitor's query behind its own; a name that it has itself is dropped."""
    bare, hash_sign, fragment = address.partition("#")
    start, _, own = bare.partition("?")
    taken = {_name(part) for part in own.split("&")}
    parts = quote(query, safe=_ALL_ASCII).split("&")
    added = [part for part in parts if part and _name(part) not in taken]
    joined = "&".join(filter(None, (own, *added)))
    return f"{start}?{joined}{hash_sign}{fragment}" if joined else address


def _name(part: str) -> str:
    return unquote_plus(part.partition("=")[0])


def host_and_port(netloc: str) -> tuple[str, int | None]:
    """The host in one normal spelling, and the port, when one is named.

    Raises ValueError when there is none that is legal.
    """
    match = _legal_host(netloc.rpartition("@")[2])
    port = int(match["port"]) if match["port"] else None
    if match["name"] is None:
        return f"[{IPv6Address(match['v6']).exploded}]", port
    name = _ascii_name(match["name"]).removesuffix(".")
    return str(_as_ipv4(name) or name), port


def host_of(address: str) -> str:
    """The host of a web address, in one normal spelling; "" when it has none that is legal."""
    plain = _PLAIN.match(address)
    if plain and len(plain[1]) <= _LONGEST_LABEL:
        return plain[1]
    match = _ADDRESS.fullmatch(address)
    try:
        return host_and_port(match["netloc"])[0] if match else ""
    except ValueError:
        return ""


@dataclass(frozen=True)
class OwnAddress:
    """Holdfast's own host, ports and path."""

    host: str
    ports: frozenset[int]
    path: str

    @classmethod
    def of(cls, base: str) -> OwnAddress:
        """From the base URL of short links; without a port it is both 80 and 443."""
        match = _ADDRESS.fullmatch(base)
        if match is None:
            raise ValueError("no base of links")
        host, port = host_and_port(match["netloc"])
        path = _tidy(match["rest"])
        plain = port is None or port in _DEFAULT_PORTS.values()
        return cls(host, frozenset(_DEFAULT_PORTS.values() if plain else (port or 0,)), path)

    def leads_here(self, address: str) -> bool:
        """Whether a legal URL leads to Holdfast, however it is spelled."""
        match = _ADDRESS.fullmatch(address)
        if match is None:
            return False
        host, port = host_and_port(match["netloc"])
        port = port or _DEFAULT_PORTS[match["scheme"].lower()]
        path = _tidy(match["rest"])
        under = path == self.path or path.startswith(f"{self.path}/")
        return host == self.host and port in self.ports and under


def _tidy(rest: str) -> str:
    """The path as a browser and a proxy read it: decoded, dots resolved, no slash at its end."""
    path = unquote(re.split("[?#]", rest)[0], errors="replace").replace("\\", "/")
    return normpath(f"/{path.lstrip('/')}").rstrip("/")


def _legal_host(text: str) -> re.Match[str]:
    match = _HOST.fullmatch(text)
    if match is None or not _is_port(match["port"]):
        raise ValueError("no host, or no such port")
    return match


def _is_port(digits: str | None) -> bool:
    """Whether it is 1 to 65535, or left out."""
    return not digits or (len(digits.lstrip("0")) <= 5 and 0 < int(digits[-5:]) < 65536)


def _ascii_netloc(netloc: str) -> str:
    """`user:password@host:port` with an ASCII host; raises ValueError when it has no legal one."""
    login, at, rest = netloc.rpartition("@")
    match = _legal_host(rest)
    if not _NOT_IN_LOGIN.isdisjoint(login):
        raise ValueError("a browser ends the host at a backslash, and brackets belong to IPv6")
    if match["name"] is None:
        IPv6Address(match["v6"])
        return netloc
    return f"{login}{at}{_ascii_name(match['name'])}{rest[match.end('name') :]}"


def _ascii_name(name: str) -> str:
    """The name as it is looked up (UTS 46, not transitional); raises ValueError.

    Lengths come first: punycode takes time that grows with the square of a label.
    """
    if len(name) > _LONGEST_NAME + 1:
        raise ValueError("longer than any host name")
    plain = idna.uts46_remap(name, std3_rules=False)
    labels = plain.removesuffix(".").split(".")
    if not all(0 < len(label) <= _LONGEST_LABEL for label in labels):
        raise ValueError("an empty or too long label")
    if not name.isascii() or "xn--" in plain:
        labels = _ascii_labels(labels)
    host = ".".join(labels)
    if not _LEGAL.fullmatch(host) or len(host) > _LONGEST_NAME or not _could_be_ipv4(labels):
        raise ValueError("no legal host name")
    return host + "." * plain.endswith(".")


def _ascii_labels(labels: list[str]) -> list[str]:
    """Each label in ASCII, once all of them are found valid."""
    meant = [_decoded(label) if label.startswith("xn--") else label for label in labels]
    if not _RIGHT_TO_LEFT.isdisjoint(map(bidirectional, "".join(meant))):
        for label in meant:
            idna.check_bidi(label, check_ltr=True)
    return [label if label.isascii() else _encoded(label) for label in meant]


def _decoded(label: str) -> str:
    """What a label that begins with xn-- stands for; raises ValueError unless it encodes back."""
    meant = label[4:].encode("ascii").decode("punycode")
    if meant.isascii() or idna.uts46_remap(meant, std3_rules=False) != meant:
        raise ValueError("not the punycode of a label")
    if _encoded(meant) != label:
        raise ValueError("not the punycode that encoding gives")
    return meant


def _encoded(label: str) -> str:
    idna.check_initial_combiner(label)
    if not all(idna.valid_contextj(label, at) for at, c in enumerate(label) if c in _JOINERS):
        raise ValueError("a joiner that joins nothing")
    if label.startswith("xn--"):
        raise ValueError("punycode in punycode")
    encoded = "xn--" + label.encode("punycode").decode()
    if len(encoded) > _LONGEST_LABEL:
        raise ValueError("too long a label")
    return encoded


def _could_be_ipv4(labels: list[str]) -> bool:
    """A browser takes a name that ends in a number for an IPv4 address, or for nothing."""
    return not _NUMBER.fullmatch(labels[-1]) or _as_ipv4(".".join(labels)) is not None


def _as_ipv4(host: str) -> IPv4Address | None:
    """The address that a browser reads: up to four parts, octal and hexadecimal ones too."""
    parts = host.split(".")
    if len(parts) > 4 or not all(map(_NUMBER.fullmatch, parts)):
        return None
    try:
        *high, low = map(_integer, parts)
        value = sum(part << 24 - 8 * at for at, part in enumerate(high)) + low
        legal = all(part < 256 for part in high) and low < 256 ** (5 - len(parts))
        return IPv4Address(value) if legal else None
    except ValueError:
        return None


def _integer(digits: str) -> int:
    if digits.startswith("0x"):
        return int(digits[2:] or "0", 16)
    return int(digits, 8 if digits.startswith("0") else 10)
