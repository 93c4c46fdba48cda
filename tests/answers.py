"""Sends requests exactly as they are written, and says what every answer must look like."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_to_bytes

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

ERROR_KEYS = {"error", "message", "status", "request_id"}


def send(client: FlaskClient, method: str, target: str, **more: Any) -> TestResponse:
    """A request for `target` as a server hands it to the application: nothing in it is tidied."""
    path, _, query = target.partition("?")
    raw = {"PATH_INFO": unquote_to_bytes(path).decode("latin-1"), "QUERY_STRING": query}
    return client.open(
        "/", method=method, environ_overrides={**raw, **more.pop("environ", {})}, **more
    )


def check(response: TestResponse, *statuses: int) -> TestResponse:
    """Fails unless the status is one of `statuses` and the answer keeps what the contract says of
    every answer.
    """
    assert response.status_code in statuses, (
        f"{response.status_code}, not {statuses}: {response.text[:300]}"
    )
    assert response.headers["X-Request-ID"]
    if response.status_code >= 400:
        check_error(response)
    elif response.status_code in (204, 302):
        assert response.data == b""
        assert "Content-Type" not in response.headers
    return response


def check_error(response: TestResponse) -> None:
    assert response.mimetype == "application/json"
    if response.request.method == "HEAD":
        return
    body = response.get_json()
    assert ERROR_KEYS <= set(body) <= ERROR_KEYS | {"errors", "reason"}
    assert body["status"] == response.status_code
    assert body["error"]
    assert body["message"]
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert "Traceback" not in response.text
    if response.status_code in (429, 503):
        assert int(response.headers["Retry-After"]) > 0
    if response.status_code == 405:
        assert response.headers["Allow"]
