"""A pytest plugin that sends the test client's requests to HOLDFAST_URL: `-p tests.stack.through`,
for tests that speak only HTTP.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers

from app import database
from app.config import Settings
from app.database import db, released

_INSIDE = {"given_with", "queries", "terminations", "bound", "caplog", "monkeypatch"}
"""Fixtures that look into the process that answers, or change it."""

_OTHERWISE = {
    "test_every_request_logs_its_start_and_its_end": "the instance has its replica's name",
    "test_a_redirect_logs_its_end_only": ("the front writes its lines a moment after the answers"),
    "test_every_answered_redirect_is_one_click_that_the_next_read_shows": (
        "the visitor is not 127.0.0.1"
    ),
    **dict.fromkeys(
        (
            "test_a_row_says_who_when_what_from_what_to_what",
            "test_filters_select_and_pages_divide",
            "test_pages_are_linked",
            "test_the_trail_is_exported_with_its_filters",
            "test_a_cell_of_the_export_is_no_formula",
        ),
        "rows of the audit trail stay from test to test",
    ),
    "test_long_headers_of_a_visitor_are_cut": "Nginx refuses header lines of more than 8 KiB",
    "test_a_browser_gets_a_dead_link_as_a_page_and_nobody_keeps_it[/%00]": (
        "Nginx refuses the path by itself, and has no page"
    ),
    "test_visits_that_lead_nowhere_are_orphans": "each replica notes them up to a second later",
    "test_orphans_are_noted_without_anybody_asking": "so do those of the tests before it",
    "test_an_odd_path_is_not_found_and_never_tidied['']": "not HTTP",
    "test_an_odd_path_is_not_found_and_never_tidied['*']": "not HTTP",
    "test_odd_headers_change_nothing['Host'-'']": "not HTTP",
    "test_odd_headers_change_nothing['Host'-'evil example']": "not HTTP",
    "test_odd_headers_change_nothing['Host'-'a/b']": "not HTTP",
    "test_odd_headers_change_nothing['Content-Length'-'x']": "not HTTP",
    "test_odd_headers_change_nothing['Content-Length'-'-1']": "not HTTP",
    "test_odd_headers_change_nothing['Content-Length'-'1.5']": "not HTTP",
    "test_an_unknown_method_is_not_allowed[method5]": (
        "not HTTP for Gunicorn, which knows no method of 200 letters"
    ),
}
"""Tests that find something else behind Nginx, and what."""


_PRINTABLE = "".join(map(chr, range(33, 127)))


class _Connection(HTTPConnection):
    """Sends any target, also one that http.client takes for a mistake."""

    def _validate_path(self, url: str) -> None:
        """Everything goes."""

    def _encode_request(self, request: str) -> bytes:
        return request.encode("latin-1")


class Through(FlaskClient):
    """Flask's test client, with a connection to the stack for each request instead of a call."""

    def run_wsgi_app(
        self, environ: dict[str, Any], buffered: bool = False
    ) -> tuple[Iterable[bytes], str, Headers]:
        with closing(
            _Connection(urlsplit(os.environ["HOLDFAST_URL"]).netloc, timeout=30)
        ) as connection:
            response = _answer(connection, environ)
            return (
                [response.read()],
                f"{response.status} {response.reason}",
                Headers(response.getheaders()),
            )


def _answer(connection: HTTPConnection, environ: dict[str, Any]) -> HTTPResponse:
    path = quote(environ["PATH_INFO"].encode("latin-1"), safe="/:;,=!$&'()*+@~")
    query = quote(environ.get("QUERY_STRING", "").encode("latin-1"), safe=_PRINTABLE)
    connection.putrequest(
        environ["REQUEST_METHOD"],
        f"{path}?{query}" if query else path,
        skip_host=True,
        skip_accept_encoding=True,
    )
    for name, value in _headers(environ):
        connection.putheader(name, value.encode("latin-1"))
    with suppress(
        BrokenPipeError, ConnectionResetError
    ):  # too large: the answer comes before the end of the body
        connection.endheaders(_body(environ))
    return connection.getresponse()


def _headers(environ: dict[str, Any]) -> Iterator[tuple[str, str]]:
    content = (
        ("CONTENT_TYPE",)
        if "HTTP_TRANSFER_ENCODING" in environ
        else ("CONTENT_TYPE", "CONTENT_LENGTH")
    )
    for key, value in environ.items():
        if key.startswith("HTTP_") or (key in content and value):
            yield key.removeprefix("HTTP_").replace("_", "-").title(), str(value)


def _body(environ: dict[str, Any]) -> bytes | None:
    content: bytes = environ["wsgi.input"].read()
    if environ.get("HTTP_TRANSFER_ENCODING") == "chunked":
        return b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)
    return content or None


def pytest_configure() -> None:
    Flask.test_client_class = Through


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [
        item
        for item in items
        if _INSIDE & set(getattr(item, "fixturenames", ()))
        or _OTHERWISE.keys() & {item.name, item.name.split("[")[0]}
    ]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True)
def _at_rest(request: pytest.FixtureRequest) -> None:
    """Nobody is at work with a click of the test before: the lock is that of whoever moves clicks
    into the database.
    """
    settings: Settings = request.getfixturevalue("settings")
    request.getfixturevalue("session_app")
    with released(), db.atomic(), redis.Redis.from_url(settings.redis_url) as client:
        database.lock("drain")
        client.flushdb()
