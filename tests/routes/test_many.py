"""Many links at once: which are changed, how, and that nothing is half done."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, takewhile
from threading import Event as Signal
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.database import db
from app.models import CacheUpdate, Event, Url, UrlTag
from app.redirects.links import Link
from app.services import changing
from testkit.servers import Redis
from tests.answers import check
from tests.conftest import Api
from tests.routes.test_paging import ids


@pytest.fixture
def three(api: Api) -> list[dict[str, Any]]:
    """Three links, of which the last one is off; the first two have an owner."""
    user = api.user()["id"]
    return [
        api.url("https://one.example/", user_id=user),
        api.url("https://two.example/", user_id=user),
        api.url("https://three.example/", is_active=False),
    ]


def change(client: FlaskClient, query: str, action: str, *tags: str, status: int = 200) -> Any:
    body = {"action": action, **({"tags": list(tags)} if tags else {})}
    return check(client.patch(f"/urls?{query}", json=body), status).get_json()


def state() -> Any:
    links = Url.select(Url.id, Url.is_active, Url.deleted_at, Url.tags, Url.version).tuples()
    return list(links), sorted(UrlTag.select().tuples()), Event.select().count()


@pytest.mark.parametrize(("action", "tags"), [("deactivate", []), ("delete", []), ("tag", ["a"])])
def test_nothing_changes_unless_it_is_said(
    client: FlaskClient, three: list[Any], action: str, tags: list[str]
) -> None:
    before = state()
    for query in ("is_active=true", "is_active=true&dry_run=true"):
        said = change(client, query, action, *tags)
        assert said == {"matched": 2, "changed": 2, "dry_run": True}
    assert state() == before


@pytest.mark.parametrize(
    ("query", "matched"),
    [
        ("ids={0[id]},{2[id]}", 2),
        ("ids={0[id]},{0[id]}", 1),
        ("ids=99999999999999999999999,0", 0),
        ("ids={0[id]}&is_active=false", 0),
        ("user_id={0[user_id]}", 2),
        ("user_id=0", 0),
        ("short_code={1[short_code]}", 1),
        ("tag=none", 0),
        ("q=EXAMPLE", 3),
        ("q=o&ids={0[id]},{1[id]},{2[id]}", 2),
        ("created_after=2020-01-01", 3),
        ("created_before=2020-01-01", 0),
    ],
)
def test_the_filters_of_the_list_select(
    client: FlaskClient, three: list[Any], query: str, matched: int
) -> None:
    query = query.format(*three)
    assert change(client, query, "delete")["matched"] == matched
    said = change(client, f"{query}&dry_run=false", "delete")
    assert said == {"matched": matched, "changed": matched, "dry_run": False}
    assert len(ids(client.get("/urls"))) == 3 - matched


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("", None),
        ("dry_run=false", None),
        ("user=1", "user"),
        ("user_id=1&is_activ=true", "is_activ"),
        ("user_id=1&page=1", "page"),
        ("user_id=1&sort=id", "sort"),
        ("user_id=1&user_id=2", "user_id"),
        ("tag=a&tag=b&dry_run=false", "tag"),
        ("user_id=x", "user_id"),
        ("ids=", "ids"),
        ("ids=1,", "ids"),
        ("ids=1;2", "ids"),
        ("ids=1&dry_run=maybe", "dry_run"),
        ("ids=1&dry_run=", "dry_run"),
    ],
)
def test_what_is_unclear_changes_nothing(
    client: FlaskClient, three: list[Any], query: str, wrong: str | None
) -> None:
    before = state()
    refused = change(client, query, "delete", status=400)
    assert set(refused.get("errors", {None})) == {wrong}
    assert state() == before


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, {"action"}),
        ({"action": "remove"}, {"action"}),
        ({"action": None}, {"action"}),
        ({"action": "delete", "tags": ["a"]}, {"tags"}),
        ({"action": "tag"}, {"tags"}),
        ({"action": "untag", "tags": []}, {"tags"}),
        ({"action": "tag", "tags": "a"}, {"tags"}),
        ({"action": "tag", "tags": [""]}, {"tags"}),
        ({"action": "tag", "tags": ["x" * 51]}, {"tags"}),
        ({"action": "tag", "tags": [f"{n}" for n in range(21)]}, {"tags"}),
        ({"action": "delete", "ids": [1]}, {"ids"}),
    ],
)
def test_a_bad_action_is_refused(
    client: FlaskClient, three: list[Any], body: dict[str, Any], wrong: set[str]
) -> None:
    before = state()
    refused = check(client.patch("/urls?is_active=true&dry_run=false", json=body), 400)
    assert set(refused.get_json()["errors"]) == wrong
    assert state() == before


def test_links_are_deactivated_and_activated(
    client: FlaskClient, api: Api, three: list[Any]
) -> None:
    everything = f"ids={','.join(str(url['id']) for url in three)}&dry_run=false"
    assert change(client, everything, "deactivate")["changed"] == 2
    for url in three:
        assert client.get(f"/{url['short_code']}").status_code == 410
    assert change(client, everything, "deactivate")["changed"] == 0
    assert change(client, everything, "activate")["changed"] == 3
    for url in three:
        api.follow(url)
    assert [row.version for row in Url.select().order_by(Url.id)] == [3, 3, 2]
    seen = api.get(f"/events?type=updated&url_id={three[0]['id']}")
    assert [event["details"] for event in seen] == [
        {"field": "is_active", "new_value": True},
        {"field": "is_active", "new_value": False},
    ]
    assert {event["user_id"] for event in seen} == {three[0]["user_id"]}


def test_deleted_links_are_dead_at_once(client: FlaskClient, api: Api, three: list[Any]) -> None:
    api.follow(three[0])
    said = change(client, f"user_id={three[0]['user_id']}&dry_run=false", "delete")
    assert said == {"matched": 2, "changed": 2, "dry_run": False}
    assert [client.get(f"/{url['short_code']}").status_code for url in three] == [404, 404, 410]
    assert ids(client.get("/urls")) == [three[2]["id"]]
    deleted = api.get("/events?type=deleted")
    assert [event["url_id"] for event in deleted] == [three[1]["id"], three[0]["id"]]
    assert deleted[0]["details"] == {"reason": "user_requested"}


def test_links_are_tagged_and_untagged(client: FlaskClient, api: Api, three: list[Any]) -> None:
    assert change(client, f"ids={three[0]['id']}&dry_run=false", "tag", "old")["changed"] == 1
    assert change(client, "q=example&dry_run=false", "tag", "new", "old", "new")["changed"] == 3
    rows = list(Url.select().order_by(Url.id))
    tags = [json.loads(row.tags) for row in rows]
    assert tags == [["old", "new"], ["new", "old"], ["new", "old"]]
    assert len(ids(client.get("/urls?tag=new"))) == len(ids(client.get("/urls?tag=old"))) == 3
    assert change(client, "tag=new&dry_run=false", "tag", "new")["changed"] == 0
    assert change(client, "tag=new&dry_run=false", "untag", "old", "none")["changed"] == 3
    assert ids(client.get("/urls?tag=old")) == []
    assert [row.tags for row in Url.select()] == ['["new"]'] * 3
    newest = api.get("/events?type=updated")[0]
    assert newest["details"] == {"field": "tags", "new_value": ["new"]}
    assert [row.version for row in Url.select().order_by(Url.id)] == [4, 3, 3]


def test_too_many_tags_of_one_link_change_none(client: FlaskClient, three: list[Any]) -> None:
    many = [f"t{n}" for n in range(20)]
    change(client, f"ids={three[1]['id']}&dry_run=false", "tag", *many)
    before = state()
    for dry_run in ("true", "false"):
        refused = change(client, f"q=example&dry_run={dry_run}", "tag", "more", status=400)
        assert refused["errors"] == {"tags": f"link {three[1]['id']} would have more than 20"}
    assert state() == before


def test_too_many_links_are_refused_with_their_number(
    client: FlaskClient, three: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing, "MOST", 2)
    before = state()
    for dry_run in ("true", "false"):
        refused = change(client, f"q=example&dry_run={dry_run}", "delete", status=400)
        assert refused["message"] == "3 links match, and one request changes at most 2"
    assert state() == before


def insert_ten_thousand() -> None:
    rows = [
        {"short_code": f"c{n}", "original_url": "https://example.com/", "tags": f'["{n}"]'}
        for n in range(10_000)
    ]
    for start in range(0, len(rows), 1000):
        Url.insert_many(rows[start : start + 1000]).execute()


@pytest.fixture
def ten_thousand(api: Api) -> None:
    """As many links, of which the planner believes that there are none."""
    insert_ten_thousand()
    Url.delete().execute()
    db.execute_sql("ANALYZE")
    insert_ten_thousand()


@pytest.mark.usefixtures("ten_thousand")
def test_ten_thousand_links_change_together(client: FlaskClient) -> None:
    assert len(check(client.get("/urls?q=example.com&sort=title"), 200).get_json()) == 20
    for action, tags in (("tag", ["x", "y"]), ("untag", ["x"]), ("deactivate", [])):
        said = change(client, "q=example.com&dry_run=false", action, *tags)
        assert said == {"matched": 10_000, "changed": 10_000, "dry_run": False}
    assert UrlTag.select().where(UrlTag.tag == "y").count() == 10_000
    assert UrlTag.select().where(UrlTag.tag == "x").count() == 0
    assert Event.select().where(Event.event_type == "updated").count() == 30_000
    assert Url.select().where(Url.version == 4).count() == 10_000
    assert Url.get(Url.short_code == "c8").tags == '["8", "y"]'
    assert client.get("/c9999").status_code == 410
    assert CacheUpdate.select().count() == 0


def test_links_are_followed_while_they_change(app: Flask, api: Api) -> None:
    made = [api.url(tags=["busy"]) for _ in range(20)]
    statuses: list[int] = []
    over = Signal()

    def follow(start: int) -> None:
        client = app.test_client()
        for url in takewhile(lambda _: not over.is_set(), cycle(made[start:] + made[:start])):
            statuses.append(client.get(f"/{url['short_code']}").status_code)

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(follow, start) for start in (0, 5, 10, 15)]
        try:
            for action, tags in (("deactivate", ()), ("tag", ("x",)), ("activate", ())) * 6:
                said = change(api.client, "tag=busy&dry_run=false", action, *tags)
                assert said["matched"] == 20
        finally:
            over.set()
    assert [each.result() for each in running] == [None] * 4
    assert set(statuses) <= {302, 410}
    assert sum(api.clicks(url) for url in made) == statuses.count(302) > 0
    assert [row.version for row in Url.select()] == [14] * 20


@pytest.mark.services
def test_changes_that_redis_did_not_confirm_wait_for_it(shared: Api, redis_server: Redis) -> None:
    made = [shared.url(), shared.url()]
    redis_server.stop()
    query = f"ids={made[0]['id']},{made[1]['id']}&dry_run=false"
    assert change(shared.client, query, "delete")["changed"] == 2
    waiting = [Link.parse(row.link.encode()) for row in CacheUpdate.select()]
    assert [(link and link.state, link and link.version) for link in waiting] == [("d", 2)] * 2
