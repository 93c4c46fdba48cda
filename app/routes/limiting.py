"""Limits requests: writes and imports by key or address, wrong keys by address."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, g, request

from app.access import caller
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


def refuse_guesser() -> None:
    """Raises TooManyRequests when this address sent too many wrong keys; asks nobody."""
    if standing := wrong_keys.refusal(request.remote_addr or ""):
        raise _refusal(standing)


def count_wrong_key() -> None:
    """Counts a wrong key of this address; raises TooManyRequests when there were too many."""
    if standing := wrong_keys.count(request.remote_addr or ""):
        raise _refusal(standing)


def _refusal(standing: Standing) -> TooManyRequests:
    return TooManyRequests(standing.reason(), standing.fields())


def show(response: Response) -> Response:
    """Tells the client of a counted request what it has left."""
    if standing := g.get("standing"):
        response.headers.update(standing.fields())
    return response
