"""The OpenAPI document: valid, whole, and true to what is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema_rs
import pytest
from flask import Flask
from flask.testing import FlaskClient
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from app.openapi import document as made
from tests.answers import check
from tests.conftest import Api
from tests.walking import bearer, secret_of

Document = dict[str, Any]


@pytest.fixture
def document(api: Api) -> Document:
    found: Document = api.get("/openapi.json")
    return found


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def own_answers(operation: Document) -> Iterator[tuple[str, Document]]:
    """Without 2XX: what a redirect leads to is not ours to describe."""
    return (item for item in operation["responses"].items() if item[0] != "2XX")


def validator(document: Document, schema: Document) -> Any:
    return jsonschema_rs.validator_for(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            **schema,
            "components": document["components"],
        }
    )


def test_the_document_is_valid_openapi_3_1(document: Document) -> None:
    assert document["openapi"].startswith("3.1.")
    assert [str(error) for error in OPENAPI_31_VALIDATOR.iter_errors(document)] == []


def test_every_route_is_in_the_document(app: Flask, document: Document) -> None:
    described = {
        (method.upper(), path.replace("{", "<").replace("}", ">"))
        for method, path, _ in operations(document)
    }
    routed = set()
    for rule in app.url_map.iter_rules():
        if app.view_functions[rule.endpoint].declaration.hidden:  # a page
            continue
        path = rule.rule.replace("<id:", "<").replace("<code:", "<")
        routed |= {(method, path) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    assert described == routed
    assert ("POST", "/users/bulk") in described


def test_operations_have_names_of_their_own_and_a_sentence(document: Document) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    for _, _, operation in operations(document):
        assert operation["description"].endswith(".")
        assert operation["summary"].lower().replace(" ", "_") == operation["operationId"]


def test_every_operation_says_what_succeeds_and_what_is_refused(document: Document) -> None:
    for _, path, operation in operations(document):
        kinds = {status[0] for status in operation["responses"]}
        assert {"2", "4"} <= kinds, path


def test_the_document_says_where_by_whom_and_under_which_licence(document: Document) -> None:
    assert document["servers"][0]["url"] == "/"
    assert document["info"]["license"]["identifier"] == "MIT"
    assert document["info"]["contact"]["name"]
    assert document["security"] == []
    secured = [path for _, path, operation in operations(document) if operation.get("security")]
    assert secured == ["/chaos"]
    used = {tag for _, _, operation in operations(document) for tag in operation["tags"]}
    assert used == {tag["name"] for tag in document["tags"]}


def test_a_base_url_is_where_the_server_is(
    app: Flask, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "BASE_URL", "https://x.example/s")
    assert api.get("/openapi.json")["servers"][0]["url"] == "https://x.example/s"


def test_the_document_is_made_once_and_gets_the_address_of_each_request(app: Flask) -> None:
    here, there = made(app, "https://a.example"), made(app, "https://b.example")
    assert here["paths"] is there["paths"]
    servers = [shown["servers"][0]["url"] for shown in (here, there)]
    assert servers == ["https://a.example", "https://b.example"]


def parts(value: Any) -> Iterator[Document]:
    """Every object in a document, itself included."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from parts(inner)


def test_nothing_in_the_document_is_null_by_default(document: Document) -> None:
    assert [part for part in parts(document) if part.get("default", "") is None] == []


def test_no_schema_contains_itself(document: Document) -> None:
    schemas = document["components"]["schemas"]

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above
        for part in parts(schemas[name]):
            if "$ref" in part:
                visit(part["$ref"].split("/")[-1], (*above, name))

    for name in schemas:
        visit(name, ())


def test_booleans_and_numbers_of_queries_are_booleans_and_numbers(document: Document) -> None:
    kinds: dict[str, set[str]] = {}
    for _, _, operation in operations(document):
        for parameter in operation["parameters"]:
            if parameter["in"] == "query":
                kinds.setdefault(parameter["schema"]["type"], set()).add(parameter["name"])
    assert kinds == {
        "boolean": {"count", "is_active", "atomic", "dry_run"},
        "integer": {"page", "per_page", "after", "user_id", "url_id", "lines", "limit"}
        | {"size", "border", "subject_id", "version"},
        "string": {"event_type", "filter", "level", "from", "to", "tz", "by", "tag", "format"}
        | {"username", "email", "short_code", "q", "created_after", "created_before", "sort"}
        | {"after_time", "before_time", "ids", "source", "kind", "key", "action"},
    }


def test_every_pattern_can_be_written_into_a_program(document: Document) -> None:
    """Line separators end a regular expression in JavaScript, raw or by their number."""
    patterns = [part["pattern"] for part in parts(document) if isinstance(part.get("pattern"), str)]
    assert patterns
    for pattern in patterns:
        assert not re.search(r"[\u0000-\u001f\u2028\u2029]|\\u202[89]|\\x0[ad]", pattern), pattern


def test_every_answer_is_described_with_its_headers(document: Document) -> None:
    for _, _, operation in operations(document):
        for status, answer in own_answers(operation):
            assert "X-Request-ID" in answer["headers"]
            assert (status in ("429", "503")) == ("Retry-After" in answer["headers"])
            assert ("content" in answer) == (
                status not in ("204", "301", "302", "304", "307", "308")
            )
        assert {"429", "503"} <= operation["responses"].keys()


def test_what_takes_a_body_or_a_page_can_be_refused(document: Document) -> None:
    for _, _, operation in operations(document):
        paged = any(parameter["name"] == "page" for parameter in operation["parameters"])
        assert paged == ("Link" in operation["responses"].get("200", {"headers": {}})["headers"])
        names = {each["name"] for each in operation["parameters"] if each["in"] == "query"}
        filtered = bool(names & {"tz", "format", "url_id", "is_active", "subject_id", "version"})
        can_be_bad = paged or filtered or "requestBody" in operation
        assert ("400" in operation["responses"]) == bool(can_be_bad)
        assert ("413" in operation["responses"]) == ("requestBody" in operation)


def test_every_schema_of_a_noun_has_an_example_that_it_accepts(document: Document) -> None:
    for name, schema in document["components"]["schemas"].items():
        if name != "Error":
            (example,) = schema["examples"]
            assert [
                error.message for error in validator(document, schema).iter_errors(example)
            ] == []


def test_every_error_has_an_example_that_its_schema_accepts(document: Document) -> None:
    for _, _, operation in operations(document):
        for status, answer in own_answers(operation):
            if int(status) >= 400:
                described = answer["content"]["application/json"]
                assert described["example"]["status"] == int(status)
                assert validator(document, described["schema"]).is_valid(described["example"])


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (
            "UserCreate",
            {"username": "ü", "email": "a.b+c@ex-ample.com"},
            [
                {"username": "ü"},
                {"username": " ", "email": "a@b.de"},
                {"username": "u", "email": "a@b"},
            ],
        ),
        (
            "UrlCreate",
            {"original_url": "https://a.example/?x"},
            [{}, {"original_url": "hello"}, {"original_url": "https://a.example/", "user_id": "1"}],
        ),
        (
            "EventCreate",
            {"event_type": "x", "details": {"a": [{"b": 1}]}},
            [{"event_type": ""}, {"event_type": "x", "details": []}],
        ),
    ],
)
def test_schemas_and_checks_agree(
    client: FlaskClient, document: Document, schema: str, good: Document, bad: list[Document]
) -> None:
    path = {"UserCreate": "/users", "UrlCreate": "/urls", "EventCreate": "/events"}[schema]
    accepts = validator(document, document["components"]["schemas"][schema]).is_valid
    assert accepts(good)
    check(client.post(path, data=json.dumps(good), content_type="application/json"), 201)
    for body in bad:
        assert not accepts(body)
        check(client.post(path, data=json.dumps(body), content_type="application/json"), 400)


@pytest.mark.parametrize("auth", ["on", "create"])
def test_with_auth_each_operation_says_which_key_it_needs(
    client: FlaskClient, given_with: Callable[..., None], auth: str
) -> None:
    given_with(auth=auth)
    document = client.get("/openapi.json").get_json()
    assert [str(error) for error in OPENAPI_31_VALIDATOR.iter_errors(document)] == []
    schemes = document["components"]["securitySchemes"]
    assert set(schemes) == {"chaos", "bearer", "key"}
    for method, path, operation in operations(document):
        needs_key = operation["x-scope"] != "public"
        assert ({"401", "403"} <= operation["responses"].keys()) == needs_key, path
        alternatives = operation.get("security", [])
        assert ([{"bearer", "key"} & set(each) for each in alternatives] != []) == needs_key, path
        keyless = auth == "create" and (method, path) in (("post", "/urls"), ("post", "/shorten"))
        assert ({} in alternatives) == keyless, path
    assert document["paths"]["/chaos"]["get"]["security"][0] == {"bearer": [], "chaos": []}


def test_without_auth_no_operation_asks_for_a_key(document: Document) -> None:
    assert set(document["components"]["securitySchemes"]) == {"chaos"}
    scopes = {operation["x-scope"] for _, _, operation in operations(document)}
    assert scopes == {"public", "create", "see", "read", "write", "admin"}
    assert not any("403" in operation["responses"] for _, _, operation in operations(document))


def test_the_shown_refusals_are_answered(
    client: FlaskClient, given_with: Callable[..., None]
) -> None:
    given_with(auth="on")
    document = client.get("/openapi.json").get_json()
    key = bearer(secret_of("read"))
    for status, headers in (("401", {}), ("403", key)):
        reply = client.post("/users", headers=headers)
        shown = document["paths"]["/users"]["post"]["responses"][status]
        assert reply.status_code == int(status)
        example = shown["content"]["application/json"]["example"]
        assert reply.get_json()["message"] == example["message"]
        described = document["components"]["headers"]
        needed = {name for name in shown["headers"] if described[name]["required"]}
        assert needed | {"WWW-Authenticate"} <= set(reply.headers.keys())
