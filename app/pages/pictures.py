"""Pictures that stand in a page itself: they need no request and no permission."""

from __future__ import annotations

from app.schemas import QrQuery
from app.services import qr


def qr_code(text: str) -> str:
    """An SVG of `text`, without a size of its own."""
    return qr.draw(text, QrQuery(size=160, border=2, level="M")).decode()
