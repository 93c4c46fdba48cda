"""The gate: finds out who asks, and refuses whoever may not use the endpoint."""

from __future__ import annotations

from typing import Any

from flask import Flask, Request, Response, current_app, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from app import access
from app.access import Caller
from app.errors import Forbidden, InvalidInput, Unauthorized, Unavailable
from app.routes.limiting import key_of
from app.services import keys

KEYS_OF = {
    "create": ("create", "write", "admin"),
    "see": ("create", "read", "write", "admin"),
    "read": ("read", "write", "admin"),
    "write": ("write", "admin"),
    "admin": ("admin",),
}
"""The scopes of keys that may use an endpoint, by the endpoint's."""
_DECLARED = "holdfast-declared"
_ANY_KEY = "see"  # every key has it
_REALM = 'Bearer realm="Holdfast"'


def install(app: Flask) -> None:
    app.before_request(_admit)
    app.after_request(_keep_private)
    app.teardown_request(_forget)


def learn(app: Flask) -> None:
    """Notes what the endpoints of `app` declare; raises ValueError for one that does not."""
    declared = {}
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if not hasattr(view, "declaration"):
            raise ValueError(f"{rule.rule} has no @declares(..., scope=...)")
        declared[rule.endpoint] = view.declaration
    app.extensions[_DECLARED] = declared


def _admit() -> None:
    """Raises Unauthorized without a valid key, and Forbidden with one whose scope is too small."""
    current, own = request._get_current_object(), g._get_current_object()  # type: ignore[attr-defined]
    if "asgi.overloaded" in current.environ:
        raise Unavailable("Too many requests are waiting already")
    auth = current_app.config["AUTH"]
    who = access.COMMAND if auth == "off" else _caller_of(current, auth)
    address = current.environ.get("REMOTE_ADDR", "")
    own.caller = access.enter(who._replace(address=address, request_id=own.request_id))


def _forget(_error: BaseException | None) -> None:
    token = g.pop("caller", None)
    if token is not None:
        access.leave(token)


def _caller_of(current: Request, auth: str) -> Caller:
    scope, keyless = _asked_for(current, auth)
    if scope == "public" or current.method == "OPTIONS":
        return access.NOBODY
    secret = _secret(current.environ)
    if not secret:
        if keyless:
            return access.NOBODY
        raise _unauthorized("An API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY")
    who = key_of(secret, keys.find)
    if who is None:
        raise _unauthorized("The API key is wrong, revoked or expired", ', error="invalid_token"')
    # What belongs to no user is not for a key that is bound to one.
    if who.scope not in KEYS_OF[scope] or (scope == "admin" and who.user_id is not None):
        raise _forbidden(who, scope)
    return who


def _asked_for(current: Request, auth: str) -> tuple[str, bool]:
    """The scope that the request needs, and whether it needs no key."""
    declared = current_app.extensions[_DECLARED]
    rule = current.url_rule
    if rule is not None:
        found = declared[rule.endpoint]
        return found.scope, auth == "create" and found.keyless
    return _of_misfit(current.routing_exception, declared), False


def _of_misfit(why: HTTPException | None, declared: dict[str, Any]) -> str:
    """An unknown path is for whoever has a key; a wrong method, for whoever may use the path."""
    adapter = current_app.create_url_adapter(request)
    methods = why.valid_methods or () if isinstance(why, MethodNotAllowed) and adapter else ()
    for method in set(methods) - {"OPTIONS"}:
        if adapter and declared[adapter.match(method=method)[0]].scope == "public":
            return "public"
    return _ANY_KEY


def _secret(environ: dict[str, Any]) -> str:
    """The key that the request shows, "" for none; raises InvalidInput for two different ones."""
    scheme, _, shown = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    bearer = shown.strip() if scheme.lower() == "bearer" else ""
    plain: str = environ.get("HTTP_X_API_KEY", "").strip()
    if bearer and plain and bearer != plain:
        refusal = InvalidInput("Authorization and X-API-Key hold different keys: send one")
        refusal.headers = {"WWW-Authenticate": f'{_REALM}, error="invalid_request"'}
        raise refusal
    return bearer or plain


def _unauthorized(message: str, error: str = "") -> Unauthorized:
    refusal = Unauthorized(message)
    refusal.headers = {"WWW-Authenticate": _REALM + error}
    return refusal


def _forbidden(who: Caller, scope: str) -> Forbidden:
    wanted = KEYS_OF[scope][0]
    needed = f"{wanted}, bound to no user" if who.scope in KEYS_OF[scope] else wanted
    refusal = Forbidden(f"The API key has the scope {who.scope}, and this needs {needed}")
    refusal.headers = {
        "WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{wanted}"'
    }
    return refusal


def _keep_private(response: Response) -> Response:
    """No shared cache may keep what a key has opened: X-API-Key alone would not tell it so."""
    if access.caller().key_id is not None:
        given = response.headers.get("Cache-Control", "private, no-cache")
        response.headers["Cache-Control"] = given.replace("public", "private")
    return response
