"""Other websites: which may use this interface from their pages, by CORS_ORIGINS."""

from __future__ import annotations

from functools import partial

from flask import Config, Flask, Response, current_app, request

from app.errors import Forbidden
from app.logs import resolved
from app.routes.inputs import empty

_READ = "Authorization, X-API-Key, Content-Type, Idempotency-Key, If-Match, If-None-Match, Prefer"
_ACCEPTED = f"{_READ}, X-Request-ID"
_SHOWN = (
    "Allow, Content-Disposition, ETag, Idempotent-Replayed, Link, Location, Preference-Applied, "
    "RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Cache, X-Request-ID, "
    "X-Total-Count"
)
_READS = ("GET", "HEAD", "OPTIONS")
_MAX_AGE = "7200"  # seconds; browsers keep a preflight's answer no longer


def install(app: Flask) -> None:
    """Before who asks for a key: a preflight never has one."""
    # The proxy `current_app` would cost more than all else here.
    app.before_request(partial(_answer_preflight, app.config))
    app.before_request(partial(_refuse_foreign_writes, app.config))
    app.after_request(partial(_allow, app.config))


def _answer_preflight(config: Config) -> Response | None:
    allowed: frozenset[str] = config["CORS_ORIGINS"]
    if not allowed or request.method != "OPTIONS" or request.routing_exception:
        return None
    environ = request.environ
    if "*" not in allowed and environ.get("HTTP_ORIGIN") not in allowed:
        return None
    if "HTTP_ACCESS_CONTROL_REQUEST_METHOD" not in environ:
        return None
    response = empty(204)
    methods = current_app.make_default_options_response().headers["Allow"]
    response.headers["Access-Control-Allow-Methods"] = methods
    response.headers["Access-Control-Allow-Headers"] = _ACCEPTED
    response.headers["Access-Control-Max-Age"] = _MAX_AGE
    return response


def _refuse_foreign_writes(config: Config) -> None:
    """A form needs no preflight; a browser says that the page it is on is another website's."""
    current, _ = resolved()
    environ = current.environ
    if environ.get("HTTP_SEC_FETCH_SITE") != "cross-site" or current.method in _READS:
        return
    allowed: frozenset[str] = config["CORS_ORIGINS"]
    if "*" not in allowed and environ.get("HTTP_ORIGIN") not in allowed:
        raise Forbidden("A page of another website may write only where CORS_ORIGINS names it")


def _allow(config: Config, response: Response) -> Response:
    """Lets the scripts of allowed origins read the answer. It never depends on cookies."""
    allowed: frozenset[str] = config["CORS_ORIGINS"]
    if not allowed:
        return response
    said = headers_for(allowed, request.environ.get("HTTP_ORIGIN", ""))
    if varies := said.pop("Vary", ""):
        response.vary.add(varies)
    response.headers.update(said)
    return response


def headers_for(allowed: frozenset[str], origin: str) -> dict[str, str]:
    """What every answer to a request of `origin` says, "" for none. Vary may be there already."""
    varies = {} if "*" in allowed else {"Vary": "Origin"}
    if "*" not in allowed and origin not in allowed:
        return varies
    named = "*" if "*" in allowed else origin
    return {
        **varies,
        "Access-Control-Allow-Origin": named,
        "Access-Control-Expose-Headers": _SHOWN,
    }
