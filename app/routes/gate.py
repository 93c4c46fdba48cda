"""The gate: finds out who asks, and refuses whoever may not use the endpoint."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import Flask, Request, current_app, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from app import access
from app.access import Caller, caller
from app.database import DatabaseUnavailable
from app.errors import Forbidden, InvalidInput, Unauthorized, Unavailable
from app.logs import resolved
from app.routes.inputs import Declaration
from app.routes.limiting import key_of
from app.services import keys, sessions

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
COOKIE = "holdfast_session"
_REALM = 'Bearer realm="Holdfast"'


def install(app: Flask) -> None:
    declared = app.extensions.setdefault(_DECLARED, {})
    app.before_request(partial(_admit, app.config, declared))
    app.teardown_request(_forget)


def learn(app: Flask) -> None:
    """Notes what the endpoints of `app` declare; raises ValueError for one that does not."""
    declared = app.extensions.setdefault(_DECLARED, {})
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if not hasattr(view, "declaration"):
            raise ValueError(f"{rule.rule} has no @declares(..., scope=...)")
        declared[rule.endpoint] = view.declaration


def _admit(config: dict[str, Any], declared: dict[str, Any]) -> None:
    """Raises Unauthorized without a valid key, and Forbidden with one whose scope is too small."""
    current, own = resolved()
    environ, auth = current.environ, config["AUTH"]
    # Who is refused is nobody: so is the page of the refusal.
    own.caller = access.enter(access.COMMAND if auth == "off" else access.NOBODY)
    if "asgi.overloaded" in environ:
        raise Unavailable("Too many requests are waiting already")
    who = access.COMMAND if auth == "off" else _caller_of(current, own, declared, auth)
    address = environ.get("REMOTE_ADDR", "")
    access.enter(Caller(who.scope, who.key_id, who.key, who.user_id, address, own.request_id))


def _forget(_error: BaseException | None) -> None:
    token = g.pop("caller", None)
    if token is not None:
        access.leave(token)


def _caller_of(current: Request, own: Any, declared: dict[str, Any], auth: str) -> Caller:
    found = _asked_for(current, declared)
    scope = found.scope
    if current.method == "OPTIONS" or (scope == "public" and not found.page):
        return access.NOBODY
    secret = _secret(current.environ)
    if "HTTP_X_API_KEY" in current.environ:
        own.keeps_private = True
    if secret:
        return access.NOBODY if scope == "public" else _holder(secret, scope)
    who = _signed_in(current, found)
    if who is not None:
        own.keeps_private = True
        return who if scope == "public" else _admitted(who, scope)
    if scope == "public" or (found.keyless and auth == "create"):
        return access.NOBODY
    raise _unauthorized("An API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY")


def _signed_in(current: Request, declared: Any) -> Caller | None:
    """Who has a session: for pages and their forms, and for what the API only reads."""
    session = current.cookies.get(COOKIE)
    if not session or not (declared.hidden or current.method in ("GET", "HEAD")):
        return None
    try:
        return sessions.caller_of(session)
    except DatabaseUnavailable:
        if declared.scope == "public":  # such as /status, which says so
            return None
        raise


def _holder(secret: str, scope: str) -> Caller:
    who = key_of(secret, keys.find)
    if who is None:
        raise _unauthorized("The API key is wrong, revoked or expired", ', error="invalid_token"')
    return _admitted(who, scope)


def _admitted(who: Caller, scope: str) -> Caller:
    if not has_scope(who, scope):
        access.enter(who)
        raise _forbidden(who, scope)
    return who


def has_scope(who: Caller, scope: str) -> bool:
    """Whether this caller may use endpoints of this scope."""
    if scope == "public":
        return True
    # What belongs to no user is not for a key that is bound to one.
    return who.scope in KEYS_OF[scope] and (scope != "admin" or who.user_id is None)


def may(scope: str) -> bool:
    """The same of the running request's caller."""
    return has_scope(caller(), scope)


def _asked_for(current: Request, declared: dict[str, Any]) -> Declaration:
    """What is declared of the request's endpoint."""
    if current.url_rule is None:
        return Declaration(scope=_of_misfit(current.routing_exception, declared))
    found: Declaration = declared[current.url_rule.endpoint]
    return found


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
