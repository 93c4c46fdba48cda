"""Reads URLs that name several hosts as libpq's do: `postgresql://user@h1:5432,h2:5432/name`."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import psycopg2
from psycopg2.extensions import parse_dsn

_PARTS = re.compile(r"([a-z0-9+.-]+://(?:[^/?#]*@)?)([^/?#]*)(.*)", re.DOTALL)
_OURS = ("max_connections", "timeout", "stale_timeout")  # of the pool; libpq has the others
_TARGETS = ("read-write", "primary", "any")
_UNKNOWN = re.compile('invalid URI query parameter: "([a-z_]+)"')


def each_host(url: str) -> list[str]:
    """`url` once for each of its hosts, with no other one."""
    found = _PARTS.fullmatch(url)
    if found is None:
        return [url]
    before, hosts, after = found.groups()
    return [f"{before}{host}{after}" for host in hosts.split(",")]


def password_of(url: str) -> str:
    """The password, percent-encoded as it stands there; "" for none."""
    return urlsplit(each_host(url)[0]).password or ""


def several_hosts(urls: list[str]) -> dict[str, Any]:
    """libpq's options for several hosts, of which the one that takes writes is wanted."""
    parts = [urlsplit(url) for url in urls]
    options = {
        "host": ",".join(part.hostname or "" for part in parts),
        "port": ",".join(str(part.port or 5432) for part in parts),
    }
    return options if len(urls) == 1 else {"target_session_attrs": "read-write", **options}


def trouble(url: str) -> str:
    """What is wrong with hosts or options of a PostgreSQL URL, behind ": "; repeats no secret."""
    why = "" if not url.startswith("postgresql") else _host_trouble(each_host(url))
    return f": {why}" if why else ""


def _host_trouble(urls: list[str]) -> str:
    for number, url in enumerate(urls if len(urls) > 1 else (), 1):
        which = f"host {number} of {len(urls)}"
        try:
            if not urlsplit(url).hostname:
                return f"{which} has no name"
            if urlsplit(url).port == 0:
                raise ValueError
        except ValueError:
            return f"{which} or its port (1 to 65535) cannot be read"
    return _option_trouble(urls[0])


def _option_trouble(url: str) -> str:
    found = _PARTS.fullmatch(url)
    query = found[3].partition("?")[2] if found else ""
    given = dict(parse_qsl(query, keep_blank_values=True))
    if given.get("target_session_attrs", "any") not in _TARGETS:
        return f"target_session_attrs must be one of {', '.join(_TARGETS)}"
    others = {name: value for name, value in given.items() if name not in _OURS}
    try:
        parse_dsn(f"postgresql:///?{urlencode(others)}")
    except psycopg2.ProgrammingError as error:
        name = _UNKNOWN.search(str(error))
        return f"there is no option {name[1]}" if name else "its options cannot be read"
    return ""
