"""The examples of the OpenAPI document are true: each request gets the answer that is shown."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.models import Product, Url
from app.services import hosts
from testkit.servers import ROOT, free_port
from tests.conftest import Api

Document = dict[str, Any]
Client = FlaskClient
IDS = {"id", "user_id", "url_id", "key_id", "short_code", "short_url"}
MADE = IDS | {
    "created_at",
    "updated_at",
    "timestamp",
    "at",
    "click_count",
    "people_count",
    "redirect_count",
    "key",
    "old_until",
}
STATISTICS = ("/urls/{url_id}/stats", "/stats")
OF_THIS_MOMENT = [
    *STATISTICS,
    "/",
    "/users.csv",
    "/urls.csv",
    "/events.csv",
    "/audit",
    "/audit.csv",
    "/health",
    "/health/ready",
    "/ready",
    "/metrics",
    "/openapi.json",
    "/.well-known/security.txt",
    "/logs",
    "/chaos",
]
ORDER = ["post", "get", "put", "patch", "delete"]


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    found = []
    for path, methods in document["paths"].items():
        found += [(method, path, operation) for method, operation in methods.items()]

    def turn(operation: tuple[str, str, Document]) -> tuple[int, str]:
        method, path, _ = operation
        return ORDER.index(method), path if method == "delete" else ""  # a user's links go with it

    return iter(sorted(found, key=turn))


def schema_of(document: Document, described: Document) -> Document:
    if "$ref" not in described:
        return described
    found: Document = document["components"]["schemas"][described["$ref"].split("/")[-1]]
    return found


def content(document: Document, answer: Document, media: str = "application/json") -> Any:
    """The example of an answer: its own, or the one of its schema."""
    described = answer["content"][media]
    if "example" in described:
        return described["example"]
    if described["schema"].get("type") == "array":
        return [schema_of(document, described["schema"]["items"])["examples"][0]]
    return schema_of(document, described["schema"])["examples"][0]


def arguments(document: Document, operation: Document, ids: dict[str, Any]) -> Document:
    """What the operation's example sends."""
    described = operation.get("requestBody", {"content": {}})["content"]
    if "application/json" in described:
        example = schema_of(document, described["application/json"]["schema"])["examples"][0]
        return {"json": {name: ids.get(name, value) for name, value in example.items()}}
    if "multipart/form-data" in described:
        file = described["multipart/form-data"]["schema"]["properties"]["file"]["examples"][0]
        return {"data": {"file": (io.BytesIO(file.encode()), "users.csv")}}
    return {}


def address(operation: Document, path: str, ids: dict[str, Any]) -> str:
    for parameter in operation["parameters"]:
        if parameter["in"] == "path":
            name = parameter["name"]
            shown = parameter["schema"]["examples"][0]
            path = path.replace(f"{{{name}}}", str(ids.get(name, shown)))
    return path


def target(operation: Document, path: str, ids: dict[str, Any]) -> str:
    """Its address, with what its query must have."""
    where = address(operation, path, ids)
    return f"{where}?version=1" if path.endswith("/restore") else where


def comparable(value: Any) -> Any:
    """Values that are made anew each time count by their kind."""
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, dict):
        return {name: comparable(type(it) if name in MADE else it) for name, it in value.items()}
    return value


def send(client: Client, document: Document, method: str, path: str, ids: Document) -> Any:
    """The answer to an operation's example."""
    operation = document["paths"][path][method]
    where, sent = target(operation, path, ids), arguments(document, operation, ids)
    if method == "patch":  # without a filter it is refused
        where = f"{where}?ids={ids.get('url_id', 7)}"
    return client.open(where, method=method.upper(), **sent)


def remember(path: str, answer: Any, ids: dict[str, Any]) -> None:
    made = {"/users": ["user_id"], "/urls": ["url_id", "short_code"], "/events": ["event_id"]}
    made["/keys"] = ["key_id"]
    for name in made.get(path, []):
        ids[name] = answer["id" if name.endswith("_id") else name]


@pytest.fixture
def document(api: Api) -> Document:
    found: Document = api.get("/openapi.json")
    return found


def test_the_examples_are_answered_by_the_examples(client: Client, document: Document) -> None:
    Product.create(name="Sticker Sheet", category="merchandise", price=4.5, stock=320)
    ids: dict[str, Any] = {}
    for method, path, operation in operations(document):
        if path in OF_THIS_MOMENT:
            continue
        sent = send(client, document, method, path, ids)
        shown = operation["responses"][str(sent.status_code)]
        assert sent.status_code < 400, (path, sent.text)
        if "application/json" in shown.get("content", {}):
            example, real = comparable(content(document, shown)), comparable(sent.json)
            assert real == example or (isinstance(real, list) and example[0] in real), path
            if method == "post":
                remember(path, sent.json, ids)


def kinds(example: Document) -> dict[str, type]:
    return {name: type(it) for name, it in example.items()}


def test_what_is_of_this_moment_looks_like_its_example(client: Client, document: Document) -> None:
    link = Url.create(short_code="aB3xY9", original_url="https://a.example/").id
    for path in ("/", "/health", "/health/ready", "/ready", *STATISTICS):
        real = client.get(path.format(url_id=link)).json
        example = content(document, document["paths"][path]["get"]["responses"]["200"])
        assert kinds(real) == kinds(example)
    example = document["components"]["schemas"]["LogEntry"]["examples"][0]
    (real,) = client.get("/logs?lines=1").json
    assert real.keys() == example.keys()
    assert len(real["timestamp"]) == len(example["timestamp"])


def shown_errors(document: Document, status: int) -> Iterator[tuple[str, str, Document, str]]:
    for method, path, operation in operations(document):
        if str(status) in operation["responses"]:
            example = content(document, operation["responses"][str(status)])
            yield method, path, operation, example["message"]


def message(client: Client, status: int, method: str, path: str, **sent: Any) -> str:
    answer = client.open(path, method=method.upper(), **sent)
    assert answer.status_code == status, (method, path, answer.text)
    return str(answer.json["message"])


UNKNOWN = {
    "restore_url": {"query_string": "version=1"},
    "list_audit": {"query_string": "after_time=2026-01-01&after=12"},
    "list_urls": {"query_string": "sort=created_at&after=12"},
    "list_events": {"query_string": "after_time=2026-01-01&after=12"},
}


def test_nothing_stored_is_404_as_shown(client: Client, document: Document) -> None:
    for method, path, operation, shown in shown_errors(document, 404):
        sent = UNKNOWN.get(operation["operationId"]) or arguments(document, operation, {})
        assert message(client, 404, method, address(operation, path, {}), **sent) == shown, path


def test_a_deactivated_link_is_410_as_shown(client: Client, document: Document) -> None:
    Url.create(short_code="aB3xY9", original_url="https://a.example/", is_active=False)
    for method, path, operation, shown in shown_errors(document, 410):
        assert message(client, 410, method, address(operation, path, {})) == shown


def test_a_banned_link_is_451_as_shown(client: Client, document: Document) -> None:
    hosts.ban("a.example", "")
    Url.create(short_code="aB3xY9", original_url="https://a.example/")
    for method, path, operation, shown in shown_errors(document, 451):
        assert message(client, 451, method, address(operation, path, {})) == shown


def test_conflicts_are_409_as_shown(client: Client, document: Document, api: Api) -> None:
    api.user("ada")
    api.url(short_code="summer-sale")
    taken = {"original_url": "https://example.com/", "short_code": "summer-sale"}
    ids = {"user_id": api.user("grace")["id"], "key_id": api.key()["id"]}
    client.delete(f"/keys/{ids['key_id']}")
    for method, path, operation, shown in shown_errors(document, 409):
        if path == "/events":  # only when both are deleted while it is written
            assert shown in (ROOT / "app" / "services" / "events.py").read_text()
            continue
        if "8e03978e" in shown:  # only while the first one runs: tests/test_idempotency_at_once.py
            words = (ROOT / "app" / "services" / "idempotency.py").read_text()
            assert shown.replace("8e03978e", "{name}") in words
            continue
        sent = arguments(document, operation, ids)
        if "summer-sale" in shown:
            sent = {"json": taken}
        assert message(client, 409, method, address(operation, path, ids), **sent) == shown, path


def test_a_key_of_another_request_is_422_as_shown(client: Client, document: Document) -> None:
    for method, path, operation, shown in shown_errors(document, 422):
        sent = {"headers": {"Idempotency-Key": "8e03978e"}, "query_string": path}
        where = address(operation, path, {})
        client.open(where, method=method.upper(), **arguments(document, operation, {}), **sent)
        sent["query_string"] = "x"
        answer = client.open(
            where, method=method.upper(), **arguments(document, operation, {}), **sent
        )
        assert (answer.status_code, answer.json["message"]) == (422, shown), path


def test_a_changed_row_is_412_as_shown(client: Client, document: Document, api: Api) -> None:
    ids = {"user_id": api.user("eve")["id"], "url_id": api.url()["id"]}
    for method, path, operation, shown in shown_errors(document, 412):
        where, headers = address(operation, path, ids), {"If-Match": '"another"'}
        said = message(
            client, 412, method, where, headers=headers, json={}, query_string="version=1"
        )
        assert re.sub(r"[a-z]\d+-\d[.\d]*", "_", said) == re.sub(r"l7-2.0", "_", shown), path


BAD = {
    "export_urls": {"query_string": "user_id=two"},
    "export_events": {"query_string": "user_id=two"},
    "export_audit": {"query_string": "subject_id=two"},
    "restore_url": {"query_string": "version=two"},
    "create_user": {"json": {"username": "ada", "email": "ada"}},
    "update_user": {"json": {"email": "ada"}},
    "create_url": {"json": {"original_url": "hello"}},
    "update_url": {"json": {"original_url": "hello"}},
    "shorten_url": {"json": {"url": "hello"}},
    "create_event": {"json": {"event_type": ""}},
    "create_key": {"json": {"name": "deploy", "scope": "all"}},
    "create_urls": {"json": {"urls": []}},
    "update_urls": {"json": {"action": "delete"}},
    "import_users": {},
    "get_url_stats": {"query_string": "tz=x"},
    "get_stats": {"query_string": "from=yesterday"},
}


def test_bad_input_is_400_as_shown(client: Client, document: Document, api: Api) -> None:
    url = api.url()
    ids = {"user_id": api.user()["id"], "url_id": url["id"], "short_code": url["short_code"]}
    for method, path, operation, shown in shown_errors(document, 400):
        sent = BAD.get(operation["operationId"], {"query_string": "page=two&size=two"})
        assert message(client, 400, method, address(operation, path, ids), **sent) == shown, path


def test_what_is_too_large_is_413_as_shown(client: Client, document: Document) -> None:
    for method, path, operation, shown in shown_errors(document, 413):
        kind = next(iter(operation["requestBody"]["content"]))
        sent = {"content_type": kind, "data": b" " * (10 * 1024 * 1024 + 1)}
        assert message(client, 413, method, address(operation, path, {}), **sent) == shown


def test_nobody_without_the_token_stops_a_replica(client: Client, document: Document) -> None:
    ((method, path, _, shown),) = shown_errors(document, 401)
    assert message(client, 401, method, path) == shown


def test_too_many_requests_are_429_as_shown(document: Document) -> None:
    words = {shown for *_, shown in shown_errors(document, 429)}
    assert len(words) == 1
    assert words.pop() in (ROOT / "nginx" / "nginx.conf").read_text()


def nowhere() -> str:
    return f"postgresql+pool://x@127.0.0.1:{free_port()}/x"


def test_no_database_is_503_as_shown(document: Document, bound: Callable[..., Api]) -> None:
    client = bound(database_url=nowhere(), redis_url="").client
    answered = []
    for method, path, _, shown in shown_errors(document, 503):
        answer = send(client, document, method, path, {})
        if answer.status_code == 503:
            answered.append(path)
            assert answer.json["message"].split(", ")[0] == shown.split(", ")[0], path
    needed = {
        "/users",
        "/users/{user_id}",
        "/urls",
        "/events",
        "/products",
        "/health/ready",
        "/ready",
    }
    assert needed | {"/{short_code}"} <= set(answered)


def test_every_answer_has_its_described_headers(client: Client, document: Document) -> None:
    ids: dict[str, Any] = {}
    for method, path, operation in operations(document):
        answer = send(client, document, method, path, ids)
        if method == "post" and answer.status_code == 201:
            remember(path, answer.json, ids)
        described = operation["responses"][str(answer.status_code)]["headers"]
        always = {name for name in described if document["components"]["headers"][name]["required"]}
        assert always <= set(answer.headers.keys()), path
        ours = document["components"]["headers"].keys()
        assert {name for name in answer.headers if name in ours} <= described.keys(), path


def test_headers_of_an_outage_are_described(document: Document, bound: Callable[..., Api]) -> None:
    client = bound(database_url=nowhere(), redis_url="").client
    answer = client.get("/products")
    responses = document["paths"]["/products"]["get"]["responses"]
    described = responses[str(answer.status_code)]["headers"]
    assert {"X-Cache", "Retry-After"} <= described.keys() & set(answer.headers.keys())
