"""What crawlers and finders of faults look for: robots.txt and security.txt; routes of ops.py."""

from __future__ import annotations

from datetime import timedelta

from flask import Response, current_app

from app.database import now
from app.errors import NotFound
from app.routes.inputs import base_url, declares
from app.routes.ops import bp
from app.schemas import ROUTE_NAMES

_VALID = timedelta(days=180)
# Short links stay allowed: a crawler must follow one to see that it is not to be listed.
_ROBOTS = "".join(
    ["User-agent: *\n", *(f"Disallow: /{name}{end}\n" for name in ROUTE_NAMES for end in "$/?")]
)


@bp.get("/robots.txt")
@declares(answer=str, media="text/plain", scope="public")
def show_robots() -> Response:
    """What crawlers may visit: the index and short links."""
    return Response(_ROBOTS, mimetype="text/plain")


@bp.get("/.well-known/security.txt")
@declares(answer=str, media="text/plain", errors=(404,), scope="public")
def show_security() -> Response:
    """Whom to tell of a vulnerability (RFC 9116), when the operator says so."""
    contact = current_app.config["SECURITY_CONTACT"]
    if not contact:
        raise NotFound("There is no SECURITY_CONTACT")
    expires = now().replace(hour=0, minute=0, second=0) + _VALID
    lines = (
        f"Contact: {contact}",
        f"Expires: {expires.isoformat()}Z",
        f"Canonical: {base_url()}/.well-known/security.txt",
    )
    return Response("".join(f"{line}\n" for line in lines), mimetype="text/plain")
