"""What other systems call the columns of their links: one table for each system."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from app.schemas import LONGEST_TITLE, SOURCES

# ---- how their values become ours ----


def _code_of(address: str) -> str:
    """The code in a short URL: all of its path."""
    host_and_path = re.sub(r"^[a-z]+://", "", address.strip(), flags=re.IGNORECASE)
    return re.split(r"[?#]", host_and_path.partition("/")[2])[0].rstrip("/")


def _title(text: str) -> str:
    """Others have longer titles: pages' own ones."""
    text = text.strip()
    return "" if text == "NULL" else text[:LONGEST_TITLE].strip()


def _moment(text: str) -> str:
    """Also seconds since 1970, with ten digits, or milliseconds."""
    if not re.fullmatch(r"\d{10}(\d{3})?", text.strip()):
        return text
    return datetime.fromtimestamp(int(text.strip()[:10]), UTC).isoformat()


def _unless(text: str) -> str:
    """Active unless it is banned."""
    return "false" if text.strip().lower() in ("true", "1") else "true"


def _count(text: str) -> str:
    return text.replace(",", "")


def _status(text: str) -> str:
    return text if text.strip() in ("301", "302", "307", "308") else ""


class Field(NamedTuple):
    """One of their names for a column, without case and punctuation, and what reads its values."""

    name: str
    read: Callable[[str], str] = str


Fields = dict[str, tuple[Field, ...]]
"""By column of ours: their names, of which the first one that is not empty counts."""


def _named(read: Callable[[str], str], *names: str) -> tuple[Field, ...]:
    return tuple(Field(name, read) for name in names)


# ---- the tables ----

_YOURLS: Fields = {
    "short_code": _named(str, "keyword"),
    "original_url": _named(str, "url"),
    "title": _named(_title, "title"),
    "created_at": _named(_moment, "timestamp"),
    "click_count": _named(_count, "clicks"),
}
_SHLINK: Fields = {
    "short_code": (*_named(str, "shortcode"), *_named(_code_of, "shorturl")),
    "original_url": _named(str, "longurl"),
    "title": _named(_title, "title"),
    "created_at": _named(_moment, "createdat", "datecreated"),
    "expires_at": _named(_moment, "metavaliduntil", "validuntil"),
    "max_clicks": _named(str, "metamaxvisits", "maxvisits"),
    "forward_query": _named(str, "forwardquery"),
    "tags": _named(str, "tags"),
    "click_count": _named(_count, "visits", "visitssummarytotal", "visitscount"),
    "people_count": _named(_count, "visitssummarynonbots"),
    "robot_count": _named(_count, "visitssummarybots"),
}
_KUTT: Fields = {
    "short_code": _named(str, "address"),
    "original_url": _named(str, "target"),
    "title": _named(_title, "description"),
    "is_active": _named(_unless, "banned"),
    "created_at": _named(_moment, "createdat"),
    "updated_at": _named(_moment, "updatedat"),
    "expires_at": _named(_moment, "expirein"),
    "click_count": _named(_count, "visitcount"),
}
_BITLY: Fields = {
    "short_code": _named(_code_of, "custombitlink", "bitlink", "link", "shortlink", "shorturl"),
    "original_url": _named(str, "longurl", "destinationurl", "originalurl"),
    "title": _named(_title, "title"),
    "created_at": _named(_moment, "createdat", "created", "datecreated", "creationdate"),
    "tags": _named(str, "tags"),
    "click_count": _named(_count, "totalclicks", "clicks", "totalengagements", "engagements"),
}
_DUB: Fields = {
    "short_code": (*_named(_code_of, "shortlink", "link"), *_named(str, "key")),
    "original_url": _named(str, "destinationurl", "url"),
    "title": _named(_title, "title"),
    "created_at": _named(_moment, "createdat"),
    "updated_at": _named(_moment, "updatedat"),
    "expires_at": _named(_moment, "expiresat"),
    "expired_url": _named(str, "expiredurl"),
    "tags": _named(str, "tags"),
    "click_count": _named(_count, "clicks"),
}
_SHORTIO: Fields = {
    "short_code": (*_named(str, "path", "slug"), *_named(_code_of, "shorturl", "secureshorturl")),
    "original_url": _named(str, "originalurl", "longurl"),
    "title": _named(_title, "title"),
    "created_at": _named(_moment, "createdat", "created", "creationdate"),
    "updated_at": _named(_moment, "updatedat"),
    "expires_at": _named(_moment, "expiresat"),
    "expired_url": _named(str, "expiredurl"),
    "max_clicks": _named(str, "clickslimit"),
    "redirect_status": _named(_status, "redirecttype"),
    "tags": _named(str, "tags"),
    "click_count": _named(_count, "clicks", "totalclicks"),
    "people_count": _named(_count, "humanclicks"),
}
TABLES: dict[str, Fields] = dict(
    zip(SOURCES, (_YOURLS, _SHLINK, _KUTT, _BITLY, _DUB, _SHORTIO), strict=True)
)
SECRETS = ("password", "haspassword")
"""Fields of links that ask for a password. Without one everybody could follow them."""
