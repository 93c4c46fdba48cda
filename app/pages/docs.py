"""The API for readers: an index of its nouns, and a page for each of them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from flask import Blueprint, Response, current_app, request

from app import openapi
from app.errors import NotFound
from app.pages import assets, reference
from app.pages.declaring import page
from app.pages.fields import fields
from app.pages.reference import Endpoint, Noun
from app.pages.samples import samples
from app.pages.showing import show
from app.routes.inputs import base_url

_KEPT = "holdfast-reference"
TRY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src 'self' data:",  # Swagger UI's style sheet has its icons in itself
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

bp = Blueprint("docs", __name__)


@bp.get("/docs")
@page(scope="public")
def index() -> Response:
    """What is true of all endpoints, and the list of them."""
    document = _document()
    return _shown(
        "docs.html",
        nouns=_nouns(),
        headers=document["components"]["headers"],
        error=fields(document["components"]["schemas"]["Error"]),
        paging=reference.paging(document),
        bookmarklet=_bookmarklet(),
    )


@bp.get("/docs/<noun>")
@page(scope="public")
def show_noun(noun: str) -> Response:
    """The endpoints of a noun, and what they answer."""
    found = _nouns().get(noun)
    if found is None:
        raise NotFound(f"There is nothing at /docs/{noun[:100]}")
    return _shown("docs_noun.html", noun=found, samples=_samples(found), nouns=_nouns())


@bp.get("/docs/try")
@page(scope="public")
def try_it() -> Response:
    """Swagger UI, which sends requests from the browser."""
    answer = show("docs_try.html", files=assets.swagger())
    answer.headers["Content-Security-Policy"] = TRY_POLICY
    return answer


def _bookmarklet() -> str:
    """A bookmark that opens the form with the address and the title of the page that is shown."""
    form = quote(f"{base_url()}/?url=", safe=":/?=[]")
    given = "encodeURIComponent(location.href)+'&title='+encodeURIComponent(document.title)"
    return f"javascript:void(open('{form}'+{given}))"


def _document() -> dict[str, Any]:
    return openapi.document(current_app, base_url())


def _nouns() -> dict[str, Noun]:
    """Made once for each AUTH."""
    made: dict[str, dict[str, Noun]] = current_app.extensions.setdefault(_KEPT, {})
    auth = current_app.config["AUTH"]
    if auth not in made:
        made[auth] = reference.nouns(_document())
    return made[auth]


def _samples(noun: Noun) -> dict[str, dict[str, str]]:
    """By endpoint and language."""
    schemas, base = _document()["components"]["schemas"], base_url()

    def of(each: Endpoint) -> dict[str, str]:
        return samples(each.path, each.method, each.described, schemas, base)

    return {each.name: of(each) for each in noun.endpoints}


def _shown(template: str, **context: Any) -> Response:
    """A page that the browser may keep, as long as it asks whether it is the same."""
    answer = show(template, **context)
    answer.headers["Cache-Control"] = "private, no-cache"
    answer.add_etag()
    answer.make_conditional(request)
    return answer
