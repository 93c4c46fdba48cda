"""What a key sees and changes: its user's links, what it made, no addresses of visitors."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any, NamedTuple

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.models import IdempotencyKey, Url, UrlKey, User
from tests.conftest import Api
from tests.walking import UNKNOWN, bearer, secret_of

LINK = {"original_url": "https://example.com/"}


class World(NamedTuple):
    """Two users with a link each that was followed once, and whoever asks."""

    client: FlaskClient
    own: int
    other: int
    mine: dict[str, Any]
    foreign: dict[str, Any]

    def key(self, scope: str, bound: bool = True) -> Callable[..., TestResponse]:
        """Requests with a key of this scope, bound to the user `own`."""
        headers = bearer(secret_of(scope, user_id=self.own if bound else None))

        def ask(method: str, path: str, status: int, **more: Any) -> TestResponse:
            also = more.pop("headers", {})
            reply = self.client.open(path, method=method, headers={**headers, **also}, **more)
            assert reply.status_code == status, (path, reply.text)
            return reply

        return ask


@pytest.fixture
def world(api: Api, given_with: Callable[..., None]) -> World:
    own, other = api.user("own")["id"], api.user("other")["id"]
    mine = api.url("https://mine.example/", user_id=own, title="alike", tags=["t"])
    foreign = api.url("https://foreign.example/", user_id=other, title="alike", tags=["t"])
    for url in (mine, foreign, foreign):
        api.follow(url)
    given_with(auth="on")
    return World(api.client, own, other, mine, foreign)


def ids(reply: TestResponse) -> list[int]:
    return [row["id"] for row in reply.get_json()]


@pytest.mark.parametrize(
    "query", ["", "?q=alike", "?tag=t", "?sort=-clicks", "?sort=-created_at", "?is_active=true"]
)
def test_a_bound_key_lists_its_users_links(world: World, query: str) -> None:
    ask = world.key("read")
    assert ids(ask("GET", f"/urls{query}", 200)) == [world.mine["id"]]
    sign = "&" if query else "?"
    counted = ask("GET", f"/urls{query}{sign}count=true", 200)
    assert counted.headers["X-Total-Count"] == "1"


def test_a_filter_by_another_user_finds_a_bound_key_nothing(world: World) -> None:
    ask = world.key("read")
    assert ask("GET", f"/urls?user_id={world.other}", 200).get_json() == []
    assert ask("GET", f"/urls?user_id={world.own}", 200).get_json() != []
    assert ask("GET", f"/urls?short_code={world.foreign['short_code']}", 200).get_json() == []
    assert "foreign" not in ask("GET", "/urls.csv", 200).text
    assert "mine" in ask("GET", "/urls.csv", 200).text
    assert "foreign" not in ask("GET", f"/urls.csv?user_id={world.other}", 200).text


def test_a_bound_key_cannot_find_its_place_behind_anothers_link(world: World) -> None:
    ask = world.key("read")
    hit = ask("GET", f"/urls?sort=-created_at&after={world.foreign['id']}", 404)
    miss = ask("GET", f"/urls?sort=-created_at&after={UNKNOWN}", 404)
    assert (
        hit.get_json()["message"].replace(str(world.foreign["id"]), str(UNKNOWN))
        == (miss.get_json()["message"])
    )


def test_a_bound_key_sees_the_events_of_its_links_only(world: World) -> None:
    ask = world.key("read")
    events = ask("GET", "/events", 200).get_json()
    assert {event["url_id"] for event in events} == {world.mine["id"]}
    assert ask("GET", f"/events?url_id={world.foreign['id']}", 200).get_json() == []
    assert ask("GET", f"/events?user_id={world.other}", 200).get_json() == []
    ask("GET", f"/urls/{world.foreign['id']}/events", 404)
    everything = world.key("read", bound=False)("GET", "/events", 200).get_json()
    hidden = next(each for each in everything if each["url_id"] == world.foreign["id"])
    ask("GET", f"/events/{hidden['id']}", 404)
    world.key("write")("DELETE", f"/events/{hidden['id']}", 404)


def test_a_bound_key_still_sees_the_events_of_its_deleted_link(world: World) -> None:
    ask = world.key("write")
    ask("DELETE", f"/urls/{world.mine['id']}", 204)
    assert "deleted" in [each["event_type"] for each in ask("GET", "/events", 200).get_json()]


def test_statistics_for_a_bound_key_are_of_its_links(world: World) -> None:
    ask = world.key("read")
    stats = ask("GET", "/stats", 200).get_json()
    assert sum(stats["totals"].values()) == 1
    assert sum(point["visits"] for point in stats["orphans"]) == 0
    for query in (f"?user_id={world.other}",):
        assert sum(ask("GET", f"/stats{query}", 200).get_json()["totals"].values()) == 0
    assert sum(ask("GET", "/stats?tag=t", 200).get_json()["totals"].values()) == 1
    everything = world.key("read", bound=False)("GET", "/stats", 200).get_json()
    assert sum(everything["totals"].values()) == 3
    ask("GET", f"/urls/{world.foreign['id']}/stats", 404)


def test_a_bound_key_changes_its_users_links_only(world: World) -> None:
    ask = world.key("write")
    mine, foreign = (f"/urls/{url['id']}" for url in (world.mine, world.foreign))
    ask("PUT", mine, 200, json={"title": "new"})
    ask("PUT", foreign, 404, json={"title": "new"})
    ask("DELETE", foreign, 404)
    chosen = "/urls?tag=t&dry_run=false"
    done = ask("PATCH", chosen, 200, json={"action": "deactivate"}).get_json()
    assert (done["matched"], done["changed"]) == (1, 1)
    by_id = f"/urls?ids={world.foreign['id']}&dry_run=false"
    assert ask("PATCH", by_id, 200, json={"action": "delete"}).get_json()["matched"] == 0
    assert Url.get_by_id(world.foreign["id"]).is_active
    ask("GET", f"{mine}/qr", 200)
    ask("GET", f"{foreign}/qr", 404)


@pytest.mark.parametrize("path", ["/urls", "/shorten"])
def test_a_bound_key_makes_links_of_its_user(world: World, path: str) -> None:
    ask = world.key("create")
    made = ask("POST", path, 201, json=LINK).get_json()
    assert made["user_id"] == world.own
    ask("GET", f"/urls/{made['id']}", 200)
    if path == "/urls":
        ask("POST", path, 201, json={**LINK, "user_id": world.own})
        for user in (world.other, UNKNOWN):
            ask("POST", path, 403, json={**LINK, "user_id": user})


def test_a_bound_key_makes_many_links_of_its_user(world: World) -> None:
    links = [LINK, {**LINK, "user_id": world.other}, {**LINK, "user_id": world.own}]
    report = world.key("write")("POST", "/urls/bulk", 201, json={"urls": links}).get_json()
    assert [each["status"] for each in report["results"]] == [201, 403, 201]
    assert {each["url"]["user_id"] for each in report["results"] if "url" in each} == {world.own}


def test_a_bound_key_sees_its_user_and_no_other(world: World) -> None:
    ask = world.key("write")
    assert ids(ask("GET", "/users", 200)) == [world.own]
    assert "other" not in ask("GET", "/users.csv", 200).text
    assert ask("GET", "/users?username=other", 200).get_json() == []
    ask("GET", f"/users/{world.own}", 200)
    for path in (f"/users/{world.other}", f"/users/{UNKNOWN}"):
        ask("GET", path, 404)
        ask("GET", f"{path}/urls", 404)
        ask("PUT", path, 404, json={})
        ask("DELETE", path, 404)


def test_a_bound_key_changes_no_users_and_imports_nothing(world: World) -> None:
    ask = world.key("write")
    ask("PUT", f"/users/{world.own}", 403, json={"username": "new"})
    ask("DELETE", f"/users/{world.own}", 403)
    ask("POST", "/users", 403, json={"username": "new", "email": "new@example.com"})
    for path in ("/users/bulk", "/urls/import"):
        text = b"username,email\nnew,new@example.com\n"

        ask("POST", path, 403, data={"file": (BytesIO(text), "users.csv")})
    assert User.select().count() == 2


def test_a_bound_key_makes_events_of_its_users_links_only(world: World) -> None:
    ask = world.key("write")
    event = {"event_type": "shared", "url_id": world.mine["id"]}
    assert ask("POST", "/events", 201, json=event).get_json()["user_id"] == world.own
    ask("POST", "/events", 403, json={**event, "user_id": world.other})
    ask("POST", "/events", 403, json={"event_type": "shared"})
    hit = ask("POST", "/events", 404, json={**event, "url_id": world.foreign["id"]})
    miss = ask("POST", "/events", 404, json={**event, "url_id": UNKNOWN})
    assert hit.get_json()["message"] == f"URL {world.foreign['id']} not found"
    assert miss.get_json()["message"] == f"URL {UNKNOWN} not found"


def test_no_bound_key_has_what_belongs_to_no_user(world: World) -> None:
    ask = world.key("admin")
    for path in ("/logs", "/events.csv", "/chaos"):
        ask("GET", path, 403)


def test_a_key_that_makes_links_sees_what_it_made(world: World) -> None:
    ask, another = (world.key("create", bound=False) for _ in range(2))
    one = ask("POST", "/urls", 201, json=LINK).get_json()
    two = ask("POST", "/shorten", 201, json={"url": "https://two.example/"}).get_json()
    many = ask("POST", "/urls/bulk", 201, json={"urls": [LINK, LINK]}).get_json()["results"]
    made = [one["id"], two["id"], *(each["url"]["id"] for each in many)]
    assert ids(ask("GET", "/urls", 200)) == made
    ask("GET", f"/urls/{one['id']}", 200)
    ask("GET", f"/urls/{one['id']}/stats", 200)
    ask("GET", f"/urls/{one['id']}/qr", 200)
    assert ids(another("GET", "/urls", 200)) == []
    another("GET", f"/urls/{one['id']}", 404)
    ask("GET", f"/urls/{world.mine['id']}", 404)
    ask("GET", f"/users/{world.own}/urls", 404)
    assert "mine.example" not in ask("GET", "/urls.csv", 200).text
    assert len(UrlKey.select()) == 4


def test_behind_the_links_that_a_key_made_for_a_user_there_are_none(world: World) -> None:
    ask, path = world.key("create", bound=False), f"/users/{world.own}/urls"
    made = ask("POST", "/urls", 201, json={**LINK, "user_id": world.own}).get_json()
    assert ids(ask("GET", path, 200)) == [made["id"]]
    for query in ("page=99", f"page={10**30}", f"after={made['id']}"):
        assert ask("GET", f"{path}?{query}", 200).get_json() == []
    for user in (world.other, UNKNOWN):
        for query in ("page=1", "page=99"):
            ask("GET", f"/users/{user}/urls?{query}", 404)


def test_other_keys_leave_no_note_of_what_they_made(world: World) -> None:
    world.key("write", bound=False)("POST", "/urls", 201, json=LINK)
    assert UrlKey.select().count() == 0


def test_what_a_key_made_is_forgotten_with_the_user(world: World) -> None:
    world.key("create")("POST", "/urls", 201, json=LINK)
    assert UrlKey.select().count() == 1
    world.key("write", bound=False)("DELETE", f"/users/{world.own}", 204)
    assert UrlKey.select().count() == 0


def test_whoever_has_no_key_may_shorten_with_auth_create(
    world: World, given_with: Callable[..., None]
) -> None:
    given_with(auth="create")
    made = world.client.post("/urls", json=LINK)
    assert (made.status_code, made.get_json()["user_id"]) == (201, None)
    assert world.client.post("/shorten", json={"url": "https://two.example/"}).status_code == 201
    for user in (world.own, UNKNOWN):
        assert world.client.post("/urls", json={**LINK, "user_id": user}).status_code == 403
    assert world.client.post("/urls/bulk", json={"urls": [LINK]}).status_code == 401
    assert world.client.get(f"/urls/{made.get_json()['id']}").status_code == 401
    assert world.client.post("/urls", json=LINK, headers=bearer("wrong")).status_code == 401
    world.key("read", bound=False)("POST", "/urls", 403, json=LINK)


@pytest.mark.parametrize("scope", ["read", "write", "admin"])
def test_addresses_of_visitors_are_for_admins(world: World, scope: str) -> None:
    ask = world.key(scope, bound=False)
    path = f"/events?url_id={world.mine['id']}&type=clicked"
    event = ask("GET", path, 200).get_json()[0]
    one = ask("GET", f"/events/{event['id']}", 200).get_json()
    of_url = ask("GET", f"/urls/{world.mine['id']}/events", 200).get_json()[0]
    for shown in (event, one, of_url):
        assert ("ip" in shown["details"]) is (scope == "admin")
        assert "user_agent" in shown["details"]


def test_an_idempotency_key_is_its_callers_own(
    world: World, given_with: Callable[..., None]
) -> None:
    named = {"Idempotency-Key": "alike"}
    one, two = world.key("create", bound=False), world.key("create", bound=False)
    first = one("POST", "/urls", 201, json=LINK, headers=named).get_json()
    assert one("POST", "/urls", 201, json=LINK, headers=named).get_json() == first
    assert two("POST", "/urls", 201, json=LINK, headers=named).get_json()["id"] != first["id"]
    given_with(auth="create")
    made = world.client.post("/urls", json=LINK, headers=named)
    assert "Idempotent-Replayed" not in made.headers
    for address, again in (("127.0.0.1", True), ("198.51.100.7", False)):
        environ = {"REMOTE_ADDR": address}
        reply = world.client.post("/urls", json=LINK, headers=named, environ_overrides=environ)
        assert ("Idempotent-Replayed" in reply.headers) is again
    assert not [row for row in IdempotencyKey.select() if "127.0.0.1" in row.name]


def test_the_gate_comes_before_an_idempotency_key(world: World) -> None:
    named = {"Idempotency-Key": "alike"}
    world.key("create", bound=False)("POST", "/urls", 201, json=LINK, headers=named)
    reply = world.client.post("/urls", json=LINK, headers=named)
    assert reply.status_code == 401
    assert IdempotencyKey.select().count() == 1


def test_two_different_keys_in_one_request_are_refused(world: World) -> None:
    good = secret_of("read")
    both = {**bearer(good), "X-API-Key": secret_of("admin")}
    reply = world.client.get("/urls", headers=both)
    assert (reply.status_code, "invalid_request" in reply.headers["WWW-Authenticate"]) == (
        400,
        True,
    )
    same = {**bearer(good), "X-API-Key": good}
    assert world.client.get("/urls", headers=same).status_code == 200
    assert (
        world.client.get("/urls", headers={"Authorization": f"bEARER  {good}"}).status_code == 200
    )


def test_a_shared_cache_keeps_nothing_that_a_key_has_opened(world: World) -> None:
    ask = world.key("read")
    reply = world.client.get("/urls", headers={"X-API-Key": secret_of("read")})
    assert (reply.status_code, reply.headers["Cache-Control"]) == (200, "private, no-cache")
    assert "Cache-Control" not in ask("GET", "/urls", 200).headers  # Authorization says so
    picture = ask("GET", f"/urls/{world.mine['id']}/qr", 200)
    assert picture.headers["Cache-Control"] == "private, max-age=86400"
    public = world.client.get(f"/{world.mine['short_code']}.qr")
    assert public.headers["Cache-Control"] == "public, max-age=86400"


def test_the_endpoint_chaos_asks_for_its_token_too(world: World) -> None:
    reply = world.key("admin", bound=False)("GET", "/chaos", 401)
    assert "X-Chaos-Token" in reply.get_json()["message"]
    token = {"X-Chaos-Token": "let-me-in"}
    assert world.client.get("/chaos", headers=token).status_code == 401
    world.key("write", bound=False)("GET", "/chaos", 403, headers=token)
