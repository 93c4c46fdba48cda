"""The one gate for what comes in, and the declaration beside each endpoint of what it takes and what it answers."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlencode

from flask import Request, Response, abort, current_app, g, request
from werkzeug.routing import BaseConverter, RequestRedirect

from app import limits
from app.errors import InvalidInput, TooLarge, Unavailable
from app.proxies import host_is_legal
from app.routes.uploads import no_upload
from app.schemas import ListQuery, Own, Query, check, encode, is_host, load_object, unknown_names
from app.services.paging import Page, number, size
from app.services.urls import ROUTE_NAMES

# ---- what a path may contain ----


class IdConverter(BaseConverter):
    """Plain ASCII digits; more of them than any id has are not worth reading."""

    regex = "[0-9]{1,40}"

    def to_python(self, value: str) -> int:
        return int(value)


class CodeConverter(BaseConverter):
    """One segment that is not the name of a route, so that a wrong method on a route is a 405 that allows what is there."""

    regex = rf"(?!(?:{'|'.join(map(re.escape, ROUTE_NAMES))})$)[^/]+"
    part_isolating = True


# ---- bodies, queries ----


def refuse_misfits() -> None:
    """What Werkzeug would let pass: //users as /users, an empty path as /, and a body that is too large where nobody reads it."""
    current = request._get_current_object()  # type: ignore[attr-defined]  # the proxy costs more than what is asked of it
    if current.environ["PATH_INFO"].startswith("//") or isinstance(
        current.routing_exception, RequestRedirect
    ):
        abort(404)
    if "asgi.overloaded" in current.environ:
        raise Unavailable("Too many requests are waiting already")
    _refuse_large(current)


def _refuse_large(current: Request) -> None:
    about = current.method, current.environ["PATH_INFO"], current.headers.get("Content-Type", "")
    length, most = current.content_length or 0, limits.largest_body(*about)
    if limits.is_misplaced(*about) and length <= limits.UPLOAD_BYTES:
        raise no_upload("file")
    if length > most:
        raise TooLarge(most)
    current.max_content_length = most + 1  # without a length, as much shows that there is more


def _body(schema: type[Any], strictly: bool) -> Any:
    if not request.is_json:
        raise InvalidInput(
            f"The body must be JSON with the content type application/json, not {(request.mimetype or 'none')[:80]}"
        )
    data = request.get_data()
    if len(data) > limits.JSON_BYTES:
        raise TooLarge(limits.JSON_BYTES)
    values = _object(data)
    return check(
        schema, values, unknown_names(schema, values) if strictly else None, own=_own(base_url())
    )


_own = lru_cache(maxsize=100)(Own.of)


def _query(schema: type[Any] | None, strictly: bool) -> Any:
    values = request.args.to_dict()
    unknown = unknown_names(schema, values) if strictly else None
    return check(schema or Query, values, unknown)


def wants_strictness() -> bool:
    """Whether the client asks to be told of names that mean nothing here (RFC 7240)."""
    current = request._get_current_object()  # type: ignore[attr-defined]  # as above
    for preference in current.environ.get("HTTP_PREFER", "").split(","):
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
    """What short links begin with, without a slash at the end; a client that named no legal host gets our own."""
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


# ---- the declaration ----


@dataclass(frozen=True)
class Declaration:
    """What the OpenAPI document says of an endpoint."""

    answer: Any = None
    status: int = 200
    body: type[Any] | None = None
    query: type[Any] | None = None
    errors: tuple[int, ...] = ()
    headers: tuple[str, ...] = ()
    media: str = "application/json"
    page: bool = False
    upload: bool = False
    refusal: type[Any] | None = None  # a 400 that says more than other errors
    secured: bool = False


class Answer(NamedTuple):
    """A payload that comes with headers."""

    payload: Any
    headers: dict[str, str]


def declares(**declaration: Any) -> Callable[[Callable[..., Any]], Callable[..., Response]]:
    """Reads `body` and `query` as declared, gives them to the view by those names, and turns what it returns into JSON."""
    declared = Declaration(**declaration)

    def wrap(view: Callable[..., Any]) -> Callable[..., Response]:
        @functools.wraps(view)
        def answer(**arguments: Any) -> Response:
            return _respond(view(**arguments, **_given(declared)), declared.status)

        answer.declaration = declared  # type: ignore[attr-defined]
        return answer

    return wrap


def _given(declared: Declaration) -> dict[str, Any]:
    """The query and the body, as far as the endpoint takes them."""
    # A redirect ignores its query in any case, because the front does not look at it either.
    strictly = declared.status != 302 and wants_strictness()
    if strictly:
        g.strict = True
    arguments = {}
    query = _query(declared.query, strictly) if declared.query or strictly else None
    if declared.query:
        arguments["query"] = query
    if declared.body:
        arguments["body"] = _body(declared.body, strictly)
    return arguments


def _respond(result: Any, status: int) -> Response:
    if isinstance(result, Response):
        return result
    payload, headers = result if isinstance(result, Answer) else (result, {})
    response = (
        empty(status)
        if payload is None
        else Response(encode(payload) + b"\n", status, mimetype="application/json")
    )
    response.headers.extend(headers)
    return response


def finish(response: Response) -> Response:
    """What all answers have; and OPTIONS is answered by headers, while Flask calls the nothing that follows HTML."""
    response.headers["X-Content-Type-Options"] = "nosniff"
    if g.get("strict"):
        response.headers["Preference-Applied"] = "handling=strict"
    if request.method == "OPTIONS" and response.status_code == 200:
        response.headers.remove("Content-Type")
    return response


def empty(status: int, kind: type[Response] = Response) -> Response:
    """An answer that has no body, and so no type of one."""
    response = kind(status=status)
    del response.headers["Content-Type"]
    return response


def created(payload: Any, location: str) -> Answer:
    return Answer(payload, {"Location": _before(location)})


def listing(page: Page, query: ListQuery) -> Answer:
    """A bare array, with links to the pages around it."""
    headers = {}
    links = [f'<{address}>; rel="{rel}"' for rel, address in _around(page, query)]
    if links:
        headers["Link"] = ", ".join(links)
    if page.total is not None:
        headers["X-Total-Count"] = str(page.total)
    return Answer(page.rows, headers)


def _around(page: Page, query: ListQuery) -> list[tuple[str, str]]:
    if query.after is not None:
        return (
            [("next", _with(after=_id_of(page.rows[-1]), per_page=size(query)))]
            if page.more
            else []
        )
    around = []
    if page.more:
        around.append(("next", _with(page=number(query) + 1, per_page=size(query))))
    if number(query) > 1:
        around.append(("prev", _with(page=number(query) - 1, per_page=size(query))))
    return around


def _id_of(row: Any) -> int:
    return int(row["id"] if isinstance(row, dict) else row.id)


def _with(**changed: int) -> str:
    return f"{_before(request.path)}?{urlencode({**request.args.to_dict(), **changed})}"
