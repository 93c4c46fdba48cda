"""Headers of pages and pictures: what a browser may load, run and show around them."""

from __future__ import annotations

from flask import Flask, Response

from app.errors import Ready

_DOCUMENTS = ("text/html", "image/svg+xml")


_HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "style-src 'self'",
            "script-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "Referrer-Policy": "same-origin",
}


def install(app: Flask) -> None:
    app.after_request(_protect)


def _protect(response: Response) -> Response:
    if type(response) is Ready and response.status_code < 400:
        return response  # JSON; to read its type would take 1 us of each request
    if response.headers.get("Content-Type", "").startswith(_DOCUMENTS):
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)  # a page may have a policy of its own
    return response
