"""/urls and /shorten over HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.models import Url
from tests.answers import check
from tests.conftest import Api

KEYS = {
    "id",
    "user_id",
    "short_code",
    "original_url",
    "title",
    "is_active",
    "created_at",
    "updated_at",
    "short_url",
    "click_count",
    "people_count",
    "robot_count",
    "expires_at",
    "expired_url",
    "max_clicks",
    "redirect_status",
    "forward_query",
    "tags",
}
LONG_AGO = "2001-02-03T04:05:06"


def age(url: dict[str, Any]) -> None:
    """Makes a link old, so that an `updated_at` of today shows."""
    Url.update(updated_at=LONG_AGO.replace("T", " ")).where(Url.id == url["id"]).execute()


def test_a_new_link_is_answered_whole_with_its_location(client: FlaskClient, api: Api) -> None:
    user = api.user()
    response = check(
        client.post(
            "/urls",
            json={"original_url": " https://example.com/ä ", "user_id": user["id"], "title": " T "},
        ),
        201,
    )
    url = response.get_json()
    assert set(url) == KEYS
    assert re.fullmatch("[A-Za-z0-9]{6}", url["short_code"])
    assert url["short_url"] == f"http://localhost/{url['short_code']}"
    assert response.headers["Location"] == f"/urls/{url['id']}"
    wanted = {
        "user_id": user["id"],
        "original_url": "https://example.com/ä",
        "title": "T",
        "is_active": True,
        "click_count": 0,
    }
    assert wanted.items() <= url.items()
    assert url["updated_at"] == url["created_at"]
    assert api.get(f"/urls/{url['id']}") == url


@pytest.mark.parametrize(
    ("body", "address"),
    [
        ({"url": "https://a.example/"}, "https://a.example/"),
        ({"url": "https://a.example/", "original_url": "https://b.example/"}, "https://b.example/"),
        ({"original_url": "https://b.example/", "url": 7}, "https://b.example/"),
    ],
)
def test_url_is_accepted_for_original_url_which_wins(
    client: FlaskClient, body: dict[str, Any], address: str
) -> None:
    assert check(client.post("/urls", json=body), 201).get_json()["original_url"] == address


def test_a_link_needs_an_address(client: FlaskClient) -> None:
    assert check(client.post("/urls", json={"title": "x"}), 400).get_json()["errors"] == {
        "original_url": "is required"
    }
    assert check(client.post("/shorten", json={"address": "https://example.com/"}), 400).get_json()[
        "errors"
    ] == {"url": "is required"}


def test_null_counts_as_absent(client: FlaskClient) -> None:
    url = check(
        client.post(
            "/urls", json={"original_url": "https://example.com/", "user_id": None, "title": None}
        ),
        201,
    ).get_json()
    assert (url["user_id"], url["title"]) == (None, None)


def test_shorten_answers_a_whole_link(client: FlaskClient, api: Api) -> None:
    response = check(client.post("/shorten", json={"url": "https://example.com/x"}), 201)
    url = response.get_json()
    assert set(url) == KEYS
    assert api.get(response.headers["Location"]) == url
    assert (
        check(client.get(f"/{url['short_code']}"), 302).headers["Location"]
        == "https://example.com/x"
    )


def test_the_same_url_twice_makes_two_links(api: Api) -> None:
    assert api.url()["short_code"] != api.url()["short_code"]


def test_a_link_of_nobody_known_is_not_made(client: FlaskClient, api: Api) -> None:
    body = check(
        client.post("/urls", json={"original_url": "https://example.com/", "user_id": 99}), 404
    ).get_json()
    assert body["message"] == "User 99 not found"
    assert api.get("/urls") == []
    assert api.get("/events") == []


def test_short_urls_begin_with_the_configured_base(
    given_with: Callable[..., None], api: Api
) -> None:
    given_with(base_url="https://sho.rt")
    url = api.url()
    assert url["short_url"] == f"https://sho.rt/{url['short_code']}"


def test_making_a_link_is_an_event_of_its_owner(api: Api) -> None:
    user = api.user()
    url = api.url("https://example.com/", user_id=user["id"])
    (event,) = api.get(f"/urls/{url['id']}/events")
    assert (event["event_type"], event["url_id"], event["user_id"]) == (
        "created",
        url["id"],
        user["id"],
    )
    assert event["details"] == {
        "short_code": url["short_code"],
        "original_url": "https://example.com/",
    }


CHANGES: list[dict[str, Any]] = [
    {"title": "New"},
    {"title": None},
    {"is_active": False},
    {"original_url": "https://other.example/"},
    {"title": "New", "is_active": False, "original_url": "https://other.example/"},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_an_update_changes_what_it_names_with_one_event_each(
    client: FlaskClient, api: Api, change: dict[str, Any]
) -> None:
    url = api.url(title="Old")
    age(url)
    changed = check(client.put(f"/urls/{url['id']}", json=change), 200).get_json()
    assert changed["updated_at"] > LONG_AGO
    assert changed == {**url, **change, "updated_at": changed["updated_at"]}
    assert api.get(f"/urls/{url['id']}") == changed
    events = [event["details"] for event in api.get("/events?type=updated")]
    assert sorted(events, key=str) == sorted(
        ({"field": field, "new_value": value} for field, value in change.items()), key=str
    )


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"title": "Old"},
        {"is_active": True, "original_url": "https://example.com/"},
        {"id": 9, "click_count": 5, "user_id": 1, "address": "x"},
    ],
    ids=str,
)
def test_an_update_that_changes_nothing_leaves_no_trace(
    client: FlaskClient, api: Api, change: dict[str, Any]
) -> None:
    url = api.url("https://example.com/", title="Old")
    age(url)
    assert check(client.put(f"/urls/{url['id']}", json=change), 200).get_json() == {
        **url,
        "updated_at": LONG_AGO,
    }
    assert api.get("/events?type=updated") == []


def test_an_update_with_one_bad_field_changes_nothing(client: FlaskClient, api: Api) -> None:
    url = api.url(title="Old")
    body = check(
        client.put(
            f"/urls/{url['id']}", json={"title": "New", "is_active": 0, "original_url": "x"}
        ),
        400,
    ).get_json()
    assert set(body["errors"]) == {"is_active", "original_url"}
    assert api.get(f"/urls/{url['id']}") == url


def test_a_new_address_is_where_the_link_leads_at_once(client: FlaskClient, api: Api) -> None:
    url = api.url("https://old.example/")
    check(client.get(f"/{url['short_code']}"), 302)
    check(client.put(f"/urls/{url['id']}", json={"original_url": "https://new.example/"}), 200)
    assert (
        check(client.get(f"/{url['short_code']}"), 302).headers["Location"]
        == "https://new.example/"
    )


def test_a_deleted_link_is_gone_for_every_read(client: FlaskClient, api: Api) -> None:
    user = api.user()
    url = api.url(user_id=user["id"])
    check(client.get(f"/{url['short_code']}"), 302)
    check(client.delete(f"/urls/{url['id']}"), 204)
    for path in (
        "/urls/{id}",
        "/urls/{id}/stats",
        "/urls/{id}/events",
        "/urls/{short_code}/redirect",
        "/{short_code}",
    ):
        check(client.get(path.format(**url)), 404)
    assert api.get("/urls") == []
    assert api.get(f"/users/{user['id']}/urls") == []


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_deleted_link_cannot_be_changed(client: FlaskClient, api: Api, method: str) -> None:
    url = api.url()
    check(client.delete(f"/urls/{url['id']}"), 204)
    check(client.open(f"/urls/{url['id']}", method=method, json={"is_active": True}), 404)
    check(client.post("/events", json={"event_type": "x", "url_id": url["id"]}), 404)


def test_only_the_events_of_a_deleted_link_stay_readable(client: FlaskClient, api: Api) -> None:
    user = api.user()
    url = api.url(user_id=user["id"])
    check(client.get(f"/{url['short_code']}"), 302)
    check(client.delete(f"/urls/{url['id']}"), 204)
    events = api.get(f"/events?url_id={url['id']}")
    assert [event["event_type"] for event in events] == ["deleted", "clicked", "created"]
    assert events[0]["details"] == {"reason": "user_requested"}
    assert events[0]["user_id"] == user["id"]
    assert api.get(f"/events/{events[0]['id']}") == events[0]


@pytest.mark.parametrize("path", ["/urls/99", "/urls/99/stats", "/urls/99/events"])
def test_an_unknown_link_is_not_found_by_its_number(client: FlaskClient, path: str) -> None:
    assert check(client.get(path), 404).get_json()["message"] == "URL 99 not found"


def test_stats_count_every_redirect(client: FlaskClient, api: Api) -> None:
    url = api.url()
    for clicks in range(3):
        stats = api.get(f"/urls/{url['id']}/stats")
        assert stats["url"] == {**url, "click_count": clicks, "people_count": clicks}
        assert stats["redirect_count"] == clicks
        check(client.get(f"/{url['short_code']}"), 302)


ACTIVE, INACTIVE = ("true", "True", "TRUE", "1", "yes"), ("false", "False", "FALSE", "0", "no")


def test_links_are_filtered_by_owner_and_by_whether_they_work(
    client: FlaskClient, api: Api
) -> None:
    user = api.user()
    active, inactive, others = api.url(user_id=user["id"]), api.url(user_id=user["id"]), api.url()
    check(client.put(f"/urls/{inactive['id']}", json={"is_active": False}), 200)

    def ids(query: str) -> list[int]:
        return [url["id"] for url in api.get(f"/urls?{query}")]

    assert ids(f"user_id={user['id']}") == [active["id"], inactive["id"]]
    assert all(ids(f"is_active={value}") == [active["id"], others["id"]] for value in ACTIVE)
    assert all(ids(f"is_active={value}") == [inactive["id"]] for value in INACTIVE)
    assert ids(f"is_active=yes&user_id={user['id']}") == [active["id"]]
    assert ids("user_id=99") == []
