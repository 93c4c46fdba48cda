"""What is kept of a visit: the visitor's address, shortened, and what its headers ask for."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from urllib.parse import unquote_to_bytes, urlsplit

from app.redirects.visitors import kind_of

ASKING = frozenset((b"dnt", b"sec-gpc", b"sec-purpose", b"purpose", b"x-moz"))
"""Headers that few visitors send. Private: DNT or Sec-GPC. No visit yet: the others."""
PRIVATE = '"private": true'
"""In the JSON of a private visitor; inside of a value the quotes would be escaped."""
_PURPOSES = (b"sec-purpose", b"purpose", b"x-moz")
_LONGEST_ADDRESS, _LONGEST_CAMPAIGN = 64, 100
_IPV4, _IPV6 = int(socket.AF_INET), int(socket.AF_INET6)  # the enum's members take 1 us more
_MAPPED, _6TO4 = bytes(10) + b"\xff\xff", b"\x20\x02"


def shortened(address: str) -> str:
    """The network of an address, /24 or /48; what is no address stays as it is."""
    try:
        if ":" not in address:
            socket.inet_pton(_IPV4, address)
            return address.rpartition(".")[0] + ".0"
        address = address.partition("%")[0]  # the zone
        return _network6(socket.inet_pton(_IPV6, address))
    except (OSError, ValueError):  # ValueError: NUL
        return address


def _network6(address: bytes) -> str:
    if address.startswith(_MAPPED):
        return socket.inet_ntop(_IPV4, address[12:15] + b"\0")
    kept = address[: 5 if address.startswith(_6TO4) else 6]  # 6to4: an IPv4 address is in it
    return socket.inet_ntop(_IPV6, kept.ljust(16, b"\0"))


_KEPT: dict[str, Callable[[str], str]] = {
    "short": shortened,
    "full": str,
    "none": lambda _address: "",
}
KINDS = tuple(_KEPT)


class Addresses:
    """What this process keeps of visitors' addresses, by VISITOR_ADDRESS."""

    def __init__(self) -> None:
        self.bind("short")

    def bind(self, kind: str) -> None:
        """`kind` is one of KINDS. `quoted` is JSON of what is `kept` of an address from now on."""
        self.kept = kept = _KEPT[kind]
        self.quoted = lru_cache(maxsize=2000)(lambda text: quoted(kept(text)[:_LONGEST_ADDRESS]))


addresses = Addresses()


def _asks_for_privacy(said: Mapping[bytes, str]) -> bool:
    """Do Not Track, or Global Privacy Control."""
    return said.get(b"dnt", "").startswith("1") or said.get(b"sec-gpc", "").startswith("1")


def extras(said: Mapping[bytes, str], query: bytes) -> str:
    """The keys that few visitors have, as the end of their JSON object; mostly "".

    `said` has the headers by their names in lower case.
    """
    if not query and ASKING.isdisjoint(said):
        return ""
    purpose, campaign = _purpose(said), _campaign(query) if b"utm_source" in query else ""
    found = f', "purpose": "{purpose}"' if purpose else ""
    found += f', "campaign": {quoted(campaign)}' if campaign else ""
    return found + (f", {PRIVATE}" if _asks_for_privacy(said) else "")


def _purpose(said: Mapping[bytes, str]) -> str:
    for header in _PURPOSES:
        for purpose in ("prefetch", "preview"):
            if said.get(header, "").lower().startswith(purpose):
                return purpose
    return ""


def _campaign(query: bytes) -> str:
    """The first utm_source; "" for none and for one with characters that cannot be stored."""
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if name == b"utm_source":
            try:
                text = unquote_to_bytes(value.replace(b"+", b" ")).decode().strip()
            except UnicodeDecodeError:
                return ""
            return text[:_LONGEST_CAMPAIGN] if text.isprintable() else ""
    return ""


def stored(visitor: str) -> str:
    """`visitor` as the event keeps it: of a private one neither address nor agent.

    Whether it is a robot is kept: a click that is deleted is counted as it was before.
    """
    if PRIVATE not in visitor:
        return visitor
    given = json.loads(visitor)
    is_known_by_its_agent = "purpose" not in given and kind_of(visitor, "").robot
    robot = {"robot": True} if is_known_by_its_agent else {}
    given = {name: given[name] for name in given if name not in ("ip", "user_agent")}
    return json.dumps({**given, "referrer": site(given.get("referrer")), **robot})


def site(referrer: object) -> str:
    """A referrer without what follows its host; "other" for one without a host."""
    if not referrer or not isinstance(referrer, str):
        return ""
    try:
        parts = urlsplit(referrer)
        host = parts.hostname
        short = f"{parts.scheme}://{f'[{host}]' if ':' in (host or '') else host}/"
        return short if host and urlsplit(short).hostname == host else "other"
    except ValueError:
        return "other"
