"""The redirect: the one request that must be fast, exact, and up when everything else is down."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, request
from werkzeug.datastructures import Headers

from app import metrics
from app.cache import ACTIVE
from app.clicks import Click, visitor
from app.errors import DeadLink
from app.routes.inputs import declares, empty
from app.schemas import location
from app.services import urls

bp = Blueprint("redirects", __name__)


@bp.get("/<code:short_code>")
@declares(status=302, errors=(404, 410), headers=("Location", "Cache-Control", "X-Cache"))
def follow_code(short_code: str) -> Response:
    """Follow a short link; each GET that is answered with 302 is one click."""
    found = _find(short_code)
    if found is None:
        raise DeadLink(404, f"Short code {short_code[:64]} not found")
    if found.link.state != ACTIVE:
        status = current_app.config["DEACTIVATED_STATUS"]
        raise DeadLink(status, f"Short code {short_code} is deactivated")
    return _redirect(found)


@bp.get("/urls/<code:short_code>/redirect")
@declares(status=302, errors=(404, 410), headers=("Location", "Cache-Control", "X-Cache"))
def follow_url(short_code: str) -> Response:
    """The same as GET /{short_code}."""
    return follow_code(short_code=short_code)


def _find(short_code: str) -> urls.Found | None:
    if not urls.POSSIBLE_CODE.fullmatch(short_code):
        return None
    if request.method == "HEAD":
        return urls.peek(short_code)
    return urls.follow(_click(short_code))


def _click(short_code: str) -> Click:
    """The click of this request; the fast lane may have begun it and got no answer."""
    begun: Click | None = request.environ.get("asgi.scope", {}).get("unsure_click")
    headers = request.headers
    return begun or Click(
        short_code,
        visitor(
            request.remote_addr or "", headers.get("User-Agent", ""), headers.get("Referer", "")
        ),
    )


class _Verbatim(Response):
    """Werkzeug would rewrite Location; a link leads exactly where its owner said."""

    def get_wsgi_headers(self, environ: Any) -> Headers:
        leads_to = self.headers.pop("Location")
        headers = super().get_wsgi_headers(environ)
        self.headers["Location"] = headers["Location"] = leads_to
        return headers


def _redirect(found: urls.Found) -> Response:
    if request.method != "HEAD":
        metrics.redirects.inc()
    response = empty(302, _Verbatim)
    response.headers["Location"] = location(found.link.original_url)
    response.headers["Cache-Control"] = "private, no-store"
    response.headers["X-Cache"] = "HIT" if found.cached else "MISS"
    return response
