"""The page of API keys: their list, and the forms that make, rotate and revoke them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, request

from app.database import now
from app.errors import ApiError, Conflict, InvalidInput, NotFound
from app.pages import forms
from app.pages.declaring import page
from app.pages.showing import go, show
from app.schemas import KEY_SCOPES, KeyCreate, ListQuery, check, show_key
from app.services import keys, paging

_FIELDS = ["name", "scope", "user_id", "expires_at"]
_PER_PAGE = 25
_WORDS = {
    "create": "makes links, sees its own",
    "read": "sees everything",
    "write": "changes everything",
    "admin": "keys and audit, too",
}
_REASONS: dict[type[ApiError], tuple[str, str]] = {
    Conflict: ("name", "is another key's, perhaps a revoked one's"),
    NotFound: ("user_id", "is nobody's id"),
}

bp = Blueprint("key_pages", __name__)


def show_keys() -> Response:
    """GET /keys for browsers."""
    return _shown({}, {})


@bp.post("/keys/new")
@page(scope="admin")
def make() -> Response:
    """Makes the key of the form, and shows its secret this once."""
    names = [name for name in _FIELDS if request.form.get(name, "").strip()]
    try:
        key, secret = keys.create(forms.checked(KeyCreate, names))
    except ApiError as error:
        if error.status >= 429:
            raise
        return _shown(request.form.to_dict(), _problems(error), error.status)
    return _shown({}, {}, 201, {**show_key(key), "key": secret.text})


@bp.post("/keys/<id:key_id>/view")
@page(scope="admin")
def change(key_id: int) -> Response:
    """Does what the button says: rotate, or revoke."""
    action = request.form.get("action", "")
    if action == "rotate":
        key, secret = keys.rotate(key_id, _refuse_second)
        return _shown({}, {}, 200, {**show_key(key), "key": secret.text})
    if action != "revoke":
        raise InvalidInput(f"action: must be rotate or revoke (got {ascii(action)[:100]})")
    keys.revoke(key_id)
    return go("/keys")


@bp.get("/keys/new")
@bp.get("/keys/<id:key_id>/view")
@page(scope="admin")
def leave(key_id: int = 0) -> Response:
    """Where a form has led: its answer is shown once only."""
    return go("/keys")


def _refuse_second(key: Any) -> None:
    """A page that is sent again by a reload would rotate again: its key has another end by then."""
    if request.form.get("seen", "") != str(key.old_until or ""):
        raise Conflict("This key was rotated meanwhile: its new secret was shown then")


def _problems(error: ApiError) -> Mapping[str, str]:
    known = _REASONS.get(type(error))
    return dict([known]) if known else forms.problems(error)


def _shown(
    given: Mapping[str, str],
    errors: Mapping[str, str],
    status: int = 200,
    made: Mapping[str, Any] | None = None,
) -> Response:
    query, wrong = _query()
    found = keys.page(query)
    return show(
        "keys.html",
        status,
        keys=[(key, _state(key)) for key in found.rows],
        values=given,
        errors={**errors, **wrong},
        made=made,
        scopes={scope: _WORDS[scope] for scope in KEY_SCOPES},
        around={way: f"/keys?page={to}" for way, to in paging.around(found, query).items()},
    )


def _query() -> tuple[ListQuery, Mapping[str, str]]:
    """The page of the list that is asked for, or the first one and what is wrong."""
    asked = {"page": request.args["page"]} if request.args.get("page") else {}
    try:
        return check(ListQuery, {**asked, "per_page": _PER_PAGE}), {}
    except InvalidInput as error:
        return check(ListQuery, {"per_page": _PER_PAGE}), {"": error.message}


def _state(key: Any) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now() else "active"
