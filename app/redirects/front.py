"""The front: answers GET /<code> on the event loop, and hands everything else to Flask.

No redirect is sent before its click is recorded.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple, cast

from app import logs, metrics
from app.asgi import ClientLeft, Receive, Scope, Send, ThreadedWsgi
from app.database import released
from app.direct import Exchange, lines_of
from app.errors import DeadLink, body_of, in_form
from app.migrations import schema
from app.redirects import guesses
from app.redirects.answers import redirect_headers, require_lead, with_query
from app.redirects.batching import LoopRedis
from app.redirects.connection import RedisUnavailable
from app.redirects.links import Link
from app.redirects.requests import CodeRequest, ask, may_follow

log = logging.getLogger(__name__)

_REPORT_SECONDS = 0.05
_FEW = 4
_ORIGINS = 100  # whose headers are kept; anybody may name any number of them
_NOT_HTML = {"*/*", "application/json"}

Headers = tuple[tuple[bytes, bytes], ...]


class Front:
    """The application that Gunicorn serves: `flask`, and before it the redirect by `redis`."""

    deactivated_status = 410

    def __init__(self, flask: ThreadedWsgi, redis: LoopRedis | None, trusted_proxies: int) -> None:
        self._flask, self._redis, self._trusted_proxies = flask, redis, trusted_proxies
        self._cors: Callable[[str], _Cors] | None = None
        self._seconds: list[float] = []
        self._report_is_due = False
        self._with_flask = 0  # requests that it has not answered yet

    def allow(self, headers_for: Callable[[str], dict[str, str]]) -> None:
        """Lets websites read answers. `headers_for`: what those to requests of an origin say."""
        self._cors = lru_cache(maxsize=_ORIGINS)(lambda origin: _cors_of(headers_for(origin)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        with suppress(ClientLeft, asyncio.CancelledError):  # nobody waits for an answer any more
            asked = scope.get("asked") or self._ask(scope)
            if not (asked and await self._answer(asked, send)):
                await self._ask_flask(scope, receive, send)

    def begin(self, scope: Scope, exchange: Exchange) -> bool:
        """Answers a cached link as soon as Redis tells it, without a task, and nothing else."""
        asked = self._ask(scope)
        if asked:
            asked.reply.add_done_callback(lambda _reply: self._go_on(asked, exchange))
        return asked is not None

    def _go_on(self, asked: CodeRequest, exchange: Exchange) -> None:
        answer = None
        try:
            link = asked.learn()
            if link and not exchange.left:
                answer = _redirect(link, True, asked.scope["query_string"])
                lines = answer.lines + asked.id_line + self._cors_for(asked).lines
                exchange.answer(answer.status, lines)
        except Exception:
            log.exception("A redirect is tried again in a task")
        if answer and exchange.response_complete:
            self._note(asked, answer.status, True)
        elif not exchange.left:
            asked.scope["asked"] = asked  # only here: a reference cycle costs 5 % of a redirect
            exchange.hand_on()

    def _ask(self, scope: Scope) -> CodeRequest | None:
        """None when there is nothing to ask Redis, or no Redis to be asked."""
        redis = self._redis.connection() if self._redis and may_follow(scope) else None
        return ask(scope, redis, self._trusted_proxies) if redis else None

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

    async def _answer(self, asked: CodeRequest, send: Send) -> bool:
        """Answers plain requests; for others Flask does, with what is in the scope by then."""
        with suppress(RedisUnavailable):
            await asked.reply
        if link := asked.learn():
            answer: _Answer | None = _redirect(link, True, asked.scope["query_string"])
        else:
            answer = await self._resolve(asked)
        if answer is None:
            return False
        own = (b"X-Request-ID", asked.request_id.encode("ascii"))
        headers = [*answer.headers, own, *self._cors_for(asked).headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})
        self._note(asked, answer.status, link is not None)
        return True

    def _cors_for(self, asked: CodeRequest) -> _Cors:
        return self._cors(asked.said.get(b"origin", "")) if self._cors else _NO_CORS

    def _note(self, asked: CodeRequest, status: int, hit: bool) -> None:
        """Counts and logs an answer, later."""
        seconds = time.perf_counter() - asked.began
        if hit and status == 302:
            self._seconds.append(seconds)
        else:
            metrics.observe_request("GET", "redirects.follow_code", status, seconds)
            if hit:
                metrics.redirects.inc()
                metrics.cache_hits.inc()
        path = asked.scope["path"]
        line = logs.Line(time.time(), asked.request_id, path, seconds, status=status)
        logs.request_lines.add(line)
        self._report_soon()

    async def _resolve(self, asked: CodeRequest) -> _Answer | None:
        """The answer by the database, on a thread of Flask's; None when Flask must give it."""
        accept = asked.said.get(b"accept", "*/*")
        if error := guesses.refusal(asked.click, asked.address):
            # A browser gets a page, as long as Flask is not busy with such requests.
            is_flasks = "text/html" in accept and self._with_flask < _FEW
            return None if is_flasks else _error(error, asked.request_id, accept)
        if self._trusted_proxies:
            asked.click.attempt = asked.attempt
        plain = not asked.has_body and accept in _NOT_HTML
        if "must_run" in asked.scope or not plain or not schema.ready or self._flask.full:
            return None
        call = asked, self.deactivated_status
        return cast("_Answer | None", await self._flask.run(_resolved_answer, call))

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


class _Cors(NamedTuple):
    headers: Headers
    lines: bytes  # the same as they are sent


_NO_CORS = _Cors((), b"")


def _cors_of(said: dict[str, str]) -> _Cors:
    headers = _bytes_of(said)
    return _Cors(headers, lines_of(headers))


class _Answer(NamedTuple):
    status: int
    headers: Headers
    body: bytes = b""
    lines: bytes = b""  # the headers as they are sent


def _encoded(headers: dict[str, str]) -> Headers:
    """With what Flask adds to each answer."""
    return _bytes_of({**headers, "X-Content-Type-Options": "nosniff"})


def _bytes_of(headers: dict[str, str]) -> Headers:
    return tuple((name.encode("ascii"), value.encode("ascii")) for name, value in headers.items())


def _redirect(link: Link, cached: bool, query: bytes) -> _Answer:
    if link.status == 302 and not link.forwards:
        return _kept_redirect(link, cached)
    return _new_redirect(with_query(link, query), cached)


def _new_redirect(link: Link, cached: bool) -> _Answer:
    headers = _encoded({**redirect_headers(link, cached), "Content-Length": "0"})
    return _Answer(link.status, headers, lines=lines_of(headers))


_kept_redirect = lru_cache(maxsize=2000)(_new_redirect)


def _error(error: DeadLink, request_id: str, accept: str = "*/*") -> _Answer:
    """As Flask renders it, but for the page."""
    text, kind = in_form(body_of(error, request_id), accept, error.problem_type)
    content = text.encode()
    headers = {"Content-Type": kind, "Content-Length": str(len(content)), **error.headers}
    return _Answer(error.status, _encoded(headers), content)


def _resolved_answer(call: tuple[CodeRequest, int]) -> _Answer | None:
    """Without Flask, which takes three times as long; Flask answers when the database fails."""
    asked, deactivated_status = call
    scope = asked.scope
    try:
        with released():
            scope["found"] = guesses.follow(asked.click, asked.address)
        found = require_lead(scope["found"], asked.click.short_code, deactivated_status)
    except DeadLink as error:
        return _error(error, asked.request_id)
    except Exception as error:  # noqa: BLE001 - Flask answers for it
        scope["failure"] = error
        return None
    metrics.redirects.inc()
    return _redirect(*found, scope["query_string"])
