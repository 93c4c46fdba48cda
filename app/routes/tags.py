"""ETags of users and links, and the requests that depend on them.

A tag begins with the row's version. That of a link goes on with its clicks behind a dot, because
they are in its answers. Clicks are no change that If-Match must protect, so it ignores them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from flask import Response, request

from app.errors import PreconditionFailed
from app.routes.inputs import Answer, empty

_TAG = r'(?:W/)?"[!#-~\x80-\xff]*"'
_LIST = re.compile(rf"[\s,]*(?:{_TAG}[\s,]*)*")

TagOf = Callable[[Any], str]


def user_tag(user: Any) -> str:
    return f'"u{user.id}-{user.version}"'


def url_tag(url: Any) -> str:
    return f'"l{url.id}-{url.version}.{url.click_count}"'


def tagged(payload: Any, tag: str) -> Answer:
    return Answer(payload, {"ETag": tag})


def unless_known(payload: Any, tag: str) -> Answer | Response:
    """304 for a client that has this state already (If-None-Match, weak comparison)."""
    known = request.environ.get("HTTP_IF_NONE_MATCH")
    if known is None or not _is_among(tag, known):
        return tagged(payload, tag)
    response = empty(304)
    response.headers["ETag"] = tag
    return response


def _is_among(tag: str, known: str) -> bool:
    return known.strip() == "*" or tag in [each.removeprefix("W/") for each in _tags(known)]


def precondition(tag_of: TagOf) -> Callable[[Any], None] | None:
    """Raises PreconditionFailed unless If-Match names the row's version; None without If-Match."""
    wanted = request.environ.get("HTTP_IF_MATCH")
    if wanted is None or wanted.strip() == "*":
        return None  # an unknown row is a 404 anyway
    versions = {_version(tag) for tag in _tags(wanted)}

    def check(row: Any) -> None:
        if _version(tag_of(row)) not in versions:
            raise PreconditionFailed(f"It has changed: its ETag is {tag_of(row)} now")

    return check


def _tags(header: str) -> list[str]:
    """The tags of a list; none in what is no list."""
    return re.findall(_TAG, header) if _LIST.fullmatch(header) else []


def _version(tag: str) -> str:
    """The part before the clicks; a weak tag's is nobody's."""
    return tag.strip('"').partition(".")[0]
