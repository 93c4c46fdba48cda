"""A pytest plugin that sends the test client's requests to HOLDFAST_URL: `-p tests.stack.through`, for tests that speak only HTTP."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from http.client import HTTPConnection
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

_REACH_INSIDE = {"given_with", "queries", "terminations", "bound", "caplog", "monkeypatch"}
"""Fixtures that look into the process that answers, or change it."""


class _Connection(HTTPConnection):
    """Sends any target, also one that http.client takes for a mistake."""

    def _validate_path(self, url: str) -> None:
        """Everything goes."""

    def _encode_request(self, request: str) -> bytes:
        return request.encode("latin-1")


_kept = threading.local()


class Through(FlaskClient):
    """Flask's test client over a kept connection, one for each thread, instead of a call."""

    def run_wsgi_app(self, environ: dict[str, Any], buffered: bool = False) -> tuple[Iterable[bytes], str, Headers]:
        response = _send(environ)
        body = response.read()
        return [body], f"{response.status} {response.reason}", Headers(response.getheaders())


def _send(environ: dict[str, Any]) -> Any:
    if not hasattr(_kept, "connection"):
        _kept.connection = _Connection(urlsplit(os.environ["HOLDFAST_URL"]).netloc, timeout=30)
    connection: HTTPConnection = _kept.connection
    path = quote(environ["PATH_INFO"].encode("latin-1"), safe="/:;,=!$&'()*+@~")
    query = environ.get("QUERY_STRING", "")
    connection.putrequest(environ["REQUEST_METHOD"], f"{path}?{query}" if query else path, skip_host=True, skip_accept_encoding=True)
    for name, value in _headers(environ):
        connection.putheader(name, value.encode("latin-1"))
    with suppress(BrokenPipeError, ConnectionResetError):  # too large: the answer comes before the end of the body
        connection.endheaders(_body(environ))
    return connection.getresponse()


def _headers(environ: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in environ.items():
        name = key.removeprefix("HTTP_").replace("_", "-").title()
        if key.startswith("HTTP_") or (key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value):
            yield name, str(value)


def _body(environ: dict[str, Any]) -> bytes | None:
    content: bytes = environ["wsgi.input"].read()
    if environ.get("HTTP_TRANSFER_ENCODING") == "chunked":
        return b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)
    return content or None


def pytest_configure() -> None:
    Flask.test_client_class = Through


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    inside = [item for item in items if _REACH_INSIDE & set(getattr(item, "fixturenames", ()))]
    config.hook.pytest_deselected(items=inside)
    items[:] = [item for item in items if item not in inside]


@pytest.fixture(autouse=True)
def _at_rest(request: pytest.FixtureRequest) -> None:
    """Nobody is at work with a click of the test before: the lock is that of whoever moves clicks into the database."""
    settings: Settings = request.getfixturevalue("settings")
    request.getfixturevalue("session_app")
    with released(), db.atomic(), redis.Redis.from_url(settings.redis_url) as client:
        database.lock("drain")
        client.flushdb()
