"""What trusted proxies say about a request: X-Forwarded-For, -Proto and -Host."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from app.schemas import is_host

_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}", re.ASCII)


def hop(header: str, trusted: int) -> str:
    """The value that the outermost of `trusted` proxies wrote; "" when there are fewer values."""
    if "," not in header and trusted == 1:
        return header.strip(' \t"')
    hops = [stripped for part in header.split(",") if (stripped := part.strip(' \t"'))]
    return hops[-trusted] if trusted and len(hops) >= trusted else ""


def client_address(forwarded_for: str, peer: str, trusted: int) -> str:
    """The client's IP address without a port; `peer` when no proxy names one."""
    return (_address(hop(forwarded_for, trusted)) if forwarded_for else "") or peer


@lru_cache(maxsize=2000)
def _address(text: str) -> str:
    """The IP address in `text`, or ""."""
    match = _WITH_PORT.fullmatch(text)
    address = (match[1] or match[2]) if match else text.partition("%")[0]
    try:
        ip_address(address)
    except ValueError:
        return ""
    return address


host_is_legal = lru_cache(maxsize=2000)(is_host)
"""Whether a Host header names a host; cached, because the same few come again and again."""


def is_inside(environ: Mapping[str, Any]) -> bool:
    """Whether a WSGI request came from a private address, and through no proxy."""
    try:
        is_private = ip_address(environ.get("REMOTE_ADDR", "")).is_private
    except ValueError:
        return False
    return is_private and not environ.keys() & {"HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED"}


ATTEMPT = "holdfast.attempt"
"""In a WSGI environment: what the proxy calls this request and its repeat."""


class Proxies:
    """A WSGI application behind `trusted` proxies: REMOTE_ADDR, scheme and host are theirs."""

    def __init__(self, wsgi: Any, trusted: int) -> None:
        self._wsgi, self._trusted = wsgi, trusted

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        def said(name: str) -> str:
            return hop(environ.get(f"HTTP_X_FORWARDED_{name}", ""), self._trusted)

        peer = environ.get("REMOTE_ADDR", "")
        forwarded_for = environ.get("HTTP_X_FORWARDED_FOR", "")
        environ["REMOTE_ADDR"] = client_address(forwarded_for, peer, self._trusted)
        scheme, host = said("PROTO").lower(), said("HOST")
        if scheme in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme
        if host_is_legal(host):
            environ["HTTP_HOST"] = host
        environ[ATTEMPT] = environ.get("HTTP_X_ATTEMPT_ID", "")
        return self._wsgi(environ, start_response)
