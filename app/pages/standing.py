"""What a link does at this moment, in words: where it leads, or why it leads nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from flask import current_app

from app.errors import DeadLink
from app.redirects.answers import require_lead
from app.redirects.links import EXPIRED, Link, link_of
from app.redirects.recording import Found
from app.redirects.storing import as_spent

_WORDS = {"deactivated": "off", "spent": "spent", "expired": "expired", "banned": "banned host"}


class Standing(NamedTuple):
    """`leads_to` is "" when the link leads nowhere. `status` is what visitors get."""

    word: str
    leads_to: str
    status: int
    why: str


def of(urls: Sequence[Any]) -> list[Standing]:
    """Of rows of links, in their order. What decides is what decides for their visitors."""
    links = as_spent([link_of(url) for url in urls])
    return [_of(link, url.short_code) for link, url in zip(links, urls, strict=True)]


def _of(link: Link, short_code: str) -> Standing:
    try:
        require_lead(Found(link, cached=False), short_code, _deactivated_status())
    except DeadLink as dead:
        reason = str(dead.more["reason"])
        return Standing(_WORDS.get(reason, reason), "", dead.status, dead.message)
    if link.state == EXPIRED:
        return Standing("expired", link.original_url, link.status, "It has expired")
    return Standing("active", link.original_url, link.status, "")


def _deactivated_status() -> int:
    status: int = current_app.config["DEACTIVATED_STATUS"]
    return status
