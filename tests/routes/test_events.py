"""/events over HTTP."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.answers import check
from tests.conftest import Api


def test_a_new_event_is_answered_whole_with_its_location(client: FlaskClient, api: Api) -> None:
    user, url = api.user(), api.url()
    body = {
        "event_type": " shared ",
        "url_id": url["id"],
        "user_id": user["id"],
        "details": {"by": "mail", "to": [1, None, {"ä": 0.5}]},
    }
    response = check(client.post("/events", json=body), 201)
    event = response.get_json()
    assert set(event) == {"id", "url_id", "user_id", "event_type", "timestamp", "details"}
    assert {**body, "event_type": "shared"}.items() <= event.items()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", event["timestamp"])
    assert response.headers["Location"] == f"/events/{event['id']}"
    assert api.get(f"/events/{event['id']}") == event


@pytest.mark.parametrize(
    "more", [{}, {"details": None}, {"details": {}, "url_id": None, "user_id": None}], ids=str
)
def test_details_are_always_an_object(api: Api, more: dict[str, Any]) -> None:
    event = api.event(**more)
    assert (event["details"], event["url_id"], event["user_id"]) == ({}, None, None)


def test_an_event_needs_a_type(client: FlaskClient) -> None:
    assert check(client.post("/events", json={"details": {}}), 400).get_json()["errors"] == {
        "event_type": "is required"
    }


@pytest.mark.parametrize(
    ("field", "message"), [("url_id", "URL 99 not found"), ("user_id", "User 99 not found")]
)
def test_an_event_about_nothing_known_is_not_recorded(
    client: FlaskClient, api: Api, field: str, message: str
) -> None:
    assert (
        check(client.post("/events", json={"event_type": "x", field: 99}), 404).get_json()[
            "message"
        ]
        == message
    )
    assert api.get("/events") == []


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_event_is_not_found_by_its_number(client: FlaskClient, method: str) -> None:
    assert (
        check(client.open("/events/99", method=method), 404).get_json()["message"]
        == "Event 99 not found"
    )


def test_a_deleted_event_is_gone(client: FlaskClient, api: Api) -> None:
    path = f"/events/{api.event()['id']}"
    check(client.delete(path), 204)
    check(client.get(path), 404)
    check(client.delete(path), 404)


def test_filters_combine(client: FlaskClient, api: Api) -> None:
    user, url = api.user(), api.url()
    both = api.event("shared", url_id=url["id"], user_id=user["id"])["id"]
    of_url = api.event("shared", url_id=url["id"])["id"]
    of_user = api.event("seen", user_id=user["id"])["id"]

    def ids(query: str) -> list[int]:
        return [
            event["id"] for event in api.get(f"/events?{query}") if event["event_type"] != "created"
        ]

    assert ids("") == [of_user, of_url, both]
    assert ids(f"url_id={url['id']}") == [of_url, both]
    assert ids(f"user_id={user['id']}") == [of_user, both]
    assert ids("event_type=shared") == ids("type=shared") == [of_url, both]
    assert ids("event_type=seen&type=shared") == [of_user]
    assert ids(f"type=shared&url_id={url['id']}&user_id={user['id']}") == [both]
    assert ids("type=Shared") == ids("type=nothing") == ids("url_id=99") == ids("user_id=99") == []


@pytest.mark.parametrize("name", ["clicked", "click", "redirect"])
def test_every_name_of_a_click_finds_all_clicks(client: FlaskClient, api: Api, name: str) -> None:
    url = api.url()
    check(client.get(f"/{url['short_code']}"), 302)
    posted = [api.event(kind, url_id=url["id"])["event_type"] for kind in ("click", "redirect")]
    assert [event["event_type"] for event in api.get(f"/events?type={name}")] == [
        *posted[::-1],
        "clicked",
    ]


def test_a_click_that_a_client_records_or_deletes_is_counted(client: FlaskClient, api: Api) -> None:
    url = api.url()
    click = api.event("click", url_id=url["id"])
    api.event("shared", url_id=url["id"])
    assert api.get(f"/urls/{url['id']}")["click_count"] == 1
    check(client.delete(f"/events/{click['id']}"), 204)
    assert api.get(f"/urls/{url['id']}")["click_count"] == 0


def test_the_events_of_a_link_are_its_own_newest_first(client: FlaskClient, api: Api) -> None:
    url = api.url()
    api.url()
    check(client.get(f"/{url['short_code']}"), 302)
    shared = api.event("shared", url_id=url["id"])
    events = api.get(f"/urls/{url['id']}/events")
    assert [event["event_type"] for event in events] == ["shared", "clicked", "created"]
    assert events[0] == shared
