"""The constant answers that Holdfast is measured against: nothing looked up, nothing stored."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

from app.asgi import ThreadedWsgi
from app.redirects.front import Front

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
LOCATION = "https://example.com/constant"
_START = {
    "type": "http.response.start",
    "status": 302,
    "headers": [(b"location", LOCATION.encode()), (b"content-length", b"0")],
}
_BODY = {"type": "http.response.body", "body": b""}


async def constant_asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[Any]],
    send: Callable[[Any], Awaitable[None]],
) -> None:
    if scope["type"] == "http":
        await send(_START)
        await send(_BODY)
    elif scope["type"] == "lifespan":
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})


constant_flask = Flask(__name__)


@constant_flask.get("/<short_code>")
def redirect(short_code: str) -> Response:
    response = Response(status=302)
    response.headers["Location"] = LOCATION
    return response


def threaded_flask() -> Front:
    """It, on the threads on which Holdfast runs its own Flask."""
    return _threaded(constant_flask)


def _threaded(flask: Flask) -> Front:
    return Front(ThreadedWsgi(flask, 8), None, 0)


def constant_bytes() -> Front:
    """Answers everything with the content of the file that BODY names."""
    app, body = Flask(__name__), Path(os.environ["BODY"]).read_bytes()

    @app.get("/", defaults={"path": ""})
    @app.get("/<path:path>")
    def answer(path: str) -> Response:
        return Response(body, content_type="application/json")

    return _threaded(app)


def constant_answers() -> Front:
    """Answers by the number in X-Case, as the file that ANSWERS names: [status, headers, body]."""
    app = Flask(__name__)
    kept = json.loads(Path(os.environ["ANSWERS"]).read_text())
    answers = [(body.encode("latin-1"), status, headers) for status, headers, body in kept]

    @app.route("/", methods=_METHODS, defaults={"path": ""}, provide_automatic_options=False)
    @app.route("/<path:path>", methods=_METHODS, provide_automatic_options=False)
    def answer(path: str) -> Response:
        return Response(*answers[int(request.headers.get("X-Case", 0))])

    return _threaded(app)
