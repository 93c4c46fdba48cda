"""Idempotency-Key: the same request again gets the first one's answer again."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from flask import Flask, Response, g, request

from app.errors import InvalidInput, TooLarge, in_form, render_json
from app.services import idempotency
from app.services.idempotency import Kept

_PIECE_BYTES = 65_536
_LONGEST = 255

# A string of RFC 8941, or what other services take: the bare key.
_KEY = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])+)"|([!#-~][ -~]*)')


def install(app: Flask) -> None:
    """Lets every POST heed the header; other requests do not even look for it."""
    for rule in app.url_map.iter_rules():
        if "POST" in (rule.methods or ()):
            view: Any = app.view_functions[rule.endpoint]
            wrap = _refusing if view.declaration.secret else _heeding
            app.view_functions[rule.endpoint] = wrap(view)


def _heeding(view: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(view)
    def answer(**arguments: Any) -> Any:
        if "HTTP_IDEMPOTENCY_KEY" not in request.environ:
            return view(**arguments)
        return _once(lambda: view(**arguments))

    return answer


def _refusing(view: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(view)
    def answer(**arguments: Any) -> Any:
        if "HTTP_IDEMPOTENCY_KEY" in request.environ:
            raise InvalidInput("Idempotency-Key is refused here: it would store the secret")
        return view(**arguments)

    return answer


def _once(respond: Callable[[], Response]) -> Response:
    """What `respond` answers, or what it has answered to this request with this key before."""
    name = _key(request.environ["HTTP_IDEMPOTENCY_KEY"])
    kept = idempotency.once(
        name, _fingerprint(), lambda: _keep(respond()), lambda error: _keep(render_json(error))
    )
    return _answer(kept)


def _key(given: str) -> str:
    found = _KEY.fullmatch(given.strip(" \t"))
    key = re.sub(r"\\(.)", r"\1", found[1]) if found and found[1] else found and found[2]
    if not key or len(key) > _LONGEST:
        raise InvalidInput(
            f"Idempotency-Key must be 1 to {_LONGEST} printable ASCII characters, plain or quoted"
        )
    return key


def _fingerprint() -> str:
    """SHA-256 of what makes the request: method, address, content type and body.

    Clients make a new boundary for each form, so it does not count.
    """
    environ, digest = request.environ, hashlib.sha256()
    boundary = request.mimetype_params.get("boundary", "") if _is_form() else ""
    kind = request.mimetype if boundary else environ.get("CONTENT_TYPE", "")
    for part in (*(environ[name] for name in _ADDRESS), kind):
        digest.update(part.encode() + b"\0")
    for piece in _without(b"--" + boundary.encode() if boundary else b"", _body()):
        digest.update(piece)
    return digest.hexdigest()


_ADDRESS = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING")


def _is_form() -> bool:
    return request.mimetype == "multipart/form-data"


def _body() -> Iterator[bytes]:
    """The whole body, which can be read again afterwards; raises TooLarge."""
    body, size, most = request.environ["wsgi.input"], 0, (request.max_content_length or 0) - 1
    while piece := body.read(_PIECE_BYTES):
        size += len(piece)
        if size > most:
            raise TooLarge(most)
        yield piece
    body.seek(0)


def _without(mark: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces without `mark`, also where it begins in one and ends in the next."""
    held = b""
    for piece in pieces:
        whole = (held + piece).replace(mark, b"") if mark else piece
        end = max(0, len(whole) - len(mark))
        held = whole[end:]
        yield whole[:end]
    yield held


def _keep(response: Response) -> Kept:
    if g.get("strict"):
        response.headers["Preference-Applied"] = "handling=strict"
    headers = [pair for pair in response.headers if pair[0] != "Content-Length"]
    return Kept(response.status_code, headers, response.get_data(as_text=True))


def _answer(kept: Kept) -> Response:
    """The answer to this request; of a repeated error all but the request id is the first one's."""
    response = Response(status=kept.status)
    response.headers.clear()
    response.headers.extend(kept.headers)
    if kept.status >= 400:
        body = json.loads(kept.body) | {"request_id": g.get("request_id", "")}
        text, kind = in_form(body, request.environ.get("HTTP_ACCEPT", ""))
        response.headers["Content-Type"] = kind
        response.set_data(text)
    else:
        response.set_data(kept.body)
    if kept.again:
        response.headers["Idempotent-Replayed"] = "true"
    return response
