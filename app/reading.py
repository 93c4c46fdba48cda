"""Reads requests like uvicorn, with limits, and corrects what its parser reads wrongly."""

from __future__ import annotations

from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app import heads

MOST_PIPELINED = 1000


class _UpgradeWithBody(Exception):
    """The parser would take the body of this request for another protocol."""


class Reader(HttpToolsProtocol):
    """The input of a connection; errors go to `refuse`, which the subclass has."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._in_head, self._raw = True, b""  # the request line and headers, as far as they came
        self._requests_begun = 0  # by the bytes that are being parsed
        self._method = b""  # the real one of a request that was parsed as PATCH
        self._most_head_bytes = 0  # of the current head, with what came beside it
        self._header_bytes = 0  # that came without an end of a header or trailer
        self._refusal: heads.Problem | None = None  # to be sent after the running answer
        self._ignores_input = False
        self._since, self._bytes = self.loop.time(), 0  # of the current head, body or pause

    def refuse(self, status: int, why: str) -> None:
        raise NotImplementedError

    def begin_answer(self, after_body: bool) -> None:
        raise NotImplementedError

    def begin_at_once(self, keep_alive: bool) -> bool:
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._ignores_input:
            return
        if self._in_head:
            self._raw += data
            self._most_head_bytes += len(data)
        else:
            self._raw = b"" if self.cycle.more_body else data
            self._most_head_bytes = len(data)
        content = len(self.cycle.body) if self.cycle else 0
        self._feed(data)
        self._check_size(data, content)

    def _check_size(self, data: bytes, content: int) -> None:
        """Limits headers and trailers, which the parser keeps until they are complete."""
        body_grows = self._in_head or not self.cycle.more_body or len(self.cycle.body) > content
        self._header_bytes = 0 if body_grows else self._header_bytes + len(data)
        if self._ignores_input:
            return
        if self._in_head and len(self._raw) > heads.MOST_HEAD_BYTES:
            self.refuse(*(heads.LONG_HEAD if b"\n" in self._raw else heads.LONG_URL))
        elif self._header_bytes > heads.MOST_HEAD_BYTES:
            self.refuse(*heads.LONG_HEAD)

    def _feed(self, data: bytes) -> None:
        """Gives `data` to the parser; after an upgrade too, as HTTP is all that we speak."""
        self._requests_begun = 0
        while data and not self._ignores_input:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                self._retry_or_refuse(error)
                return

    def _retry_or_refuse(self, error: httptools.HttpParserError) -> None:
        """Parses again what the parser cannot: an unknown method, an upgrade with a body."""
        raw = self._raw if self._requests_begun <= 1 else b""
        if isinstance(error, httptools.HttpParserInvalidMethodError) and heads.method_of(raw):
            self._method = heads.method_of(raw)
            self._parse_again(b"PATCH" + raw[len(self._method) :])
        elif isinstance(error.__context__, _UpgradeWithBody) and raw:
            self._parse_again(heads.without_upgrade(raw))
        elif self._refusal:
            self.refuse(*self._refusal)
        else:
            ours = isinstance(error, httptools.HttpParserCallbackError)
            self.refuse(400, "The request is not valid HTTP" if ours else str(error))

    def _parse_again(self, raw: bytes) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._raw = b""
        self._feed(raw)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._requests_begun += 1
        if not self._in_head:
            self._in_head, self._since, self._bytes = True, self.loop.time(), 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:  # a trailer is no header
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version()
        self._refusal = heads.problem_of(self.url, self.headers, version, self._most_head_bytes)
        if self._refusal:
            raise ValueError
        method = self.parser.get_method()
        self.url = heads.origin_form(self.url, method)
        has_body = heads.has_body(self.headers)
        if has_body and self.parser.should_upgrade():
            raise _UpgradeWithBody
        self._in_head, self._raw, self._since, self._bytes = False, b"", self.loop.time(), 0
        if has_body or method != b"GET" or not self._began(version):
            self._begin_cycle(has_body)

    def _begin_cycle(self, has_body: bool) -> None:
        super().on_headers_complete()
        if self._method:
            self.scope["method"], self._method = self._method.decode(), b""
        if self.scope["method"] == "CONNECT":
            self.cycle.keep_alive, self._ignores_input = False, True
        if len(self.pipeline) > MOST_PIPELINED:
            self.transport.abort()
        self.begin_answer(has_body or self._ignores_input)

    def _began(self, version: str) -> bool:
        """Whether a GET is answered without uvicorn's cycle; `scope` is what that one makes it."""
        if self.expect_100_continue or self.parser.should_upgrade():
            return False
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        if "%" in path:
            return False
        scope = self.scope
        scope["method"], scope["http_version"] = "GET", version
        scope["path"], scope["raw_path"] = path, url.path
        scope["query_string"] = url.query or b""
        return self.begin_at_once(version != "1.0" and self.parser.should_keep_alive())
