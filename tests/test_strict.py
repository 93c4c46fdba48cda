"""`Prefer: handling=strict`: names that mean nothing are refused by name, where they are ignored
otherwise.
"""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.answers import check
from tests.conftest import Api

STRICT = {"Prefer": "handling=strict"}
UNKNOWN = "is not known here"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/users", {"username": "ada", "email": "ada@example.com"}),
        (
            "POST",
            "/urls",
            {
                "original_url": "https://example.com/",
                "url": "https://example.com/",
                "is_active": True,
                "title": "t",
            },
        ),
        (
            "POST",
            "/shorten",
            {"url": "https://example.com/", "original_url": "https://example.com/"},
        ),
        ("PUT", "/urls/{url}", {"title": "t", "url": "https://example.org/"}),
        ("PUT", "/users/{user}", {"username": "bob"}),
        ("POST", "/events", {"event_type": "shared", "details": {"anything": 1}}),
    ],
)
def test_an_unknown_key_is_refused_by_name(
    client: FlaskClient, api: Api, method: str, path: str, body: dict[str, object]
) -> None:
    path = path.format(url=api.url()["id"], user=api.user("eve")["id"])
    response = check(
        client.open(path, method=method, json={**body, "colour": "red", "id": 5}, headers=STRICT),
        400,
    )
    assert response.get_json()["errors"] == {"colour": UNKNOWN, "id": UNKNOWN}
    assert response.headers["Preference-Applied"] == "handling=strict"
    good = check(client.open(path, method=method, json=body, headers=STRICT), 200, 201)
    assert good.headers["Preference-Applied"] == "handling=strict"


@pytest.mark.parametrize(
    "path",
    [
        "/users",
        "/urls",
        "/events",
        "/products",
        "/logs",
        "/health",
        "/",
        "/openapi.json",
        "/urls/{url}/stats",
        "/urls/{url}",
    ],
)
def test_an_unknown_query_parameter_is_too(client: FlaskClient, api: Api, path: str) -> None:
    path = path.format(url=api.url()["id"])
    check(client.get(f"{path}?colour=red"), 200)
    response = check(client.get(f"{path}?colour=red&%ff%00=1", headers=STRICT), 400)
    assert response.get_json()["errors"] == {"colour": UNKNOWN, "%FF\\x00": UNKNOWN}
    check(client.get(path, headers=STRICT), 200)


def test_all_that_is_wrong_is_reported_at_once(client: FlaskClient) -> None:
    response = check(
        client.post("/users", json={"username": 1, "colour": "red"}, headers=STRICT), 400
    )
    assert set(response.get_json()["errors"]) == {"username", "email", "colour"}
    response = check(client.get("/events?page=x&type=a&event_type=b&kind=c", headers=STRICT), 400)
    assert set(response.get_json()["errors"]) == {"page", "kind"}


def test_every_parameter_that_is_documented_is_known(client: FlaskClient) -> None:
    for path, item in client.get("/openapi.json").get_json()["paths"].items():
        shown = {
            parameter["name"]: parameter["schema"]
            for parameter in item.get("get", {}).get("parameters", ())
            if parameter["in"] == "query"
        }
        values = {name: _one_of(schema) for name, schema in shown.items()}
        # With a date there must be something with the id that `after` names.
        dated = {"created_after", "after_time"} & values.keys()
        expected = [200, 404] if dated else [200]
        if values and "{" not in path:
            answer = check(client.get(path, query_string=values, headers=STRICT), *expected)
            assert UNKNOWN not in answer.text
            values.pop("after", None)
            check(client.get(path, query_string=values, headers=STRICT), 200)


def _one_of(schema: dict[str, Any]) -> str:
    return str((schema.get("examples") or schema.get("enum") or [1])[0])


@pytest.mark.parametrize(
    "prefer",
    [
        "handling=lenient",
        "strict",
        "handling",
        "respond-async",
        "",
        "handling=lenient, handling=strict",
        "x=handling=strict",
    ],
)
def test_another_preference_changes_nothing(client: FlaskClient, prefer: str) -> None:
    response = check(client.get("/users?colour=red", headers={"Prefer": prefer}), 200)
    assert "Preference-Applied" not in response.headers


@pytest.mark.parametrize(
    "prefer",
    [
        "Handling=Strict",
        'handling="strict"',
        "wait=5, handling = strict",
        "handling=strict; x=y",
        "respond-async,handling=strict,handling=lenient",
    ],
)
def test_it_may_be_written_in_many_ways(client: FlaskClient, prefer: str) -> None:
    check(client.get("/users?colour=red", headers={"Prefer": prefer}), 400)


def test_a_redirect_ignores_its_query_all_the_same(client: FlaskClient, api: Api) -> None:
    check(client.get(f"/{api.url()['short_code']}?colour=red", headers=STRICT), 302)


def test_many_and_long_unknown_names_make_no_large_answer(client: FlaskClient) -> None:
    response = check(
        client.post(
            "/events",
            json={"event_type": "x", **{f"{'n' * 150}{n}": 1 for n in range(300)}, "\ud800": 1},
            headers=STRICT,
        ),
        400,
    )
    assert len(response.data) < 64_000


def test_of_two_equal_keys_the_last_one_counts(client: FlaskClient) -> None:
    body = '{"event_type": "a", "event_type": "b"}'
    made = check(
        client.post("/events", data=body, content_type="application/json", headers=STRICT), 201
    )
    assert made.get_json()["event_type"] == "b"
