"""What a redirect answers: where it leads and with which headers, or why it leads nowhere."""

from __future__ import annotations

import time

from app.errors import DeadLink
from app.redirects.links import BANNED, DELETED, EXPIRED, INACTIVE, SPENT, Link
from app.redirects.recording import Found
from app.schemas import forwarded, location

_DAY = 86400


def redirect_headers(link: Link, cached: bool) -> dict[str, str]:
    """What a redirect answers besides its status."""
    about = {"Cache-Control": _cache_control(link), "X-Cache": "HIT" if cached else "MISS"}
    return {"Location": location(link.original_url), **about, **always.headers}


class Always:
    """The headers of each redirect. Search engines shall not list short links (`noindex`)."""

    def __init__(self) -> None:
        self.bind("")

    def bind(self, referrer_policy: str) -> None:
        """Without a policy browsers use their own."""
        policy = {"Referrer-Policy": referrer_policy} if referrer_policy else {}
        self.headers = {"X-Robots-Tag": "noindex", **policy}


always = Always()


def _cache_control(link: Link) -> str:
    """Permanent redirects are kept for a day, and not beyond the second in which they expire."""
    if link.status not in (301, 308):
        return "private, no-store"
    left = link.expires - int(time.time()) if link.expires else _DAY
    return f"private, max-age={max(0, min(left, _DAY))}"


def require_lead(found: Found | None, short_code: str, deactivated_status: int) -> Found:
    """Raises DeadLink when the link leads nowhere."""
    if found is None:
        raise DeadLink(404, f"Short code {short_code[:64]} not found")
    link = found.link
    if link.state in _DEAD and not (link.state == EXPIRED and link.original_url):
        status, reason = _DEAD[link.state]
        if link.state == INACTIVE:
            status = deactivated_status
        raise DeadLink(status, f"Short code {short_code} {_SAYS[reason]}", reason)
    return found


_DEAD = {
    DELETED: (404, "deleted"),
    INACTIVE: (410, "deactivated"),
    EXPIRED: (410, "expired"),
    SPENT: (410, "spent"),
    BANNED: (451, "banned"),
}
_SAYS = {
    "deleted": "was deleted",
    "deactivated": "is deactivated",
    "expired": "has expired",
    "spent": "has had all the clicks that it may have",
    "banned": "leads to a host that is banned here",
}


def with_query(link: Link, query: bytes) -> Link:
    """The link with the visitor's query, if it is to be forwarded."""
    if not (link.forwards and query):
        return link
    return link._replace(original_url=forwarded(link.original_url, query))
