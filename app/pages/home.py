"""The first page: the form that makes links, and the newest links with their search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, current_app, request

from app.access import caller
from app.errors import ApiError, InvalidInput
from app.pages import forms, pictures, standing, zones
from app.pages.declaring import page
from app.pages.showing import go, show
from app.routes.gate import may
from app.routes.inputs import base_url
from app.schemas import POSSIBLE_CODE, ShortenUrl, UrlCreate, UrlQuery, check, show_url
from app.services import finding, urls, weeks
from app.services.paging import Page

_PER_PAGE = 50
_FIELDS = ["url", "short_code", "title", "tags", "expires_at", "max_clicks"]

bp = Blueprint("home", __name__)


def show_index() -> Response:
    """GET / for browsers."""
    given = {name: value for name in _FIELDS if (value := request.args.get(name))}
    return _home(given, {}, 200, _made())


@bp.post("/urls/new")
@page(scope="create", keyless=True)
def make() -> Response:
    """Makes the link of the form; a field that is refused says why."""
    try:
        made = urls.create(_link())
    except ApiError as error:
        if error.status >= 429:
            raise
        return _home(request.form.to_dict(), forms.problems(error), error.status)
    if may("see"):
        return go(f"/?made={made.short_code}")
    # The page is the answer itself: an address that shows any code would show others' as made.
    return _home({}, {}, 201, {"short_url": f"{base_url()}/{made.short_code}"})


def _is_free() -> bool:
    """Whether the caller has no key and needs none to make a link."""
    return current_app.config["AUTH"] == "create" and not caller().scope


def _link() -> UrlCreate:
    given = dict(forms.checked(ShortenUrl, _FIELDS))
    return UrlCreate.model_construct(original_url=given.pop("url"), **given)


def _home(
    given: Mapping[str, str],
    errors: Mapping[str, str],
    status: int,
    made: dict[str, Any] | None = None,
) -> Response:
    links, wrong = _links() if may("see") else (None, {})
    return show(
        "home.html",
        status,
        values=given,
        errors={**errors, **wrong},
        may_create=may("create") or _is_free(),
        made=made,
        qr=pictures.qr_code(made["short_url"]) if made else "",
        **_around(links),
    )


def _made() -> dict[str, Any] | None:
    """The link that was just made, by its code in the address."""
    code = request.args.get("made", "")
    if not (may("see") and POSSIBLE_CODE.fullmatch(code)):
        return None
    found = finding.page(check(UrlQuery, {"short_code": code})).rows
    return show_url(found[0], base_url()) if found else None


# ---- the list ----


def _links() -> tuple[Page | None, dict[str, str]]:
    """The page of links that the query asks for, newest first, or what is wrong with it."""
    given = {name: value for name in ("q", "tag", "page") if (value := request.args.get(name))}
    try:
        query = check(UrlQuery, {**given, "sort": "-id", "per_page": _PER_PAGE})
        found = finding.page(query)
    except InvalidInput as error:
        return Page([], False, None), forms.problems(error)
    rows = [
        {**show_url(url, base_url()), "standing": each}
        for url, each in zip(found.rows, standing.of(found.rows), strict=True)
    ]
    return found._replace(rows=rows), {}


def _around(links: Page | None) -> dict[str, Any]:
    """What the list of links shows beside them."""
    rows = links.rows if links else []
    number = max(1, request.args.get("page", 1, int))
    pages = {"prev": number - 1 if number > 1 else None, "next": number + 1}
    if not (links and links.more):
        pages["next"] = None
    return {
        "links": None if links is None else rows,
        "weeks": weeks.people([link["id"] for link in rows], zones.zone()),
        "number": number,
        "q": request.args.get("q", ""),
        "here": _address({}),
        "around": {way: _address({"page": to}) for way, to in pages.items() if to},
    }


def _address(changes: dict[str, int]) -> str:
    kept = {name: request.args[name] for name in ("q", "tag", "page") if name in request.args}
    return "/?" + urlencode({**kept, **changes})
