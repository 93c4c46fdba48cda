"""The OpenAPI 3.1 document, made from the routes and from the schemas that validate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from flask import Flask

from app import problems
from app.errors import phrase
from app.schemas import (
    Error,
    ListQuery,
    Problem,
    definitions,
    examples,
    interface,
    linkrules,
    messages,
)
from app.version import VERSION

Json = dict[str, Any]
_MADE = "holdfast-openapi"


class Operation(NamedTuple):
    name: str
    tag: str
    path: str
    parameters: list[str]
    method: str
    view: Any
    auth: str

    @property
    def declared(self) -> Any:
        return self.view.declaration

    @property
    def needs_key(self) -> bool:
        return self.auth != "off" and self.declared.scope != "public"


def document(app: Flask, base_url: str) -> Json:
    """The interface of `app` at `base_url`; all but that address is made once for each AUTH."""
    made: Json = app.extensions.setdefault(_MADE, {})
    auth = app.config["AUTH"]
    if auth not in made:
        made[auth] = _document(list(_operations(app)), auth)
    return {**made[auth], "servers": [{"url": base_url, "description": "This one"}]}


def endpoints(app: Flask) -> list[str]:
    """Every method and path, such as `GET /users/{user_id}`."""
    return [f"{operation.method.upper()} {operation.path}" for operation in _operations(app)]


def _operations(app: Flask) -> Iterator[Operation]:
    for rule in app.url_map.iter_rules():
        view, (tag, _, name) = app.view_functions[rule.endpoint], rule.endpoint.partition(".")
        if hasattr(view, "declaration") and not view.declaration.hidden:
            parts = rule.rule.replace("<", ">").split(">")  # a parameter at each odd place
            names = [part.rpartition(":")[2] for part in parts[1::2]]
            parts[1::2] = [f"{{{named}}}" for named in names]
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                path, auth = "".join(parts), app.config["AUTH"]
                yield Operation(name, tag, path, names, method.lower(), view, auth)


def _document(operations: list[Operation], auth: str) -> Json:
    declared = [operation.declared for operation in operations]
    used = [shape for each in declared for shape in (each.answer, each.body, each.refusal)]
    shapes = [Error, Problem, *(shape for shape in used if shape is not None)]
    schemas, named = definitions(shapes)
    schema_of = {repr(shape): schemas[place] for place, shape in enumerate(shapes)}
    paths: Json = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = _describe(operation, schema_of)
    return {
        "openapi": "3.1.0",
        "info": interface.info(VERSION),
        "security": [],
        "tags": [{"name": name, "description": text} for name, text in interface.TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": named,
            "headers": interface.HEADERS | (interface.KEY_HEADERS if auth != "off" else {}),
            "securitySchemes": interface.CHAOS | (interface.KEYS if auth != "off" else {}),
        },
    }


def _describe(operation: Operation, schema_of: Json) -> Json:
    declared = operation.declared
    described: Json = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.name.replace("_", " ").capitalize(),
        "description": operation.view.__doc__,
        "parameters": [
            *map(_path_parameter, operation.parameters),
            *_query(declared.query),
            *map(_header_parameter, _heeded(operation)),
        ],
        "responses": _responses(operation, schema_of),
        "x-scope": declared.scope,
    }
    if declared.body:
        schema = schema_of[repr(declared.body)]
        described["requestBody"] = _body("application/json", {"schema": schema})
    if declared.upload:
        described["requestBody"] = _body("multipart/form-data", interface.UPLOADS[operation.name])
    if security := _security(operation):
        described["security"] = security
    return described


def _security(operation: Operation) -> list[Json]:
    """The alternatives, each with all that it takes; an empty one is a request without a key."""
    declared = operation.declared
    token: Json = {"chaos": []} if declared.secured else {}
    if not operation.needs_key:
        return [token] if token else []
    nobody: list[Json] = [{}] if operation.auth == "create" and declared.keyless else []
    return [*nobody, *({name: [], **token} for name in interface.KEYS)]


def _body(media: str, described: Json) -> Json:
    return {"required": True, "content": {media: described}}


def _path_parameter(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": interface.PATH_PARAMETERS[name]}


def _header_parameter(name: str) -> Json:
    return {"name": name, "in": "header", **interface.REQUEST_HEADERS[name]}


def _heeded(operation: Operation) -> list[str]:
    """The request headers that change what the operation does."""
    if operation.method == "post":
        if operation.declared.secret:
            return []
        return ["Idempotency-Key"] + ["If-Match"] * (412 in operation.declared.errors)
    if not operation.declared.tagged:
        return []
    return ["If-None-Match" if operation.method == "get" else "If-Match"]


_STATUSES = {"Idempotency-Key": (400, 409, 422), "If-Match": (412,), "If-None-Match": ()}
"""What else may be answered to a request with that header."""


def _query(query: Any) -> Iterator[Json]:
    """The query parameters; most can be left out, none can be null."""
    whole = query.model_json_schema() if query else {"properties": {}}
    for name, schema in whole["properties"].items():
        text = schema.pop("description", "only those with this")
        shown = schema.get("anyOf", [schema])[0]
        shown = {key: value for key, value in shown.items() if key not in ("title", "default")}
        needed = {"required": True} if name in whole.get("required", ()) else {}
        yield {"name": name, "in": "query", "description": text, "schema": shown, **needed}


def _is_list(operation: Operation) -> bool:
    return issubclass(operation.declared.query or object, ListQuery)


def _responses(operation: Operation, schema_of: Json) -> Json:
    declared = operation.declared
    bad_input = (400, 413) if declared.body or declared.upload else ()
    bad_page = (400,) if _is_list(operation) else ()
    responses = {str(declared.status): _success(operation, schema_of)}
    if declared.status == 302:
        responses |= {str(status): _success(operation, schema_of, status) for status in _OTHERS}
        responses["2XX"] = interface.OTHER_SITE
    heeded = _heeded(operation)
    if "If-None-Match" in heeded:
        responses["304"] = {
            "description": phrase(304),
            "headers": _headers("ETag", *declared.headers),
        }
    also = {status for name in heeded for status in _STATUSES[name]}
    also |= {400, 401, 403} if operation.needs_key else set()
    for status in sorted({*declared.errors, *bad_input, *bad_page, *also, 429, 503}):
        shape = declared.refusal if status == 400 and declared.refusal else Error
        schemas = schema_of[repr(shape)], schema_of[repr(Problem)]
        responses[str(status)] = _failure(status, operation, *schemas)
    return responses


_OTHERS = tuple(status for status in linkrules.REDIRECT_STATUSES if status != 302)
"""What a link may redirect with instead."""


def _success(operation: Operation, schema_of: Json, status: int = 0) -> Json:
    declared = operation.declared
    paging = ("Link", "X-Total-Count") if _is_list(operation) else ()
    tag = ("ETag",) if declared.tagged and declared.answer else ()
    limits = _LIMITS if _is_limited(operation) else []
    headers = _headers(*declared.headers, *paging, *tag, *limits, *_replayed(operation))
    described = {"description": phrase(status or declared.status), "headers": headers}
    if declared.answer is None:
        return described
    shown = {"schema": schema_of[repr(declared.answer)]}
    if operation.name in examples.ANSWERS:
        shown["example"] = examples.ANSWERS[operation.name]
    kinds = (declared.media,) if isinstance(declared.media, str) else declared.media
    return {**described, "content": {**dict.fromkeys(kinds, shown), **_page(declared.page)}}


def _failure(status: int, operation: Operation, schema: Json, problem: Json) -> Json:
    words = phrase(status)
    message = messages.message(status, operation.name, operation.path)
    shown = {"schema": schema, "example": messages.error(status, words, message)}
    is_dead_link = 410 in operation.declared.errors and status in (404, 410)
    headers = ["Retry-After"] if status in (429, 503) else []
    headers += _LIMITS if status == 429 or _is_limited(operation) else []
    headers += ["Cache-Control", "Vary"] if is_dead_link else []
    headers += ["WWW-Authenticate"] if status in (401, 403) and operation.needs_key else []
    headers += ["X-Cache"] if operation.path == "/products" and status != 429 else []
    headers += _replayed(operation) if status < 429 else []
    content = {problems.JSON: shown, problems.MEDIA: {"schema": problem}, **_page(is_dead_link)}
    return {"description": words, "headers": _headers(*headers), "content": content}


def _is_limited(operation: Operation) -> bool:
    """Whether each request counts; not those for codes that no link has."""
    return operation.method != "get"


_LIMITS = ["RateLimit-Policy", "RateLimit"]


def _headers(*names: str) -> Json:
    wanted = ("X-Request-ID", *names)
    return {name: {"$ref": f"#/components/headers/{name}"} for name in wanted}


def _replayed(operation: Operation) -> list[str]:
    return ["Idempotent-Replayed"] if "Idempotency-Key" in _heeded(operation) else []


def _page(wanted: bool) -> Json:
    """What a browser gets instead."""
    return {"text/html": {"schema": interface.TEXT}} if wanted else {}
