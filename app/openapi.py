"""The OpenAPI 3.1 document, made from the routes and the very schemas that validate requests and shape answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from flask import Flask
from werkzeug.routing import Rule

from app.errors import phrase
from app.schemas import Error, ListQuery, definitions

_PATH_PARAMETERS = {
    "id": {"type": "integer", "minimum": 1, "maximum": 2**63 - 1, "examples": [7]},
    "code": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,32}$", "examples": ["aB3xY9"]},
}
_UPLOAD = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {
            "type": "string",
            "contentMediaType": "application/octet-stream",
            "description": "CSV with the columns username and email, also id and created_at, in any order and case; this pattern is the plainest kind",
            "pattern": r"^username,email(\n[^\x00\"]*)?$",
            "examples": ["username,email\nada,ada@example.com"],
        }
    },
}
_TEXT = {"type": "string"}
_HEADERS = {
    "X-Request-ID": ("Names this request in the log and in error bodies; a sane one that the client sent is kept", _TEXT, True),
    "Location": ("Where it is, or leads", _TEXT, True),
    "Cache-Control": ("Always `private, no-store`, so that every click arrives", _TEXT, True),
    "X-Cache": ("Whether the answer came from the cache", {"enum": ["HIT", "MISS"]}, True),
    "Link": ('The pages around this one: rel="next", rel="prev"', _TEXT, False),
    "X-Total-Count": ("How many there are in all, when `count=true` asked for it", {"type": "integer", "minimum": 0}, False),
    "Retry-After": ("Seconds to wait", {"type": "integer", "minimum": 0}, True),
}
_MESSAGES = {
    400: "email: not a valid email address (got 'ada')",
    401: "X-Chaos-Token is missing or wrong",
    404: "User 99 not found",
    409: "Email already exists: ada@example.com",
    410: "Short code aB3xY9 is deactivated",
    413: "The body is larger than 10 MiB",
    503: "Database is unavailable",
}
_CHAOS = {"type": "apiKey", "in": "header", "name": "X-Chaos-Token", "description": "Equal to the setting CHAOS_TOKEN; without one, nobody has it"}


class Operation(NamedTuple):
    path: str
    method: str
    rule: Rule
    view: Any


def document(app: Flask, version: str) -> dict[str, Any]:
    """The whole interface of `app`."""
    operations = list(_operations(app))
    shapes = _shapes(operations)
    schemas, named = definitions(list(shapes.values()))
    schema_of = dict(zip(shapes, schemas.values(), strict=True))
    described: dict[str, Any] = {}
    for operation in operations:
        described.setdefault(operation.path, {})[operation.method] = _describe(operation, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Holdfast", "version": version, "description": "A URL shortener that operators trust."},
        "paths": described,
        "components": {
            "schemas": named,
            "headers": {name: {"description": text, "schema": schema, "required": always} for name, (text, schema, always) in _HEADERS.items()},
            "securitySchemes": {"chaos": _CHAOS},
        },
    }


def endpoints(app: Flask) -> list[str]:
    """Everything that can be asked for, such as `GET /users/{user_id}`."""
    return [f"{operation.method.upper()} {operation.path}" for operation in _operations(app)]


def _operations(app: Flask) -> Iterator[Operation]:
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if hasattr(view, "declaration"):
            path = "".join(f"{{{part}}}" if converter else part for converter, part in _parts(rule))
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield Operation(path, method.lower(), rule, view)


def _parts(rule: Rule) -> list[tuple[str | None, str]]:
    """A rule such as /users/<id:user_id> as (converter or None, text) pairs."""
    parts: list[tuple[str | None, str]] = []
    for piece in rule.rule.replace(">", "<").split("<"):
        converter, _, name = piece.rpartition(":")
        parts.append((converter or None, name or piece))
    return parts


def _shapes(operations: list[Operation]) -> dict[str, Any]:
    """Everything that a document of these operations needs a schema for, by what it is called."""
    shapes: dict[str, Any] = {"error": Error}
    for operation in operations:
        declared = operation.view.declaration
        wanted = {"answer": declared.answer, "body": declared.body}
        shapes.update({f"{operation.rule.endpoint} {kind}": shape for kind, shape in wanted.items() if shape is not None})
    return shapes


def _describe(operation: Operation, schema_of: dict[str, Any]) -> dict[str, Any]:
    declared, endpoint = operation.view.declaration, operation.rule.endpoint
    described: dict[str, Any] = {
        "operationId": endpoint.rpartition(".")[2],
        "tags": [endpoint.partition(".")[0]],
        "summary": operation.view.__doc__,
        "parameters": [_path_parameter(converter, name) for converter, name in _parts(operation.rule) if converter] + _query_parameters(declared.query),
        "responses": _responses(declared, schema_of.get(f"{endpoint} answer"), schema_of["error"]),
    }
    body = schema_of.get(f"{endpoint} body")
    if body:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    if declared.upload:
        described["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": _UPLOAD}}}
    if declared.secured:
        described["security"] = [{"chaos": []}]
    return described


def _path_parameter(converter: str, name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": _PATH_PARAMETERS[converter]}


def _query_parameters(query: Any) -> list[dict[str, Any]]:
    properties = query.model_json_schema()["properties"] if query else {}
    return [{"name": name, "in": "query", "description": schema.pop("description", ""), "schema": _without_null(schema)} for name, schema in properties.items()]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query cannot say null, it can only leave a value out."""
    if "anyOf" in schema:
        return dict(schema["anyOf"][0])
    return {key: value for key, value in schema.items() if key not in ("title", "default")}


def _responses(declared: Any, answer: Any, error: Any) -> dict[str, Any]:
    is_list = declared.query is not None and issubclass(declared.query, ListQuery)
    good: dict[str, Any] = {
        "description": phrase(declared.status),
        "headers": _headers(*declared.headers, *(("Link", "X-Total-Count") if is_list else ())),
    }
    if answer is not None:
        good["content"] = {declared.media: {"schema": answer}}
    bad_input = (400, 413) if declared.body or declared.upload else (400,) if is_list else ()
    statuses = sorted({*declared.errors, *bad_input, 503})
    return {str(declared.status): good, **{str(status): _failure(status, error) for status in statuses}}


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-ID", *names)}


def _failure(status: int, error: Any) -> dict[str, Any]:
    words = phrase(status)
    example = {"error": words, "message": _MESSAGES[status], "status": status, "request_id": "4f1f0a5b9c3d2e17"}
    return {
        "description": words,
        "headers": _headers(*(("Retry-After",) if status == 503 else ())),
        "content": {"application/json": {"schema": error, "example": example}},
    }
