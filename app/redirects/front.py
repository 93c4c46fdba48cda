"""The front: answers GET /<code> on the event loop, and hands everything else to Flask.

No redirect is sent before its click is recorded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any, NamedTuple

from app import logs, metrics
from app.asgi import ClientLeft, Receive, Scope, Send, ThreadedWsgi
from app.database import released
from app.errors import DeadLink, body_of, in_form
from app.migrations import schema
from app.proxies import client_address
from app.redirects import attempts, guesses
from app.redirects.answers import redirect_headers, require_lead, with_query
from app.redirects.batching import LoopRedis
from app.redirects.clicks import Click, Outcome, visitor
from app.redirects.connection import RedisUnavailable
from app.redirects.links import Link, link_key
from app.redirects.visits import ASKING, extras
from app.schemas import POSSIBLE_CODE, RESERVED

_REPORT_SECONDS = 0.05
_FEW = 4


class Front:
    """The application that Gunicorn serves: `flask`, and before it the redirect by `redis`."""

    deactivated_status = 410
    cors: Callable[[str], dict[str, str]] | None = None
    """What answers to a request of this origin say besides; None where no site is allowed."""

    def __init__(self, flask: ThreadedWsgi, redis: LoopRedis | None, trusted_proxies: int) -> None:
        self._flask, self._redis, self._trusted_proxies = flask, redis, trusted_proxies
        self._seconds: list[float] = []
        self._report_is_due = False
        self._with_flask = 0  # requests that it has not answered yet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        with suppress(ClientLeft, asyncio.CancelledError):  # nobody waits for an answer any more
            follows = scope["method"] == "GET" and _may_be_code(scope["path"])
            if not (follows and await self._answer(scope, send)):
                await self._ask_flask(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        for step in ("startup", "shutdown"):
            await receive()
            self._report()
            await send({"type": f"lifespan.{step}.complete"})
        if self._redis:
            self._redis.close()

    async def _ask_flask(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._with_flask += 1
        self._report_soon()
        try:
            await self._flask(scope, receive, send)
        finally:
            self._with_flask -= 1
            self._report_soon()

    async def _answer(self, scope: Scope, send: Send) -> bool:
        """Answers plain requests; for others Flask does, with what is in `scope` by then."""
        connection = self._redis.connection() if self._redis else None
        if connection is None:
            return False
        began = time.perf_counter()
        said = _headers_of(scope)
        request_id = logs.request_id(said.get(b"x-request-id"))
        click = scope["click"] = self._click(scope, said)
        try:
            click.learn(await connection.follow(link_key(click.short_code), click.line()))
        except RedisUnavailable:
            click.outcome, scope["must_run"] = Outcome.UNKNOWN, True
        if cached := click.link if click.outcome is Outcome.RECORDED else None:
            answer = _redirect(cached, True, scope["query_string"])
        elif (answer := await self._resolve(scope, said, request_id)) is None:
            return False
        cors = _bytes_of(self.cors(said.get(b"origin", ""))) if self.cors else ()
        headers = [*answer.headers, (b"X-Request-ID", request_id.encode("ascii")), *cors]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})
        seconds = time.perf_counter() - began
        if cached and answer.status == 302:
            self._seconds.append(seconds)
        else:
            metrics.observe_request("GET", "redirects.follow_code", answer.status, seconds)
        line = logs.Line(time.time(), request_id, scope["path"], seconds, status=answer.status)
        logs.request_lines.add(line)
        self._report_soon()
        return True

    def _click(self, scope: Scope, said: dict[bytes, str]) -> Click:
        peer, hops = (scope["client"] or ("",))[0], self._trusted_proxies
        ip = client_address(said.get(b"x-forwarded-for", ""), peer, hops)
        agent, referrer = said.get(b"user-agent", ""), said.get(b"referer", "")
        scope["address"] = ip
        more = extras(said, scope["query_string"])
        return Click(scope["path"][1:], visitor(ip, agent, referrer, more))

    async def _resolve(self, scope: Scope, said: dict[bytes, str], request_id: str) -> Any:
        """The answer by the database, on a thread of Flask's; None when Flask must give it."""
        if error := guesses.refusal(scope["click"], scope["address"]):
            accept = said.get(b"accept", "*/*")
            # A browser gets a page, as long as Flask is not busy with such requests.
            is_flasks = "text/html" in accept and self._with_flask < _FEW
            return None if is_flasks else _error(error, request_id, accept)
        if self._trusted_proxies:
            scope["click"].attempt = _attempt_of(scope)
        plain = not said.keys() & _BODY and said.get(b"accept", "*/*") in _NOT_HTML
        if "must_run" in scope or not plain or not schema.ready or self._flask.full:
            return None
        return await self._flask.run(_resolved_answer, (scope, request_id, self.deactivated_status))

    def _report_soon(self) -> None:
        if not self._report_is_due:
            self._report_is_due = True
            asyncio.get_running_loop().call_later(_REPORT_SECONDS, self._report)

    def _report(self) -> None:
        """Counts and logs what was answered since the last time, all in one go."""
        self._report_is_due = False
        if self._seconds:
            metrics.observe_cached_redirects(self._seconds)
            self._seconds = []
        metrics.write()
        logs.request_lines.write()
        if self._with_flask:
            self._report_soon()


def _may_be_code(path: str) -> bool:
    return POSSIBLE_CODE.fullmatch(path, 1) is not None and path[1:].lower() not in RESERVED


class _Answer(NamedTuple):
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes = b""


def _encoded(headers: dict[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    """With what Flask adds to each answer."""
    return _bytes_of({**headers, "X-Content-Type-Options": "nosniff"})


def _bytes_of(headers: dict[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.encode("ascii"), value.encode("ascii")) for name, value in headers.items())


def _redirect(link: Link, cached: bool, query: bytes) -> _Answer:
    if link.status == 302 and not link.forwards:
        return _kept_redirect(link, cached)
    return _new_redirect(with_query(link, query), cached)


def _new_redirect(link: Link, cached: bool) -> _Answer:
    headers = {**redirect_headers(link, cached), "Content-Length": "0"}
    return _Answer(link.status, _encoded(headers))


_kept_redirect = lru_cache(maxsize=2000)(_new_redirect)


def _error(error: DeadLink, request_id: str, accept: str = "*/*") -> _Answer:
    """As Flask renders it, but for the page."""
    text, kind = in_form(body_of(error, request_id), accept, error.problem_type)
    content = text.encode()
    headers = {"Content-Type": kind, "Content-Length": str(len(content)), **error.headers}
    return _Answer(error.status, _encoded(headers), content)


def _resolved_answer(asked: tuple[Scope, str, int]) -> _Answer | None:
    """Without Flask, which takes three times as long; Flask answers when the database fails."""
    scope, request_id, deactivated_status = asked
    short_code = scope["path"][1:]
    try:
        with released():
            scope["found"] = guesses.follow(scope["click"], scope["address"])
        found = require_lead(scope["found"], short_code, deactivated_status)
    except DeadLink as error:
        return _error(error, request_id)
    except Exception as error:  # noqa: BLE001 - Flask answers for it
        scope["failure"] = error
        return None
    metrics.redirects.inc()
    return _redirect(*found, scope["query_string"])


def _attempt_of(scope: Scope) -> str:
    """Looked for here, not among the headers of each request: few redirects need it."""
    found = (value for name, value in scope["headers"] if name == _ATTEMPT)
    return next(found, b"").decode("latin-1")


_ATTEMPT = attempts.HEADER.lower().encode()
_BODY = {b"content-length", b"transfer-encoding"}
_NOT_HTML = {"*/*", "application/json"}
_USUAL = {b"user-agent", b"referer", b"x-request-id", b"x-forwarded-for", b"accept", *_BODY}
_WANTED = _USUAL | ASKING | {b"origin"}


def _headers_of(scope: Scope) -> dict[bytes, str]:
    """The headers that matter here; those that come twice in one."""
    found: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        if name in _WANTED:
            text = value.decode("latin-1")
            found[name] = f"{found[name]},{text}" if name in found else text
    return found
