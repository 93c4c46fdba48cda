"""How a page is declared: like an endpoint of the API, which does not name it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flask import Response, request

from app.errors import Forbidden
from app.routes.inputs import Declaration

View = Callable[..., Response]


def page(
    scope: str, keyless: bool = False, upload: bool = False, personal: bool = True
) -> Callable[[View], View]:
    """Declares a view that is a page, or the target of a page's form.

    `personal`: whether a public one is another one for who has signed in.
    """
    declared = Declaration(scope=scope, keyless=keyless, upload=upload, page=personal, hidden=True)

    def wrap(view: View) -> View:
        @functools.wraps(view)
        def answer(**arguments: Any) -> Response:
            if request.method == "POST":
                _refuse_other_sites()
            return view(**arguments)

        answer.declaration = declared  # type: ignore[attr-defined]
        return answer

    return wrap


def _refuse_other_sites() -> None:
    """A form of another website would use the session, or a server that asks for no key."""
    site, origin = request.headers.get("Sec-Fetch-Site", ""), request.headers.get("Origin", "")
    if site in ("same-origin", "none") or not (site or origin):
        return
    if site or origin.partition("://")[2] != request.host:
        raise Forbidden("A form of another website was not accepted")
