"""The errors that services raise, and the one place that renders every failure."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, g, render_template, request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException

from app import problems
from app.database import DatabaseUnavailable

log = logging.getLogger(__name__)


class ApiError(Exception):
    """An error answer: its status, and a message that names the value."""

    status = 500
    problem_type = problems.NO_TYPE  # a URI where the status says too little

    def __init__(self, message: str, errors: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.errors = errors
        self.headers: dict[str, str] = {}
        self.more: dict[str, Any] = {}  # added to the body


class InvalidInput(ApiError):
    status = 400


class Unauthorized(ApiError):
    status = 401


class Forbidden(ApiError):
    status = 403


class NotFound(ApiError):
    status = 404


class Conflict(ApiError):
    status = 409


class PreconditionFailed(ApiError):
    status = 412


class Unprocessable(ApiError):
    status = 422


class TooManyRequests(ApiError):
    status = 429
    problem_type = problems.QUOTA_EXCEEDED

    def __init__(self, message: str, headers: dict[str, str]) -> None:
        super().__init__(message)
        self.headers = headers


class Unavailable(ApiError):
    status = 503

    def __init__(self, message: str = "Database is unavailable") -> None:
        super().__init__(message)
        self.headers = {"Retry-After": "1"}


class TooLarge(ApiError):
    status = 413

    def __init__(self, most: int) -> None:
        size = f"{most // 1024} KiB" if most < 2**20 else f"{most // 2**20} MiB"
        super().__init__(f"The body is larger than {size}")


class DeadLink(ApiError):
    """A short link that leads nowhere; browsers get a page, others JSON, both with the reason."""

    def __init__(self, status: int, message: str, reason: str = "unknown") -> None:
        super().__init__(message)
        self.status = status
        self.more = {"reason": reason}
        # No cache may keep this: the link may be activated at any moment.
        self.headers = {"Cache-Control": "private, no-store", "Vary": "Accept"}
        self.headers["X-Robots-Tag"] = "noindex"


_PHRASES = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
"""RFC 9110's, which Python has since 3.13."""


def phrase(status: int) -> str:
    """The reason phrase of RFC 9110."""
    return _PHRASES.get(status) or HTTPStatus(status).phrase


def body_of(error: ApiError, request_id: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "error": phrase(error.status),
        "message": error.message,
        "status": error.status,
        "request_id": request_id,
    }
    if error.errors:
        body["errors"] = error.errors
    return body | error.more


class Ready(Response):
    """A response with bytes and headers that need no work: a copy of them takes 10 us of 140."""

    def get_wsgi_headers(self, environ: Any) -> Headers:
        if self.status_code in (204, 304) or "Location" in self.headers:
            return super().get_wsgi_headers(environ)
        return self.headers


def render(error: ApiError) -> Response:
    """In the form that the client accepts: a page, problem details, or our own JSON."""
    body = body_of(error, g.get("request_id", ""))
    page: Response | None = current_app.extensions["holdfast-error-page"](error, body)
    if page is not None:
        page.headers.update(error.headers)
        return page
    accept = request.environ.get("HTTP_ACCEPT", "")
    is_page = isinstance(error, DeadLink) and prefers_html()
    if is_page and not problems.is_wanted(accept, "text/html"):
        return _response(error, render_template("dead_link.html", **body), "text/html")
    return _response(error, *in_form(body, accept, error.problem_type))


def render_json(error: ApiError) -> Response:
    """In our own JSON, whoever asks."""
    return _response(error, text_of(body_of(error, g.get("request_id", ""))), problems.JSON)


def _response(error: ApiError, text: str, kind: str) -> Response:
    response = Ready(text, error.status, mimetype=kind)
    response.headers["Vary"] = "Accept"
    response.headers.update(error.headers)
    return response


def in_form(
    body: dict[str, Any], accept: str, problem_type: str = problems.NO_TYPE
) -> tuple[str, str]:
    """An error's text and media type: problem details for who accepts them, else our own JSON."""
    if problems.is_wanted(accept):
        return text_of(problems.of(body, problem_type)), problems.MEDIA
    return text_of(body), problems.JSON


def text_of(body: dict[str, Any]) -> str:
    return json.dumps(body) + "\n"


def prefers_html() -> bool:
    accepted = request.accept_mimetypes
    return accepted["text/html"] > accepted["application/json"]


def _render_http(error: HTTPException) -> Response:
    """Errors of Flask and Werkzeug keep their status and headers, such as Allow."""
    problem = ApiError(_words(error))
    problem.status = error.code or 500
    response = render(problem)
    response.headers.extend(each for each in error.get_headers() if each[0] != "Content-Type")
    return response


def _words(error: HTTPException) -> str:
    """Our own description, else our message for the status, else Werkzeug's."""
    own = error.description if error.description != type(error).description else None
    words = own or _MESSAGES.get(error.code or 500)
    if own or not words:
        return error.description or ""
    return words.format(path=request.path[:200], method=request.method[:20])


_MESSAGES = {
    400: "The request is not valid HTTP for this address",
    404: "There is nothing at {path}",
    405: "{method} is not allowed at {path}",
    # Werkzeug does not say which of its limits it was.
    413: "The body is too large, or its form has too many parts or too long a field",
}


def _render_unavailable(error: Exception) -> Response:
    log.warning("the database is unavailable: %s", error)
    return render(Unavailable())


def _render_bug(error: Exception) -> Response:
    log.error("unexpected error", exc_info=error)
    return render(ApiError("An unexpected error; the log has it under this request id"))


def install(app: Flask) -> None:
    app.register_error_handler(ApiError, render)
    app.register_error_handler(HTTPException, _render_http)
    app.register_error_handler(DatabaseUnavailable, _render_unavailable)
    app.register_error_handler(Exception, _render_bug)
