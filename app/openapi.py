"""The OpenAPI 3.1 document, made from the routes and the very schemas that validate requests and shape answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from flask import Flask
from werkzeug.routing import Rule

from app.errors import phrase
from app.schemas import Error, ListQuery, definitions, interface, message


class Operation(NamedTuple):
    path: str
    method: str
    rule: Rule
    view: Any


def document(app: Flask, version: str, base_url: str) -> dict[str, Any]:
    """The whole interface of `app`, which is found at `base_url`."""
    operations = list(_operations(app))
    shapes = _shapes(operations)
    schemas, named = definitions(list(shapes.values()))
    schema_of = dict(zip(shapes, schemas.values(), strict=True))
    described: dict[str, Any] = {}
    for operation in operations:
        described.setdefault(operation.path, {})[operation.method] = _describe(operation, schema_of)
    return {
        "openapi": "3.1.0",
        "info": interface.info(version),
        "servers": [{"url": base_url, "description": "This one"}],
        "security": [],
        "tags": [{"name": name, "description": text} for name, text in interface.TAGS.items()],
        "paths": described,
        "components": {
            "schemas": named,
            "headers": interface.headers(),
            "securitySchemes": {"chaos": interface.CHAOS},
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
        wanted = {"answer": declared.answer, "body": declared.body, "refusal": declared.refusal}
        shapes.update(
            {
                f"{operation.rule.endpoint} {kind}": shape
                for kind, shape in wanted.items()
                if shape is not None
            }
        )
    return shapes


def _describe(operation: Operation, schema_of: dict[str, Any]) -> dict[str, Any]:
    declared, endpoint = operation.view.declaration, operation.rule.endpoint
    tag, name = endpoint.partition(".")[0], _name(operation)
    paths = [_path_parameter(named) for converter, named in _parts(operation.rule) if converter]
    described: dict[str, Any] = {
        "operationId": name,
        "tags": [tag],
        "summary": name.replace("_", " ").capitalize(),
        "description": operation.view.__doc__,
        "parameters": paths + _query_parameters(declared.query),
        "responses": _responses(operation, schema_of.get(f"{endpoint} answer"), schema_of["error"]),
    }
    refusal = schema_of.get(f"{endpoint} refusal")
    if refusal:
        described["responses"]["400"]["content"]["application/json"]["schema"] = refusal
    body = schema_of.get(f"{endpoint} body")
    if body:
        described["requestBody"] = _content("application/json", {"schema": body})
    if declared.upload:
        described["requestBody"] = _content("multipart/form-data", interface.UPLOAD)
    if declared.secured:
        described["security"] = [{"chaos": []}]
    return described


def _name(operation: Operation) -> str:
    return str(operation.rule.endpoint.rpartition(".")[2])


def _content(media: str, described: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {media: described}}


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": interface.PATH_PARAMETERS[name]}


def _query_parameters(query: Any) -> list[dict[str, Any]]:
    properties = query.model_json_schema()["properties"] if query else {}
    return [
        {
            "name": name,
            "in": "query",
            "description": schema.pop("description", "only those with this"),
            "schema": _without_null(schema),
        }
        for name, schema in properties.items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query cannot say null, it can only leave a value out."""
    if "anyOf" in schema:
        return dict(schema["anyOf"][0])
    return {key: value for key, value in schema.items() if key not in ("title", "default")}


def _responses(operation: Operation, answer: Any, error: Any) -> dict[str, Any]:
    declared = operation.view.declaration
    is_list = declared.query is not None and issubclass(declared.query, ListQuery)
    paging = ("Link", "X-Total-Count") if is_list else ()
    good: dict[str, Any] = {
        "description": phrase(declared.status),
        "headers": _headers(*declared.headers, *paging),
    }
    if answer is not None:
        example = interface.ANSWERS.get(_name(operation))
        shown = {"schema": answer} | ({"example": example} if example else {})
        good["content"] = {declared.media: shown} | _page(declared.page)
    bad_input = (400, 413) if declared.body or declared.upload else (400,) if is_list else ()
    statuses = sorted({*declared.errors, *bad_input, 429, 503})
    return {
        str(declared.status): good,
        **({"2XX": interface.ELSEWHERE} if declared.status == 302 else {}),
        **{str(status): _failure(status, operation, error) for status in statuses},
    }


def _headers(*names: str) -> dict[str, Any]:
    wanted = ("X-Request-ID", *names)
    return {name: {"$ref": f"#/components/headers/{name}"} for name in wanted}


def _page(wanted: bool) -> dict[str, Any]:
    """What a browser gets instead."""
    return {"text/html": {"schema": interface.TEXT}} if wanted else {}


def _failure(status: int, operation: Operation, error: Any) -> dict[str, Any]:
    declared, words = operation.view.declaration, phrase(status)
    example = {
        "error": words,
        "message": message(status, _name(operation), operation.path),
        "status": status,
        "request_id": "4f1f0a5b9c3d2e17",
    }
    is_dead_link = declared.status == 302 and status in (404, 410)
    headers: tuple[str, ...] = ("Retry-After",) if status in (429, 503) else ()
    headers += ("Cache-Control", "Vary") if is_dead_link else ()
    headers += ("X-Cache",) if operation.path == "/products" and status != 429 else ()
    return {
        "description": words,
        "headers": _headers(*headers),
        "content": {
            "application/json": {"schema": error, "example": example},
            **_page(is_dead_link),
        },
    }
