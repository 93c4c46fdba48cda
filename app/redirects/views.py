"""The two views of the redirect, ASGI and Flask, and what both answer with.

The front answers GET /<code> of active cached links; everything else goes on to Flask, with what
Redis has said.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from functools import lru_cache
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.datastructures import Headers

from app import logs, metrics
from app.asgi import ClientLeft, Receive, Scope, Send, ThreadedWsgi
from app.errors import DeadLink
from app.proxies import client_address
from app.redirects import recording
from app.redirects.batching import LoopRedis
from app.redirects.connection import RedisUnavailable
from app.redirects.links import ACTIVE, Click, Link, Outcome, link_key, visitor
from app.redirects.recording import Found
from app.routes.given import given
from app.routes.inputs import declares, empty
from app.schemas import location
from app.services.urls import POSSIBLE_CODE, RESERVED

_NOTE_SECONDS = 0.05
bp = Blueprint("redirects", __name__)


@lru_cache(maxsize=2000)
def redirect_headers(link: Link, cached: bool) -> dict[str, str]:
    """What a redirect answers besides its status 302."""
    return {
        "Location": location(link.original_url),
        "Cache-Control": "private, no-store",
        "X-Cache": "HIT" if cached else "MISS",
    }


@bp.get("/<code:short_code>")
@declares(status=302, errors=(404, 410), headers=("Location", "Cache-Control", "X-Cache"))
def follow_code(short_code: str) -> Response:
    """Follow a short link; each GET that is answered with 302 is one click."""
    found = _find(short_code)
    if found is None:
        raise DeadLink(404, f"Short code {short_code[:64]} not found")
    if found.link.state != ACTIVE:
        raise DeadLink(given.deactivated_status, f"Short code {short_code} is deactivated")
    if request.method != "HEAD":
        metrics.redirects.inc()
    response = empty(302, _Verbatim)
    response.headers.update(redirect_headers(*found))
    return response


@bp.get("/urls/<code:short_code>/redirect")
@declares(status=302, errors=(404, 410), headers=("Location", "Cache-Control", "X-Cache"))
def follow_url(short_code: str) -> Response:
    """The same as GET /{short_code}."""
    return follow_code(short_code=short_code)


def _find(short_code: str) -> Found | None:
    if not POSSIBLE_CODE.fullmatch(short_code):
        return None
    if request.method == "HEAD":
        return recording.peek(short_code)
    return recording.follow(_click(short_code))


def _click(short_code: str) -> Click:
    """The click of this request; the front may have asked Redis for it."""
    begun: Click | None = request.environ.get("asgi.scope", {}).get("click")
    if begun:
        return begun
    headers = request.headers
    agent, referrer = headers.get("User-Agent", ""), headers.get("Referer", "")
    return Click(short_code, visitor(request.remote_addr or "", agent, referrer))


class _Verbatim(Response):
    """Werkzeug would rewrite Location; a link leads exactly where its owner said."""

    def get_wsgi_headers(self, environ: Any) -> Headers:
        leads_to = self.headers.pop("Location")
        headers = super().get_wsgi_headers(environ)
        self.headers["Location"] = headers["Location"] = leads_to
        return headers


class Front:
    """The application that Gunicorn serves: `flask`, and before it the redirect by `redis`."""

    def __init__(self, flask: ThreadedWsgi, redis: LoopRedis | None, trusted_proxies: int) -> None:
        self._flask, self._redis, self._trusted_proxies = flask, redis, trusted_proxies
        self._seconds: list[float] = []
        self._note_is_due = False
        self._with_flask = 0  # requests that it has not answered yet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        with suppress(ClientLeft, asyncio.CancelledError):  # nobody waits for an answer any more
            if not (
                scope["method"] == "GET"
                and _may_be_code(scope["path"])
                and await self._answer(scope, send)
            ):
                await self._ask_flask(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        for step in ("startup", "shutdown"):
            await receive()
            self._note()
            await send({"type": f"lifespan.{step}.complete"})
        if self._redis:
            self._redis.close()

    async def _ask_flask(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._with_flask += 1
        self._note_soon()
        try:
            await self._flask(scope, receive, send)
        finally:
            self._with_flask -= 1
            self._note_soon()

    async def _answer(self, scope: Scope, send: Send) -> bool:
        """Answers when Redis holds an active link; otherwise Flask does, with scope["click"]."""
        connection = self._redis.connection() if self._redis else None
        if connection is None:
            return False
        began = time.perf_counter()
        who, request_id = _sender_of(scope, self._trusted_proxies)
        click = scope["click"] = Click(scope["path"][1:], who)
        try:
            click.learn(await connection.follow(link_key(click.short_code), click.line()))
        except RedisUnavailable:
            click.outcome, scope["must_run"] = Outcome.UNKNOWN, True
        if click.link is None or click.outcome is not Outcome.RECORDED:
            return False
        headers = [*_headers(click.link), (b"X-Request-ID", request_id.encode("ascii"))]
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send(_NO_BODY)
        seconds = time.perf_counter() - began
        self._seconds.append(seconds)
        logs.notes.add(logs.Line(time.time(), request_id, scope["path"], seconds))
        self._note_soon()
        return True

    def _note_soon(self) -> None:
        if not self._note_is_due:
            self._note_is_due = True
            asyncio.get_running_loop().call_later(_NOTE_SECONDS, self._note)

    def _note(self) -> None:
        """Counts and logs what was answered since the last time, all in one go."""
        self._note_is_due = False
        if self._seconds:
            metrics.observe_cached_redirects(self._seconds)
            self._seconds = []
        logs.notes.write()
        if self._with_flask:
            self._note_soon()


def _may_be_code(path: str) -> bool:
    return POSSIBLE_CODE.fullmatch(path, 1) is not None and path[1:].lower() not in RESERVED


_NO_BODY = {"type": "http.response.body", "body": b""}


@lru_cache(maxsize=2000)
def _headers(link: Link) -> tuple[tuple[bytes, bytes], ...]:
    """What Flask adds to each answer, and what both views answer with."""
    headers = {**redirect_headers(link, True), "Content-Length": "0", **_ALWAYS}
    return tuple((name.encode("ascii"), value.encode("ascii")) for name, value in headers.items())


_ALWAYS = {"X-Content-Type-Options": "nosniff"}


_WANTED = frozenset((b"user-agent", b"referer", b"x-request-id", b"x-forwarded-for"))


def _sender_of(scope: Scope, trusted_proxies: int) -> tuple[str, str]:
    """The visitor, as a click keeps it, and the request's id."""
    found: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        if name in _WANTED:
            text = value.decode("latin-1")
            found[name] = f"{found[name]},{text}" if name in found else text
    sender = scope["client"][0] if scope["client"] else ""
    address = client_address(found.get(b"x-forwarded-for", ""), sender, trusted_proxies)
    who = visitor(address, found.get(b"user-agent", ""), found.get(b"referer", ""))
    return who, logs.request_id(found.get(b"x-request-id"))
