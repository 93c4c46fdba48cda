"""The OpenAPI document as the pages of /docs show it: its nouns, endpoints, fields and errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from app.pages.fields import Field, Json, field, fields, named, type_of
from app.routes.gate import KEYS_OF

PAGING = ("page", "per_page", "after", "count")
_ALWAYS = ("X-Request-ID", "RateLimit-Policy", "RateLimit", "Retry-After", "WWW-Authenticate")
_ANYWHERE = ("401", "403", "413", "422", "429", "503")


class Outcome(NamedTuple):
    """An answer or an error; `of`: the object that it is, or is a list of, "" for none.

    The example of an error is its message.
    """

    status: str
    words: str
    type: str
    of: str
    headers: list[str]
    example: str


class Endpoint(NamedTuple):
    """One operation; `described` is what the document says of it."""

    name: str
    method: str
    path: str
    about: str
    scopes: tuple[str, ...]  # of keys; () where none is needed
    parameters: list[Field]
    is_paged: bool
    body: list[Field]
    media: str
    answers: list[Outcome]
    errors: list[Outcome]  # but for those that any endpoint may have
    described: Json


class Noun(NamedTuple):
    name: str
    about: str
    endpoints: list[Endpoint]
    objects: dict[str, tuple[str, list[Field]]]  # by name: what it is, and its fields


def nouns(document: Json) -> dict[str, Noun]:
    """All of the document, by noun."""
    schemas = document["components"]["schemas"]
    described = {tag["name"]: tag["description"] for tag in document["tags"]}
    found: dict[str, Noun] = {}
    for name, about in described.items():
        endpoints = [
            _endpoint(method.upper(), path, operation, schemas)
            for path, method, operation in operations(document)
            if operation["tags"] == [name]
        ]
        found[name] = Noun(name, about, endpoints, _objects(endpoints, schemas))
    return found


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def paging(document: Json) -> list[Field]:
    """The parameters of every list."""
    listed = document["paths"]["/users"]["get"]["parameters"]
    return [_parameter(each) for each in listed if each["name"] in PAGING]


def _endpoint(method: str, path: str, operation: Json, schemas: Json) -> Endpoint:
    parameters = [_parameter(each) for each in operation["parameters"]]
    names = {each.name for each in parameters}
    is_paged = names.issuperset(PAGING)
    media, body = _body(operation, schemas)
    responses = operation["responses"].items()
    needs_key = any(kind in each for each in operation.get("security", ()) for kind in _KEYS)
    return Endpoint(
        name=operation["operationId"],
        method=method,
        path=path,
        about=operation["description"],
        scopes=KEYS_OF[operation["x-scope"]] if needs_key else (),
        parameters=[each for each in parameters if not (is_paged and each.name in PAGING)],
        is_paged=is_paged,
        body=body,
        media=media,
        answers=[_outcome(status, each, schemas) for status, each in responses if status < "4"],
        errors=[
            _outcome(status, each, schemas)
            for status, each in responses
            if status >= "4" and status not in _ANYWHERE
        ],
        described=operation,
    )


_KEYS = ("bearer", "key")


def _parameter(parameter: Json) -> Field:
    shown = field(parameter["name"], parameter["schema"], parameter.get("required", False))
    where = {"path": "In the path", "header": "A header"}.get(parameter["in"], "")
    about = parameter.get("description") or shown.about
    return shown._replace(about=". ".join(filter(None, (where, about))))


def _body(operation: Json, schemas: Json) -> tuple[str, list[Field]]:
    for media, described in operation.get("requestBody", {}).get("content", {}).items():
        schema = described["schema"]
        rows = fields(schemas.get(named(schema), schema))
        return media, sorted(rows, key=lambda row: not row.required)
    return "", []


def _outcome(status: str, response: Json, schemas: Json) -> Outcome:
    content: Json = response.get("content", {})
    media = next(iter(content), "")
    shown = content.get(media, {})
    schema = shown.get("schema", {})
    is_json = media == "application/json"
    return Outcome(
        status,
        response["description"],
        type_of(schema) if is_json else ", ".join(content),
        named(schema) if is_json else "",
        [name for name in response.get("headers", ()) if name not in _ALWAYS],
        _example(status, shown, schemas) if is_json else "",
    )


def _example(status: str, shown: Json, schemas: Json) -> str:
    example = example_of(shown, schemas)
    if status >= "4" and example is not None:
        return str(example["message"])
    return "" if example is None else json.dumps(example, indent=2, ensure_ascii=False)


def example_of(shown: Json, schemas: Json) -> Any:
    """What the document has as the example of a body or an answer; None without one."""
    if "example" in shown:
        return shown["example"]
    schema = shown["schema"]
    whole: Json = schemas.get(named(schema)) or schema
    first = next(iter(whole.get("examples", ())), None)
    return [first] if schema.get("type") == "array" and first is not None else first


def _objects(endpoints: list[Endpoint], schemas: Json) -> dict[str, tuple[str, list[Field]]]:
    """What the endpoints answer, and all that it consists of."""
    wanted = [each.of for endpoint in endpoints for each in (*endpoint.answers, *endpoint.errors)]
    wanted += [row.of for endpoint in endpoints for row in endpoint.body]
    found: dict[str, tuple[str, list[Field]]] = {}
    while wanted:
        name = wanted.pop(0)
        if name not in ("", "Error", *found):
            rows = fields(schemas[name])
            found[name] = schemas[name].get("description", ""), rows
            wanted += [row.of for row in rows]
    return found
