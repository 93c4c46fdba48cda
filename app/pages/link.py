"""The page of one link: all about it, and the forms that change it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, request

from app.errors import ApiError, Conflict, InvalidInput, NotFound
from app.pages import forms, history, pictures, standing, statistics, zones
from app.pages.declaring import page
from app.pages.paths import own_path
from app.pages.showing import go, show
from app.redirects.visitors import kind_of_details
from app.routes.gate import may
from app.routes.inputs import base_url
from app.schemas import EventQuery, RestoreQuery, StatsQuery, UrlUpdate, check, show_url
from app.services import events, stats, urls, versions

_FIELDS = [name for name in history.LABELS if name != "is_active"]
_CLICKS = 20

bp = Blueprint("link", __name__)


@bp.get("/urls/<id:url_id>/view")
@page(scope="see")
def view(url_id: int) -> Response:
    """Everything about a link, or the question whether to delete it."""
    if request.args.get("ask") == "delete" and may("write"):
        return show("delete.html", link=show_url(urls.get(url_id), base_url()))
    return _page(url_id)


def _page(
    url_id: int,
    given: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    """The page; `given` is what a form holds that was refused because of `errors`."""
    asked = statistics.asked(StatsQuery)
    found = stats.of_url(url_id, asked.query, asked.whole)
    url = found["url"]
    link = show_url(url, base_url())
    return show(
        "link.html",
        status,
        link=link,
        version=url.version,
        standing=standing.of([url])[0],
        qr=pictures.qr_code(link["short_url"]),
        values=_values(url) if given is None else given,
        errors=errors or {},
        is_editing=given is not None,
        labels=history.LABELS,
        history=history.shown(url, request.args.get("versions", "1")),
        clicks=_clicks(url),
        stats=statistics.context(asked, found),
    )


def _clicks(url: Any) -> list[dict[str, Any]] | None:
    """The latest clicks, newest first, for who may read events."""
    if not may("read"):
        return None
    wanted = {"url_id": url.id, "event_type": "clicked", "per_page": _CLICKS}
    return [_click(event, url) for event in events.page(check(EventQuery, wanted)).rows]


def _click(event: Any, url: Any) -> dict[str, Any]:
    """As statistics count it; `address` is what the caller may see of the visitor's."""
    address = events.show(event)["details"].get("ip")
    about = kind_of_details(event.details, url.original_url)._asdict()
    return {**about, "at": event.timestamp, "address": str(address or "")[:64]}


# ---- the form that changes it ----


def _values(url: Any) -> dict[str, str]:
    """What the fields hold before anybody types."""
    link = show_url(url, "")
    texts = {name: "" if link[name] is None else str(link[name]) for name in _FIELDS}
    texts["tags"] = ", ".join(link["tags"])
    texts["expires_at"] = zones.to_form(url.expires_at)
    texts["forward_query"] = "on" if url.forward_query else ""
    # Browsers take line breaks out of what a field holds.
    return {name: re.sub(r"[\r\n]", "", text) for name, text in texts.items()}


def _edit(url_id: int) -> Response:
    """Changes the fields whose text is another one than the form had."""
    before = _values(urls.require(url_id))
    changed = [name for name in _FIELDS if request.form.get(name, "") != before[name]]
    try:
        urls.update(url_id, forms.checked(UrlUpdate, changed), _refuse_stale)
    except ApiError as error:
        if isinstance(error, NotFound) or error.status >= 429:
            raise
        return _page(url_id, request.form.to_dict(), forms.problems(error), error.status)
    return _back(url_id)


def _refuse_stale(url: Any) -> None:
    """A form that was made of another version would undo what others have changed since."""
    if request.form.get("version", str(url.version)) != str(url.version):
        raise Conflict(
            "The link has changed since this page was loaded. Your fields are below: "
            "save again to have them, or load the page again."
        )


# ---- what buttons do ----


def _switch(url_id: int) -> Response:
    urls.update(url_id, check(UrlUpdate, {"is_active": request.form["action"] == "activate"}))
    return _back(url_id)


def _restore(url_id: int) -> Response:
    version = check(RestoreQuery, {"version": request.form.get("version", "")}).version
    try:
        versions.restore(url_id, version)
    except InvalidInput as error:
        why = f"Version {version} cannot be restored. {error.message}"
        return _page(url_id, None, {"": why}, error.status)
    return _back(url_id)


def _delete(url_id: int) -> Response:
    """Deletes it when the form is sure, as the script's is after ten seconds; else asks."""
    if request.form.get("sure") != "yes":
        return go(f"/urls/{url_id}/view?ask=delete")
    urls.delete(url_id)
    return go("/")


def _back(url_id: int) -> Response:
    return go(own_path(request.form.get("back", "")) or f"/urls/{url_id}/view")


_ACTIONS: dict[str, Callable[[int], Response]] = {
    "activate": _switch,
    "deactivate": _switch,
    "edit": _edit,
    "restore": _restore,
    "delete": _delete,
}


@bp.post("/urls/<id:url_id>/view")
@page(scope="write")
def change(url_id: int) -> Response:
    """Does what the button says, then shows the page that the form names, or the link's."""
    urls.require(url_id)
    action = request.form.get("action", "")
    if action not in _ACTIONS:
        raise InvalidInput(f"action: must be {', '.join(_ACTIONS)} (got {ascii(action)[:100]})")
    return _ACTIONS[action](url_id)
