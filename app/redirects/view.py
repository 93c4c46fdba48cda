"""The Flask view of the redirect, and what both views answer with."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from flask import Blueprint, Response, current_app, request
from werkzeug.datastructures import Headers

from app import metrics
from app.errors import DeadLink
from app.redirects import recording
from app.redirects.links import ACTIVE, Click, Link, visitor
from app.redirects.recording import Found
from app.routes.inputs import declares, empty
from app.schemas import location
from app.services.urls import POSSIBLE_CODE

bp = Blueprint("redirects", __name__)


@lru_cache(maxsize=2000)
def redirect_headers(link: Link, cached: bool) -> dict[str, str]:
    """What a redirect answers besides its status 302."""
    return {
        "Location": location(link.original_url),
        "Cache-Control": "private, no-store",
        "X-Cache": "HIT" if cached else "MISS",
    }


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
    if request.method != "HEAD":
        metrics.redirects.inc()
    response = empty(302, _Verbatim)
    response.headers.update(redirect_headers(*found))
    return response


@bp.get("/urls/<code:short_code>/redirect")
@declares(status=302, errors=(404, 410), headers=("Location", "Cache-Control", "X-Cache"))
def follow_url(short_code: str) -> Response:
    """The same as GET /{short_code}."""
    return follow_code(short_code=short_code)


def _find(short_code: str) -> Found | None:
    if not POSSIBLE_CODE.fullmatch(short_code):
        return None
    if request.method == "HEAD":
        return recording.peek(short_code)
    return recording.follow(_click(short_code))


def _click(short_code: str) -> Click:
    """The click of this request; the front may have asked Redis for it."""
    begun: Click | None = request.environ.get("asgi.scope", {}).get("click")
    if begun:
        return begun
    headers = request.headers
    agent, referrer = headers.get("User-Agent", ""), headers.get("Referer", "")
    return Click(short_code, visitor(request.remote_addr or "", agent, referrer))


class _Verbatim(Response):
    """Werkzeug would rewrite Location; a link leads exactly where its owner said."""

    def get_wsgi_headers(self, environ: Any) -> Headers:
        leads_to = self.headers.pop("Location")
        headers = super().get_wsgi_headers(environ)
        self.headers["Location"] = headers["Location"] = leads_to
        return headers
