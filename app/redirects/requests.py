"""One GET /<code> on the event loop: what its headers say, its click, and what Redis tells."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from app import logs
from app.asgi import Scope
from app.proxies import client_address
from app.redirects import attempts
from app.redirects.batching import LoopConnection
from app.redirects.clicks import Click, Outcome, visitor
from app.redirects.connection import RedisUnavailable
from app.redirects.links import Link, link_key
from app.redirects.visits import ASKING, extras
from app.schemas import POSSIBLE_CODE, RESERVED

_BODY = {b"content-length", b"transfer-encoding"}
_USUAL = {b"user-agent", b"referer", b"x-request-id", b"x-forwarded-for", b"accept", *_BODY}
_WANTED = _USUAL | ASKING | {b"origin"}
_ATTEMPT = attempts.HEADER.lower().encode()


def may_follow(scope: Scope) -> bool:
    """Whether this is a GET of what may be a short code."""
    path = scope["path"]
    return (
        scope["method"] == "GET"
        and POSSIBLE_CODE.fullmatch(path, 1) is not None
        and path[1:].lower() not in RESERVED
    )


@dataclass(slots=True)
class CodeRequest:
    """A GET of what may be a short code, while Redis is asked for it and afterwards.

    `said`: the headers that matter, by name in lower case; a header that comes twice has its
    values joined by a comma. `reply`: what follow.lua returns for the code.
    """

    scope: Scope
    address: str
    said: dict[bytes, str]
    request_id: str
    click: Click
    reply: asyncio.Future[Any]
    began: float = field(default_factory=time.perf_counter)

    def learn(self) -> Link | None:
        """Takes the reply, which has come; the link, if the click is recorded."""
        try:
            self.click.learn(self.reply.result())
        except RedisUnavailable:
            self.click.outcome, self.scope["must_run"] = Outcome.UNKNOWN, True
        return self.click.link if self.click.outcome is Outcome.RECORDED else None

    @property
    def id_line(self) -> bytes:
        """The X-Request-ID of the answer, as it is sent."""
        return f"x-request-id: {self.request_id}\r\n".encode("ascii")

    @property
    def attempt(self) -> str:
        """Looked for here, not among the headers of each request: few redirects need it."""
        found = (value for name, value in self.scope["headers"] if name == _ATTEMPT)
        return next(found, b"").decode("latin-1")

    @property
    def has_body(self) -> bool:
        return not self.said.keys().isdisjoint(_BODY)


def ask(scope: Scope, redis: LoopConnection, trusted_proxies: int) -> CodeRequest:
    """Asks Redis; the click is in `scope` from now on."""
    said = _headers_of(scope)
    peer = (scope["client"] or ("",))[0]
    ip = client_address(said.get(b"x-forwarded-for", ""), peer, trusted_proxies)
    agent, referrer = said.get(b"user-agent", ""), said.get(b"referer", "")
    more = extras(said, scope["query_string"])
    click = scope["click"] = Click(scope["path"][1:], visitor(ip, agent, referrer, more))
    request_id = logs.request_id(said.get(b"x-request-id"))
    reply = redis.follow(link_key(click.short_code), click.line())
    return CodeRequest(scope, ip, said, request_id, click, reply)


def _headers_of(scope: Scope) -> dict[bytes, str]:
    found: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        if name in _WANTED:
            text = value.decode("latin-1")
            found[name] = f"{found[name]},{text}" if name in found else text
    return found
