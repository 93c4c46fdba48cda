"""Limits requests: writes and imports by key or address, wrong keys by address."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from flask import Response, current_app, g, request

from app.access import Caller, caller
from app.errors import TooManyRequests
from app.redirects.quotas import Policy, Standing, network, quotas, wrong_keys

_WRITING = frozenset(("POST", "PUT", "PATCH", "DELETE"))
_SCOPES = frozenset(("create", "write", "admin"))


def limit() -> None:
    """Counts a write or an import of the caller; raises TooManyRequests. Reads are not limited."""
    if not quotas.on or request.method not in _WRITING:
        return
    policy = _policy(current_app.view_functions.get(request.endpoint or ""))
    standing = quotas.use(policy, _client()) if policy else None
    if standing and standing.refused:
        raise _refusal(standing)
    g.standing = standing


def _policy(view: Any) -> Policy | None:
    """Of a request to this view; an import is no write."""
    declared = getattr(view, "declaration", None)
    if declared is None or declared.scope not in _SCOPES:
        return None
    return quotas.imports if declared.upload else quotas.writes


def _client() -> str:
    who = caller()
    return network(request.remote_addr or "") if who.key_id is None else f"key {who.key_id}"


def key_of(secret: str, find: Callable[[str], Caller | None]) -> Caller | None:
    """Whom `find` finds; raises TooManyRequests when the address sent too many wrong secrets.

    A secret that was right lately is looked up nevertheless: others may share the address.
    """
    if quotas.wrong_keys is None:
        return find(secret)
    address, digest = request.remote_addr or "", hashlib.sha256(secret.encode()).digest()
    standing = None if digest in _right else wrong_keys.refusal(address)
    who = None if standing else find(secret)
    if who is None:
        _right.pop(digest, None)
        standing = standing or wrong_keys.count(address)
    else:
        if len(_right) >= _MOST_RIGHT:
            _right.clear()
        _right[digest] = None
    if standing:
        raise _refusal(standing)
    return who


_MOST_RIGHT = 1000
_right: dict[bytes, None] = {}
"""Hashes of secrets that had a key when they were last looked up."""


def _refusal(standing: Standing) -> TooManyRequests:
    return TooManyRequests(standing.reason(), standing.fields())


def show(response: Response) -> Response:
    """Tells the client of a counted request what it has left."""
    if standing := g.get("standing"):
        response.headers.update(standing.fields())
    return response
