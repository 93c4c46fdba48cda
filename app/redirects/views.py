"""Flask's view of the redirect: whatever the front does not answer itself.

No redirect is sent before its click is recorded.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, render_template, request
from werkzeug.datastructures import Headers

from app import metrics, proxies
from app.errors import prefers_html
from app.redirects import cancelling, guesses, recording
from app.redirects.answers import redirect_headers, require_lead, with_query
from app.redirects.clicks import Click, Outcome, visitor
from app.redirects.recording import Found
from app.redirects.visits import ASKING, extras
from app.routes.inputs import Answer, base_url, declares, empty
from app.schemas import Preview, show_preview

bp = Blueprint("redirects", __name__)


@bp.get("/<code:short_code>")
@declares(
    status=302,
    errors=(404, 410, 451),
    headers=("Location", "Cache-Control", "X-Cache", "X-Robots-Tag"),
    scope="public",
)
def follow_code(short_code: str) -> Response:
    """Follow a short link; each GET that is answered with 302 is one click."""
    deactivated_status = current_app.config["DEACTIVATED_STATUS"]
    found = guesses.find(short_code, _address(), _find, is_new="must_run" not in _scope())
    found = require_lead(found, short_code, deactivated_status)
    if request.method != "HEAD":
        metrics.redirects.inc()
    link = with_query(found.link, request.query_string)
    response = empty(link.status, _Verbatim)
    response.headers.update(redirect_headers(link, found.cached))
    return response


@bp.get("/urls/<code:short_code>/redirect")
@declares(
    status=302,
    errors=(404, 410, 451),
    headers=("Location", "Cache-Control", "X-Cache", "X-Robots-Tag"),
    scope="public",
)
def follow_url(short_code: str) -> Response:
    """The same as GET /{short_code}."""
    return follow_code(short_code=short_code)


@bp.get("/<code:short_code>+")
@declares(
    answer=Preview,
    page=True,
    errors=(404, 410, 451),
    headers=("Cache-Control", "Vary", "X-Robots-Tag"),
    scope="public",
)
def preview_code(short_code: str) -> Response | Answer:
    """Where a short link leads, without following it; no click."""
    found = guesses.find(short_code, _address(), recording.peek)
    found = require_lead(found, short_code, current_app.config["DEACTIVATED_STATUS"])
    report = current_app.config["REPORT_ADDRESS"]
    preview = show_preview(found.link, short_code, base_url(), report)
    headers = {"Cache-Control": "private, no-store", "Vary": "Accept", "X-Robots-Tag": "noindex"}
    if prefers_html():
        return Response(render_template("preview.html", **preview), headers=headers)
    return Answer(preview, headers)


def _find(short_code: str) -> Found | None:
    if request.method == "HEAD":
        return recording.peek(short_code)
    scope = _scope()
    if "failure" in scope:
        raise scope["failure"]
    if "found" not in scope:
        return recording.follow(scope.pop("click", None) or _click(short_code))
    found: Found | None = scope["found"]
    return found


@bp.teardown_request
def _cancel(_error: BaseException | None) -> None:
    """Cancels the front's unknown click when the request was refused before the view."""
    scope = _scope()
    click = scope.get("click")
    if click and click.outcome is Outcome.UNKNOWN and "failure" not in scope:
        cancelling.cancel_later(click)


def _scope() -> dict[str, Any]:
    """What the front has learned of this request."""
    scope: dict[str, Any] = request.environ.get("asgi.scope", {})
    return scope


def _address() -> str:
    return request.remote_addr or ""


def _click(short_code: str) -> Click:
    agent, referrer = (request.headers.get(name, "") for name in ("User-Agent", "Referer"))
    said = {name: request.headers[text] for name, text in _ASKING if text in request.headers}
    more = extras(said, request.query_string)
    click = Click(short_code, visitor(_address(), agent, referrer, more))
    click.attempt = request.environ.get(proxies.ATTEMPT, "")
    return click


_ASKING = [(name, name.decode()) for name in ASKING]


class _Verbatim(Response):
    """Werkzeug would rewrite Location; a link leads exactly where its owner said."""

    def get_wsgi_headers(self, environ: Any) -> Headers:
        leads_to = self.headers.pop("Location")
        headers = super().get_wsgi_headers(environ)
        self.headers["Location"] = headers["Location"] = leads_to
        return headers
