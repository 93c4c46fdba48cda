"""POST /urls/bulk: an outcome for each link, or all or nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import chain, repeat
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.models import Event, Url, UrlTag
from app.services import urls as services
from tests.answers import check
from tests.conftest import Api

TARGET = "https://example.com/"


def post(client: FlaskClient, *links: Any, query: str = "", status: int = 201, **more: Any) -> Any:
    """The body of the answer to links, of which texts are URLs."""
    named = [{"url": link} if isinstance(link, str) else link for link in links]
    answer = client.post(f"/urls/bulk{query}", json={"urls": named}, **more)
    assert answer.status_code == status, answer.text
    return answer.get_json()


def statuses(said: Any) -> list[int]:
    return [result["status"] for result in said["results"]]


def test_each_link_is_made_as_if_it_came_alone(client: FlaskClient, api: Api) -> None:
    user = api.user()["id"]
    link = {
        "original_url": TARGET,
        "user_id": user,
        "title": "One",
        "custom_code": "own-code",
        "tags": ["b", "a"],
        "redirect_status": 301,
        "expires_at": "2099-01-01T00:00:00Z",
        "is_active": False,
    }
    said = post(client, link, "https://two.example/")
    assert (said["created"], said["failed"], statuses(said)) == (2, 0, [201, 201])
    first, second = (result["url"] for result in said["results"])
    alone = api.url(**{**link, "address": link.pop("original_url"), "custom_code": "another"})
    other = ("id", "short_code", "short_url", "created_at", "updated_at")
    assert {k: v for k, v in first.items() if k not in other} == {
        k: v for k, v in alone.items() if k not in other
    }
    assert api.get(f"/urls/{first['id']}") == first
    assert first["id"] < second["id"]
    assert len(second["short_code"]) == 6
    api.follow(second)
    assert client.get("/own-code").status_code == 410
    assert {row.tag for row in UrlTag.select().where(UrlTag.url == first["id"])} == {"a", "b"}
    made = [api.get(f"/events?type=created&url_id={url['id']}") for url in (first, second)]
    assert [len(events) for events in made] == [1, 1]
    assert made[0][0]["user_id"] == user
    assert made[0][0]["details"] == {"short_code": "own-code", "original_url": TARGET}


def test_bad_links_do_not_keep_good_ones_from_being_made(client: FlaskClient, api: Api) -> None:
    api.url(custom_code="taken")
    said = post(
        client,
        TARGET,
        {"url": "hello", "title": 1},
        {"url": TARGET, "user_id": 987654321},
        {"url": TARGET, "short_code": "taken"},
        {"url": TARGET, "short_code": "twice"},
        {"url": TARGET, "short_code": "twice"},
        {"url": TARGET, "short_code": "urls"},
        {"url": TARGET, "user_id": 2**63},
        {"url": "http://localhost/x"},
        7,
        {},
    )
    assert statuses(said) == [201, 400, 404, 409, 201, 409, 400, 404, 400, 400, 400]
    assert (said["created"], said["failed"]) == (2, 9)
    results = said["results"]
    assert set(results[1]["errors"]) == {"url", "title"}
    assert results[2]["message"] == "User 987654321 not found"
    assert results[3]["error"] == "Conflict"
    assert results[3]["errors"] == results[5]["errors"] == {"short_code": "is taken"}
    assert results[6]["errors"] == {"short_code": "is reserved"}
    assert Url.select().count() == 3


def test_all_or_nothing(client: FlaskClient, api: Api) -> None:
    before = Event.select().count()
    for bad, status, name in (
        ({"url": "hello"}, 400, "urls[1].url"),
        ({"url": TARGET, "user_id": 5}, 404, "urls[1]"),
        ({"url": TARGET, "short_code": "same"}, 409, "urls[1].short_code"),
    ):
        first = {"url": TARGET, "short_code": "same", "tags": ["a"]}
        refused = post(client, first, bad, TARGET, query="?atomic=true", status=400)
        assert (refused["created"], refused["failed"]) == (0, 1)
        assert statuses(refused) == [424, status, 424]
        assert set(refused["errors"]) == {name}
        assert refused["message"].startswith(f"No link was made, 1 of 3 are bad; {name}: ")
    assert (Url.select().count(), Event.select().count(), UrlTag.select().count()) == (0, before, 0)
    assert client.get("/same").status_code == 404
    said = post(client, TARGET, {"url": TARGET, "short_code": "same"}, query="?atomic=true")
    assert statuses(said) == [201, 201]


def test_when_none_is_made_it_is_an_error(client: FlaskClient) -> None:
    refused = post(client, "hello", "ftp://x.example/", status=400)
    assert (refused["created"], refused["failed"], statuses(refused)) == (0, 2, [400, 400])
    assert set(refused["errors"]) == {"urls[0].url", "urls[1].url"}
    many = post(client, *["hello"] * 1000, status=400)
    assert (len(many["errors"]), len(many["results"])) == (100, 1000)


@pytest.mark.parametrize(
    "links", [[], None, {}, "https://example.com/", 5, [{"url": TARGET}] * 1001]
)
def test_one_to_a_thousand_links_are_expected(client: FlaskClient, links: Any) -> None:
    refused = check_refused(client, {"urls": links})
    assert refused["errors"] == {"urls": "must be a list of 1 to 1,000 links"}
    assert "is required" in check_refused(client, {"url": TARGET})["errors"]["urls"]


def check_refused(client: FlaskClient, body: Any) -> Any:
    return check(client.post("/urls/bulk", json=body), 400).get_json()


def test_unknown_names_are_refused_where_that_is_asked_for(client: FlaskClient) -> None:
    strict = {"Prefer": "handling=strict"}
    said = post(client, {"url": TARGET, "colour": "red"}, TARGET, headers=strict)
    assert statuses(said) == [400, 201]
    assert said["results"][0]["errors"] == {"colour": "is not known here"}
    assert statuses(post(client, {"url": TARGET, "colour": "red"})) == [201]
    bad = client.post("/urls/bulk", json={"urls": [], "colour": 1}, headers=strict)
    assert set(check(bad, 400).get_json()["errors"]) == {"urls", "colour"}


def test_the_body_may_have_one_mebibyte(client: FlaskClient) -> None:
    long = [{"url": f"https://example.com/{'x' * 900}{n}"} for n in range(1000)]
    text = json.dumps({"urls": long})
    kind = {"content_type": "application/json"}
    assert 900_000 < len(text) < 2**20
    padded = text.ljust(2**20)
    made = client.post("/urls/bulk", data=padded, **kind)
    assert (made.status_code, made.get_json()["created"]) == (201, 1000)
    refused = client.post("/urls/bulk", data=f"{padded} ", **kind)
    assert check(refused, 413).get_json()["message"] == "The body is larger than 1 MiB"
    check(client.post("/urls", data=" " * 70_000, **kind), 413)


def test_a_thousand_links_cost_few_statements(
    client: FlaskClient, api: Api, statements: Callable[[], list[str]]
) -> None:
    user = api.user()["id"]
    links = [{"url": f"{TARGET}{n}", "user_id": user, "tags": ["a", "b"]} for n in range(1000)]
    statements()
    said = post(client, *links)
    assert len(statements()) <= 10
    made = [result["url"] for result in said["results"]]
    assert [url["original_url"] for url in made] == [f"{TARGET}{n}" for n in range(1000)]
    assert len({url["short_code"] for url in made}) == 1000
    assert [url["id"] for url in made] == sorted(url["id"] for url in made)
    assert UrlTag.select().count() == 2000


def test_a_new_code_that_is_taken_is_replaced(
    client: FlaskClient, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.url(custom_code="aaaaaa")
    codes = chain(["aaaaaa", "bbbbbb", "bbbbbb", "cccccc"], (f"d{n:05}" for n in range(99)))
    monkeypatch.setattr(services, "new_code", lambda: next(codes))
    said = post(client, TARGET, TARGET, TARGET)
    made = {result["url"]["short_code"] for result in said["results"]}
    assert made == {"bbbbbb", "cccccc", "d00000"}
    taken = repeat("aaaaaa")
    monkeypatch.setattr(services, "new_code", lambda: next(taken))
    assert client.post("/urls/bulk", json={"urls": [{"url": TARGET}]}).status_code == 503


def test_a_deleted_users_codes_are_not_given_out_again(client: FlaskClient, api: Api) -> None:
    user = api.user()["id"]
    api.url(custom_code="once", user_id=user)
    client.delete(f"/users/{user}")
    said = post(client, {"url": TARGET, "short_code": "once"}, TARGET)
    assert statuses(said) == [409, 201]
    assert Url.select().where(Url.short_code == "once").count() == 0
