"""The one gate for what comes in: `@declares` says what an endpoint takes and answers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlencode

from flask import Response, abort, current_app, g, request
from werkzeug.routing import RequestRedirect

from app import limits
from app.errors import InvalidInput, Ready, TooLarge
from app.logs import resolved
from app.proxies import host_is_legal
from app.routes.uploads import no_upload
from app.schemas import (
    ListQuery,
    OwnAddress,
    Query,
    check,
    encode,
    is_host,
    load_object,
    unknown_names,
)
from app.services.paging import Page, number, size


def refuse_misfits() -> None:
    """Refuses too large bodies, and what Werkzeug would tidy: //users, an empty path."""
    current, _ = resolved()
    environ, path = current.environ, current.environ["PATH_INFO"]
    if path.startswith("//") or isinstance(current.routing_exception, RequestRedirect):
        abort(404)
    length, most = current.content_length or 0, limits.largest_body(current.method, path)
    content_type = environ.get("CONTENT_TYPE", "")
    if length <= most and limits.is_misplaced(current.method, path, content_type):
        raise no_upload("file")
    if length > most:
        raise TooLarge(most)
    current.max_content_length = most + 1  # a chunked body is too large when it has one byte more


def _body(schema: type[Any], strictly: bool) -> Any:
    if not request.is_json:
        kind = (request.mimetype or "none")[:80]
        raise InvalidInput(
            f"The body must be JSON with the content type application/json, not {kind}"
        )
    data = request.get_data()
    most = limits.largest_body(request.method, request.environ["PATH_INFO"])
    if len(data) > most:
        raise TooLarge(most)
    values = _object(data)
    unknown = unknown_names(schema, values) if strictly else None
    return check(schema, values, unknown, own=own_address(base_url()))


own_address = lru_cache(maxsize=100)(OwnAddress.of)


@lru_cache(maxsize=200)  # the same few come again and again; 50 us of a list's 280
def _query(schema: Any, strictly: bool, _query_string: str) -> Any:
    values = request.args.to_dict()
    unknown = unknown_names(schema, values) if strictly else None
    return check(schema, values, unknown)


def wants_strictness() -> bool:
    """Whether unknown names are errors: `Prefer: handling=strict` (RFC 7240)."""
    for preference in request.environ.get("HTTP_PREFER", "").split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "handling":
            return bool(value.strip().strip('"').lower() == "strict")  # the first one counts
    return False


def _object(data: bytes) -> dict[str, Any]:
    try:
        return load_object(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise InvalidInput("The body is not valid UTF-8") from None
    except ValueError as error:
        raise InvalidInput(f"The body is not valid JSON: {str(error)[:200]}") from None


def base_url() -> str:
    """What short links begin with, without a final slash; without a legal Host our own."""
    own: str = current_app.config["BASE_URL"]
    return own or f"{request.scheme}://{_host(request.environ)}"


def _host(environ: dict[str, Any]) -> str:
    named: str = environ.get("HTTP_HOST", "")
    if host_is_legal(named):
        return named
    own = f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
    return own if is_host(own) else "localhost"


def _before(path: str) -> str:
    """An address of ours: its path, and BASE_URL before it when that has a path itself."""
    base: str = current_app.config["BASE_URL"]
    return f"{base}{path}" if base.count("/") > 2 else path


SCOPES = ("public", "create", "see", "read", "write", "admin")
"""What an endpoint asks of a caller. `see`: keys that may create see what they made."""


@dataclass(frozen=True)
class Declaration:
    """What the OpenAPI document says of an endpoint; `scope` is one of SCOPES."""

    scope: str = ""
    answer: Any = None
    status: int = 200
    body: type[Any] | None = None
    query: type[Any] | None = None
    errors: tuple[int, ...] = ()
    headers: tuple[str, ...] = ()
    media: str | tuple[str, ...] = "application/json"
    page: bool = False
    upload: bool = False
    refusal: type[Any] | None = None  # a 400 that says more than other errors
    tagged: bool = False  # its answer has an ETag, and it heeds If-Match or If-None-Match
    secured: bool = False
    strict: bool = False  # unknown names are always refused
    keyless: bool = False  # AUTH=create asks for no key
    secret: bool = False  # its answer shows a secret, which an Idempotency-Key would store
    hidden: bool = False  # a page, or the target of its form: no part of the API


class Answer(NamedTuple):
    """A payload that comes with headers."""

    payload: Any
    headers: dict[str, str]


def declares(**declaration: Any) -> Callable[[Callable[..., Any]], Callable[..., Response]]:
    """The view gets `body` and `query` as declared; its result becomes the JSON answer."""
    declared = Declaration(**declaration)
    if declared.scope not in SCOPES:
        problem = f"is none of {', '.join(SCOPES)}" if declared.scope else "is missing"
        raise ValueError(f"@declares: the scope {declared.scope!r} {problem}")

    def wrap(view: Callable[..., Any]) -> Callable[..., Response]:
        @functools.wraps(view)
        def answer(**arguments: Any) -> Response:
            return _respond(view(**arguments, **_given(declared)), declared.status)

        answer.declaration = declared  # type: ignore[attr-defined]
        return answer

    return wrap


def _given(declared: Declaration) -> dict[str, Any]:
    """The checked query and body, as far as the endpoint takes them."""
    # A redirect ignores its query, because the front does not look at it either.
    strictly = declared.status != 302 and wants_strictness()
    if strictly:
        g.strict = True
    strictly = strictly or declared.strict
    arguments = {}
    if declared.query or strictly:
        schema: Any = declared.query or Query
        query = _query(schema, strictly, request.environ["QUERY_STRING"])
    if declared.query:
        arguments["query"] = query
    if declared.body:
        arguments["body"] = _body(declared.body, strictly)
    return arguments


def _respond(result: Any, status: int) -> Response:
    if isinstance(result, Response):
        return result
    payload, headers = result if isinstance(result, Answer) else (result, {})
    response = empty(status) if payload is None else _json(payload, status)
    response.headers.extend(headers)
    return response


def _json(payload: Any, status: int) -> Response:
    return Ready(encode(payload) + b"\n", status, mimetype="application/json")


def finish(response: Response) -> Response:
    """The headers of all answers; Flask's answer to OPTIONS has no body, and so no type."""
    current, own = resolved()
    response.headers["X-Content-Type-Options"] = "nosniff"
    if "strict" in own:
        response.headers["Preference-Applied"] = "handling=strict"
    if "keeps_private" in own:  # shared caches know what Authorization means, but not X-API-Key
        response.headers.setdefault("Cache-Control", "private, no-cache")
    if current.method == "OPTIONS" and response.status_code == 200:
        response.headers.remove("Content-Type")
    return response


def empty(status: int, kind: type[Response] = Response) -> Response:
    """An answer without a body, and so without a type."""
    response = kind(status=status)
    del response.headers["Content-Type"]
    return response


def created(payload: Any, location: str, tag: str = "") -> Answer:
    headers = {"Location": _before(location)}
    return Answer(payload, headers | {"ETag": tag} if tag else headers)


def listing(page: Page, query: ListQuery) -> Answer:
    """A bare array, with links to the pages around it."""
    links = [f'<{_with(changed, query)}>; rel="{rel}"' for rel, changed in _around(page, query)]
    headers = {"Link": ", ".join(links)} if links else {}
    if page.total is not None:
        headers["X-Total-Count"] = str(page.total)
    return Answer(page.rows, headers)


def _around(page: Page, query: ListQuery) -> list[tuple[str, dict[str, int]]]:
    """By relation, what is different in the query of the pages around this one."""
    here, around = number(query), []
    if page.more:
        after = {"after": _id_of(page.rows[-1])}
        around.append(("next", {"page": here + 1} if query.after is None else after))
    if here > 1 and query.after is None:
        around.append(("prev", {"page": here - 1}))
    return around


def _id_of(row: Any) -> int:
    return int((row.get("id") or row["version"]) if isinstance(row, dict) else row.id)


def _with(changed: dict[str, int], query: ListQuery) -> str:
    changes = *changed.items(), ("per_page", size(query))
    return f"{_before(request.path)}?{_query_with(changes, request.environ['QUERY_STRING'])}"


@lru_cache(maxsize=200)  # as above
def _query_with(changes: tuple[tuple[str, int], ...], _query_string: str) -> str:
    return urlencode({**request.args.to_dict(), **dict(changes)})
