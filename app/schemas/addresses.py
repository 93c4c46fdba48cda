"""Web addresses: which ones a link may lead to, and how a header carries them."""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv6Address
from urllib.parse import quote, urlsplit

_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:]+))(?::(?P<port>[0-9]*))?")
_LEGAL = re.compile("[a-z0-9._-]+")
_IGNORED = dict.fromkeys((0xAD, 0x200B, 0x2060, 0xFEFF, *range(0xFE00, 0xFE10)))  # soft hyphens, variation selectors: not part of a name
_ALL_ASCII = "".join(map(chr, range(33, 127)))


def is_printable(text: str) -> bool:
    """Whether a header, a log or a terminal shows all of it as what it is: no white space, no control characters."""
    return not any(c.isspace() or ord(c) < 32 or 127 <= ord(c) < 160 for c in text)


def is_web_address(text: str) -> bool:
    """Whether it is absolute, http or https, and has a host that can be looked up and a port that exists."""
    try:
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or "\\" in parts.netloc:
            return False
        _ascii_netloc(parts.netloc)
        return True
    except ValueError:
        return False


def location(address: str) -> str:
    """The address as a header can carry it: ASCII stays as it was given."""
    if address.isascii():
        return address
    scheme, slashes, rest = address.partition("//")
    netloc = urlsplit(address).netloc
    return quote(f"{scheme}{slashes}{_ascii_netloc(netloc)}{rest[len(netloc) :]}", safe=_ALL_ASCII)


def _ascii_netloc(netloc: str) -> str:
    """`user:password@host:port` with a host of ASCII only; raises ValueError when it has none that is legal."""
    login, at, rest = netloc.rpartition("@")
    match = _HOST.fullmatch(rest)
    if match is None or not 0 < int(match["port"] or "80") < 65536:
        raise ValueError("no host, or no such port")
    if match["name"] is None:
        IPv6Address(match["v6"])
        return netloc
    return f"{login}{at}{_ascii_name(match['name'])}{rest[match.end('name') :]}"


def _ascii_name(name: str) -> str:
    """IDNA as browsers do it: Python's own codec is of 2003, and would make another site of `straße`."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name.translate(_IGNORED)).lower()).replace("\u3002", ".")
    labels = [label if label.isascii() else "xn--" + label.encode("punycode").decode() for label in plain.removesuffix(".").split(".")]
    host = ".".join(labels)
    if not _LEGAL.fullmatch(host) or not all(0 < len(label) < 64 for label in labels) or len(host) > 253:
        raise ValueError("no legal host name")
    return host + "." * plain.endswith(".")
