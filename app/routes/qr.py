"""QR codes of short links over HTTP."""

from __future__ import annotations

import hashlib
from functools import partial

from flask import Blueprint, Response, request

from app.access import caller
from app.errors import NotFound
from app.redirects import guesses, recording
from app.redirects.links import DELETED
from app.routes.inputs import base_url, declares
from app.schemas import QrQuery
from app.services import qr, urls

bp = Blueprint("qr", __name__)
_TYPES = {"svg": "image/svg+xml", "png": "image/png"}
_picture = partial(
    declares,
    query=QrQuery,
    answer=bytes,
    media=tuple(_TYPES.values()),
    errors=(400, 404),
    headers=("Cache-Control",),
    tagged=True,
)


@bp.get("/urls/<id:url_id>/qr")
@_picture(scope="see")
def get_url_qr(url_id: int, query: QrQuery) -> Response:
    """A link's short URL as a QR code; looking at it is no click."""
    return _drawn(urls.code_of(url_id), query)


@bp.get("/<code:short_code>.qr")
@_picture(scope="public")
def get_code_qr(short_code: str, query: QrQuery) -> Response:
    """The same by the short code."""
    found = guesses.find(short_code, request.remote_addr or "", recording.peek)
    if found is None or found.link.state == DELETED:
        raise NotFound(f"Short code {short_code[:64]} not found")
    return _drawn(short_code, query)


def _drawn(short_code: str, query: QrQuery) -> Response:
    """The short URL is the same for ever, so the picture may be kept; for a day."""
    picture = qr.draw(f"{base_url()}/{short_code}", query)
    response = Response(picture, content_type=_TYPES[query.format])
    whose = "public" if caller().key_id is None else "private"
    response.headers["Cache-Control"] = f"{whose}, max-age=86400"
    response.set_etag(hashlib.sha256(picture).hexdigest()[:32])
    response.make_conditional(request)
    return response
