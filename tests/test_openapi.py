"""The OpenAPI document: valid, whole, and true to what is answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from flask import Flask
from flask.testing import FlaskClient
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from tests.answers import check
from tests.conftest import Api

Document = dict[str, Any]


@pytest.fixture
def document(api: Api) -> Document:
    found: Document = api.get("/openapi.json")
    return found


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def validator(document: Document, schema: Document) -> Any:
    return jsonschema_rs.validator_for({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "components": document["components"]})


def test_the_document_is_valid_openapi_3_1(document: Document) -> None:
    assert document["openapi"].startswith("3.1.")
    assert [str(error) for error in OPENAPI_31_VALIDATOR.iter_errors(document)] == []


def test_every_route_is_in_the_document(app: Flask, document: Document) -> None:
    described = {(method.upper(), path.replace("{", "<").replace("}", ">")) for method, path, _ in operations(document)}
    routed = set()
    for rule in app.url_map.iter_rules():
        path = rule.rule.replace("<id:", "<").replace("<code:", "<")
        routed |= {(method, path) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    assert described == routed
    assert ("POST", "/users/bulk") in described


def test_operations_have_names_of_their_own_and_a_sentence(document: Document) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert all(operation["summary"].endswith(".") for _, _, operation in operations(document))


def test_every_answer_is_described_with_its_headers(document: Document) -> None:
    for _, _, operation in operations(document):
        for status, answer in operation["responses"].items():
            assert "X-Request-ID" in answer["headers"]
            assert (status == "503") == ("Retry-After" in answer["headers"])
            assert ("content" in answer) == (status not in ("204", "302"))
        assert "503" in operation["responses"]


def test_what_takes_a_body_or_a_page_can_be_refused(document: Document) -> None:
    for _, _, operation in operations(document):
        paged = any(parameter["name"] == "page" for parameter in operation["parameters"])
        assert paged == ("Link" in operation["responses"].get("200", {"headers": {}})["headers"])
        assert ("400" in operation["responses"]) == (paged or "requestBody" in operation)
        assert ("413" in operation["responses"]) == ("requestBody" in operation)


def test_every_schema_of_a_noun_has_an_example_that_it_accepts(document: Document) -> None:
    for name, schema in document["components"]["schemas"].items():
        if name not in ("Error", "Detail"):
            (example,) = schema["examples"]
            assert [error.message for error in validator(document, schema).iter_errors(example)] == []


def test_every_error_has_an_example_that_its_schema_accepts(document: Document) -> None:
    for _, _, operation in operations(document):
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                described = answer["content"]["application/json"]
                assert described["example"]["status"] == int(status)
                assert validator(document, described["schema"]).is_valid(described["example"])


def test_the_examples_of_bodies_are_accepted(client: FlaskClient, api: Api, document: Document) -> None:
    names = {"{user_id}": str(api.user("grace")["id"]), "{url_id}": str(api.url()["id"])}
    for method, path, operation in operations(document):
        if "application/json" in operation.get("requestBody", {"content": {}})["content"]:
            schema = document["components"]["schemas"][operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].split("/")[-1]]
            for name, value in names.items():
                path = path.replace(name, value)
            check(client.open(path, method=method.upper(), json=schema["examples"][0]), 200, 201)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (
            "UserCreate",
            {"username": "ü", "email": "a.b+c@ex-ample.com"},
            [{"username": "ü"}, {"username": " ", "email": "a@b.de"}, {"username": "u", "email": "a@b"}],
        ),
        ("UrlCreate", {"original_url": "https://a.example/?x"}, [{}, {"original_url": "hello"}, {"original_url": "https://a.example/", "user_id": "1"}]),
        ("EventCreate", {"event_type": "x", "details": {"a": [{"b": 1}]}}, [{"event_type": ""}, {"event_type": "x", "details": {"a": ["\x00"]}}]),
    ],
)
def test_schemas_and_checks_agree(client: FlaskClient, document: Document, schema: str, good: Document, bad: list[Document]) -> None:
    path = {"UserCreate": "/users", "UrlCreate": "/urls", "EventCreate": "/events"}[schema]
    accepts = validator(document, document["components"]["schemas"][schema]).is_valid
    assert accepts(good)
    check(client.post(path, data=json.dumps(good), content_type="application/json"), 201)
    for body in bad:
        assert not accepts(body)
        check(client.post(path, data=json.dumps(body), content_type="application/json"), 400)
