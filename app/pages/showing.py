"""How a page is shown: its template, what all templates know, and the pages of errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import copy_context
from functools import partial, wraps
from itertools import chain
from typing import Any

from flask import Flask, Response, current_app, redirect, render_template, request

from app.access import caller
from app.database import released
from app.errors import ApiError, prefers_html
from app.exposure import exposure
from app.pages import assets, zones
from app.pages.declaring import View
from app.pages.operator import operator
from app.routes.downloads import sent_in_pieces
from app.routes.gate import may
from app.routes.inputs import base_url
from app.version import VERSION

_REPLACED = "holdfast-pages"
_PAUSE = "\f"


def install(app: Flask) -> None:
    app.extensions["holdfast-error-page"] = _error_page
    app.extensions[_REPLACED] = set()
    app.context_processor(_context)


def replace(app: Flask, endpoint: str, shown: View) -> None:
    """Browsers get the page `shown` at the address of an endpoint of the API."""
    api: Any = app.view_functions[endpoint]

    @wraps(api)
    def answer(**arguments: Any) -> Any:
        view = shown if prefers_html() else api
        response = current_app.make_response(view(**arguments))
        response.vary.add("Accept")
        return response

    app.view_functions[endpoint] = answer
    app.extensions[_REPLACED].add(endpoint)


def show(template: str, code: int = 200, /, **context: Any) -> Response:
    """A page that no cache keeps: what it shows is the caller's."""
    text = render_template(template, **context)
    return Response(text, code, headers={"Cache-Control": "private, no-store"})


def streamed(template: str, **context: Any) -> Response:
    """As `show`, for a page that takes long: what stands before `{{ pause }}` is sent at once.

    The rest is made on any thread, as what this one knows: the request, its caller, the settings.
    """
    current_app.update_template_context(context)
    made = current_app.jinja_env.get_template(template).generate(context, pause=_PAUSE)
    before = "".join(iter(partial(next, made), _PAUSE))
    rest = map(copy_context().run, (_rest_of,), (made,))
    response = Response(chain((before,), rest), headers={"Cache-Control": "private, no-store"})
    return sent_in_pieces(response)


def _rest_of(made: Iterator[str]) -> str:
    with released():
        return "".join(made)


def go(path: str) -> Response:
    """Answers a form: the browser gets another page, and a reload sends nothing twice."""
    return current_app.make_response(redirect(path, 303))


def _context() -> dict[str, Any]:
    """What every template knows."""
    return {
        "asset": assets.address,
        "auth": current_app.config["AUTH"],
        "base_url": base_url(),
        "caller": caller(),
        "may": may,
        "operator": operator(),
        "release": VERSION,
        "warnings": exposure.warnings,
        "zone": zones.zone(),
    }


def _error_page(error: ApiError, body: dict[str, Any]) -> Response | None:
    """The page of an error, where a page was asked for; who lacks a key may sign in."""
    if not _is_page():
        return None
    there = request.full_path.rstrip("?") if request.method == "GET" else "/"
    return show("error.html", error.status, **body, next=there)


def _is_page() -> bool:
    endpoint = request.endpoint or ""
    view = current_app.view_functions.get(endpoint)
    if getattr(getattr(view, "declaration", None), "hidden", False):
        return True
    return endpoint in current_app.extensions[_REPLACED] and prefers_html()
