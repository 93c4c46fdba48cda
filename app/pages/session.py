"""Signing in with an API key, and out again."""

from __future__ import annotations

from flask import Blueprint, Response, request

from app.pages.declaring import page
from app.pages.paths import own_path
from app.pages.showing import go, show
from app.routes.gate import COOKIE
from app.routes.limiting import key_of
from app.services import keys, sessions

bp = Blueprint("session", __name__)


@bp.get("/keys/session")
@page(scope="public")
def ask() -> Response:
    """The form that asks for an API key."""
    return show("sign_in.html", next=own_path(request.args.get("next", "")) or "/")


@bp.post("/keys/session")
@page(scope="public")
def sign_in() -> Response:
    """Sets the cookie of a session; a wrong key is counted as one in a header is."""
    secret, following = request.form.get("key", "").strip(), own_path(request.form.get("next", ""))
    if key_of(secret, keys.find) is None:
        wrong = "The API key is wrong, revoked or expired"
        return show("sign_in.html", 401, next=following or "/", wrong=wrong)
    answer = go(following or "/")
    answer.set_cookie(
        COOKIE,
        sessions.issue(secret),
        max_age=sessions.SECONDS,
        secure=request.scheme == "https",
        httponly=True,
        samesite="Lax",
    )
    return answer


@bp.post("/keys/session/end")
@page(scope="public")
def sign_out() -> Response:
    """Takes the cookie away."""
    answer = go("/")
    answer.delete_cookie(COOKIE, secure=request.scheme == "https", httponly=True, samesite="Lax")
    return answer
