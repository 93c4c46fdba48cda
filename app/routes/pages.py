"""Headers of pages and pictures: what a browser may load, run and show around them."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from flask import Flask, Response

from app.errors import Ready

_TEMPLATES = Path(__file__).parents[1] / "templates"
_DOCUMENTS = ("text/html", "image/svg+xml")


def _styles() -> list[str]:
    """The hash of each style sheet that our own pages contain."""
    texts = (path.read_text(encoding="utf-8") for path in sorted(_TEMPLATES.glob("*.html")))
    sheets = [sheet for text in texts for sheet in re.findall("(?s)<style>(.*?)</style>", text)]
    digests = (hashlib.sha256(sheet.encode()).digest() for sheet in sheets)
    return sorted({f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests})


_HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            f"style-src {' '.join(_styles())}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "Referrer-Policy": "no-referrer",
}


def install(app: Flask) -> None:
    app.after_request(_protect)


def _protect(response: Response) -> Response:
    if type(response) is Ready and response.status_code < 400:
        return response  # JSON; to read its type would take 1 us of each request
    if response.headers.get("Content-Type", "").startswith(_DOCUMENTS):
        response.headers.update(_HEADERS)
    return response
