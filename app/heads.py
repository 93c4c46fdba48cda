"""Request lines and headers: their limits, and errors that the parser does not find."""

from __future__ import annotations

import json
import re
import secrets
from http import HTTPStatus
from itertools import chain

import httptools

from app import problems

MOST_URL_BYTES, MOST_HEAD_BYTES, MOST_HEADERS = 8190, 32 * 1024, 100
LONG_URL = (414, "The address is too long")
LONG_HEAD = (431, "The headers are too long")

Headers = list[tuple[bytes, bytes]]
Problem = tuple[int, str]
"""The status of a refusal, and why."""

_METHOD = re.compile(rb"[A-Z][A-Z0-9$_.-]{0,199}(?= )")
_ACCEPT = re.compile(rb"\naccept:([^\r\n]*)", re.IGNORECASE)
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)


def problem_of(url: bytes, headers: Headers, version: str, most: int) -> Problem | None:
    """Refuses what two servers might read differently (RFC 9112, sections 3.2 and 6.1).

    `most`: as many bytes as the head may have had at most.
    """
    if len(url) > MOST_URL_BYTES:
        return LONG_URL
    if len(headers) > MOST_HEADERS or (most > MOST_HEAD_BYTES and _are_long(url, headers)):
        return LONG_HEAD
    named = dict(headers)
    if version not in ("1.0", "1.1") or (len(named) < len(headers) and _differ(headers)):
        return 400, "The request is not valid HTTP/1.1"
    if b"transfer-encoding" not in named:
        return None
    coding = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if coding != [b"chunked"] or version == "1.0":
        return 400, "The only transfer coding is chunked, in HTTP/1.1"
    return None


def _are_long(url: bytes, headers: Headers) -> bool:
    return len(url) + sum(map(len, chain.from_iterable(headers))) > MOST_HEAD_BYTES


def _differ(headers: Headers) -> bool:
    """Whether a header comes twice that may come once."""
    names = [name for name, _ in headers]
    return names.count(b"host") > 1 or names.count(b"content-type") > 1


def has_body(headers: Headers) -> bool:
    named = dict(headers)
    return b"content-length" in named or b"transfer-encoding" in named


def origin_form(url: bytes, method: bytes) -> bytes:
    """The path and query of a request line; CONNECT, which names a host, gets `/`."""
    if method == b"CONNECT":
        return b"/"
    if url.startswith(b"/") or url == b"*":
        return url
    parts = httptools.parse_url(url)
    return (parts.path or b"/") + (b"?" + parts.query if parts.query else b"")


def method_of(raw: bytes) -> bytes:
    """The method that `raw` begins with, which the parser may not know; b"" without one."""
    found = _METHOD.match(raw)
    return found[0] if found else b""


def without_upgrade(raw: bytes) -> bytes:
    """`raw` with its Upgrade header renamed, so that the parser reads the body too."""
    head, end, body = raw.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nx-upgrade:", head) + end + body


def refusal(status: int, why: str, accept: str = "") -> bytes:
    """The whole response, with the body that all errors have; `accept` is the request's header."""
    # Python before 3.13 has another phrase for 414.
    phrase = "URI Too Long" if status == 414 else HTTPStatus(status).phrase
    request_id = secrets.token_hex(8)
    error = {"error": phrase, "message": why, "status": status, "request_id": request_id}
    kind = problems.JSON
    if problems.is_wanted(accept):
        error, kind = problems.of(error), problems.MEDIA
    body = json.dumps(error) + "\n"
    return (
        f"HTTP/1.1 {status} {phrase}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\nX-Request-ID: {request_id}\r\n"
        f"Vary: Accept\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{body}"
    ).encode()


def accepted(headers: Headers, raw: bytes) -> str:
    """The Accept header of a request; the parser may not have told the last one in `raw` yet."""
    found = [value for name, value in headers if name == b"accept"] or _ACCEPT.findall(raw)[-1:]
    return b",".join(found).decode("latin-1")
