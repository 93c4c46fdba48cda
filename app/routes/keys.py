"""/keys over HTTP."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from app.routes.inputs import Answer, created, declares, listing
from app.schemas import Key, KeyCreate, ListQuery, NewKey, show_key, show_new_key
from app.services import keys, paging

bp = Blueprint("keys", __name__)

_NO_STORE = {"Cache-Control": "no-store"}


@bp.post("/keys")
@declares(
    body=KeyCreate,
    answer=NewKey,
    status=201,
    errors=(404, 409),
    headers=("Location", "Cache-Control"),
    secret=True,
    scope="admin",
)
def create_key(body: KeyCreate) -> Answer:
    """Make an API key, whose secret is shown this once."""
    key, secret = keys.create(body)
    payload, headers = created(show_new_key(key, secret.text), f"/keys/{key.id}")
    return Answer(payload, headers | _NO_STORE)


@bp.get("/keys")
@declares(query=ListQuery, answer=list[Key], scope="admin")
def list_keys(query: ListQuery) -> Answer:
    """All keys by id, also revoked ones, without their secrets."""
    return listing(paging.shown(keys.page(query), show_key), query)


@bp.get("/keys/<id:key_id>")
@declares(answer=Key, errors=(404,), scope="admin")
def get_key(key_id: int) -> dict[str, Any]:
    """One key."""
    return show_key(keys.get(key_id))


@bp.delete("/keys/<id:key_id>")
@declares(status=204, errors=(404,), scope="admin")
def revoke_key(key_id: int) -> None:
    """Revoke a key: no replica accepts it after a second."""
    keys.revoke(key_id)


@bp.post("/keys/<id:key_id>/rotate")
@declares(answer=NewKey, errors=(404, 409), headers=("Cache-Control",), secret=True, scope="admin")
def rotate_key(key_id: int) -> Answer:
    """Give a key a new secret, shown this once; the old one works for one more day."""
    key, secret = keys.rotate(key_id)
    return Answer(show_new_key(key, secret.text), _NO_STORE)
