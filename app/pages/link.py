"""The page of one link: all about it, and the forms that change it."""

from __future__ import annotations

from flask import Blueprint, Response, request

from app.errors import InvalidInput
from app.pages import pictures
from app.pages.declaring import page
from app.pages.paths import own_path
from app.pages.showing import go, show
from app.routes.inputs import base_url
from app.schemas import UrlUpdate, check, show_url
from app.services import urls

bp = Blueprint("link", __name__)


@bp.get("/urls/<id:url_id>/view")
@page(scope="see")
def view(url_id: int) -> Response:
    """Everything about a link."""
    link = show_url(urls.get(url_id), base_url())
    return show("link.html", link=link, qr=pictures.qr_code(link["short_url"]))


@bp.post("/urls/<id:url_id>/view")
@page(scope="write")
def change(url_id: int) -> Response:
    """Does what the button says, then shows the page that the form names, or the link's."""
    urls.require(url_id)
    action = request.form.get("action", "")
    if action not in ("activate", "deactivate"):
        raise InvalidInput(f"action: must be activate or deactivate (got {ascii(action)[:100]})")
    urls.update(url_id, check(UrlUpdate, {"is_active": action == "activate"}))
    return go(own_path(request.form.get("back", "")) or f"/urls/{url_id}/view")
