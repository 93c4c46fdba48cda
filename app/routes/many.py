"""/urls over HTTP, for many links at once: more routes of the blueprint in urls.py."""

from __future__ import annotations

from app.routes.inputs import declares
from app.routes.urls import bp
from app.schemas import UrlsChange, UrlsChanged, UrlSelection
from app.services import changing


@bp.patch("/urls")
@declares(query=UrlSelection, body=UrlsChange, answer=UrlsChanged, strict=True)
def update_urls(query: UrlSelection, body: UrlsChange) -> UrlsChanged:
    """Activate, deactivate, tag, untag or delete the selected links, all or none of them."""
    return changing.apply(query, body)
