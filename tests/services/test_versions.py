"""Versions of links: which are known, and that a link goes back to exactly what it was."""

from __future__ import annotations

import json
import tracemalloc
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.database import db, now
from app.models import Audit, Event, Url, UrlTag
from app.services import urls
from tests.answers import check
from tests.conftest import Api, empty_audit
from tests.imports.uploads import post_file

FIELDS = ("original_url", "title", "is_active", "expires_at", "expired_url", "max_clicks")
FIELDS += ("redirect_status", "forward_query", "tags")
LATER = "2099-01-02T03:04:05"

Link = dict[str, Any]


def state(link: Link) -> Link:
    return {name: link[name] for name in FIELDS}


def put(api: Api, link: Link, **changes: Any) -> Link:
    answer = check(api.client.put(f"/urls/{link['id']}", json=changes), 200)
    changed: Link = answer.get_json()
    return changed


def restore(api: Api, link: Link, version: int | str, status: int = 200, **headers: str) -> Any:
    path = f"/urls/{link['id']}/restore?version={version}"
    return check(api.client.post(path, headers=headers), status)


def versions(api: Api, link: Link, query: str = "") -> list[Link]:
    found: list[Link] = api.get(f"/urls/{link['id']}/versions{query}")
    return found


def numbers(api: Api, link: Link, query: str = "") -> list[int]:
    return [each["version"] for each in versions(api, link, query)]


def test_a_link_goes_back_to_its_creation(api: Api) -> None:
    link = api.url("https://one.example/", title="One", tags=["a"])
    put(api, link, original_url="https://two.example/", title=None, tags=["b"], is_active=False)
    answer = restore(api, link, 1)
    assert state(answer.get_json()) == state(link)
    assert answer.headers["ETag"] == f'"l{link["id"]}-3.0"'
    assert api.client.get(f"/{link['short_code']}").headers["Location"] == "https://one.example/"
    assert [row.tag for row in UrlTag.select()] == ["a"]
    last = Audit.select().order_by(Audit.id.desc()).get()
    assert (last.action, last.subject_id, last.version) == ("restore", link["id"], 3)
    assert json.loads(last.before)["title"] is None
    assert json.loads(last.after)["title"] == "One"
    fields = [json.loads(event.details).get("field") for event in Event.select()]
    assert sorted(filter(None, fields)) == sorted(
        ["original_url", "title", "tags", "is_active"] * 2
    )


def test_what_is_so_already_changes_nothing(api: Api) -> None:
    link = api.url()
    put(api, link, title="B")
    before = Audit.select().count(), Event.select().count()
    answer = restore(api, link, 2)
    assert answer.headers["ETag"] == f'"l{link["id"]}-2.0"'
    assert (Audit.select().count(), Event.select().count()) == before


def test_what_is_not_known_is_not_found(api: Api) -> None:
    link = api.url()
    for version in (0, -1, 2, 99, 2**63 - 1, 2**63, 10**30):
        answer = restore(api, link, version, 404)
        assert "is not known" in answer.get_json()["message"]
    restore(api, {"id": 999_999}, 1, 404)
    for version in ("", "x", "1.0", "true"):
        restore(api, link, version, 400)
    check(api.client.post(f"/urls/{link['id']}/restore"), 400)
    check(api.client.get("/urls/999999/versions"), 404)


def test_a_deleted_link_stays_deleted(api: Api) -> None:
    link = api.url()
    check(api.client.delete(f"/urls/{link['id']}"), 204)
    restore(api, link, 1, 404)
    check(api.client.get(f"/urls/{link['id']}/versions"), 404)


def test_who_saw_another_version_restores_nothing(api: Api) -> None:
    link = api.url(title="A")
    seen = api.client.get(f"/urls/{link['id']}").headers["ETag"]
    put(api, link, title="B")
    restore(api, link, 1, 412, **{"If-Match": seen})
    now = api.client.get(f"/urls/{link['id']}").headers["ETag"]
    assert restore(api, link, 1, **{"If-Match": now}).get_json()["title"] == "A"


def test_a_repeated_request_restores_once(api: Api) -> None:
    link = api.url(title="A")
    put(api, link, title="B")
    first = restore(api, link, 1, **{"Idempotency-Key": "restore-1"})
    again = restore(api, link, 1, **{"Idempotency-Key": "restore-1"})
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.get_json() == first.get_json()
    assert numbers(api, link) == [3, 2, 1]


def test_versions_come_newest_first_in_pages(api: Api) -> None:
    link = api.url(title="0")
    for n in range(1, 7):
        put(api, link, title=str(n))
    every = versions(api, link)
    assert [(each["version"], each["title"], each["action"]) for each in every] == [
        *((n + 1, str(n), "update") for n in range(6, 0, -1)),
        (1, "0", "create"),
    ]
    assert all(each["at"] for each in every)
    answer = check(api.client.get(f"/urls/{link['id']}/versions?per_page=3&count=true"), 200)
    assert [each["version"] for each in answer.get_json()] == [7, 6, 5]
    assert answer.headers["X-Total-Count"] == "7"
    assert 'page=2>; rel="next"' in answer.headers["Link"]
    assert numbers(api, link, "?per_page=3&page=3") == [1]
    answer = check(api.client.get(f"/urls/{link['id']}/versions?per_page=3&after=5"), 200)
    assert [each["version"] for each in answer.get_json()] == [4, 3, 2]
    assert "after=2" in answer.headers["Link"]
    for query in (f"?page={10**18}", f"?page={10**30}", "?after=1", "?after=0", "?after=-3"):
        assert numbers(api, link, query) == []
    assert numbers(api, link, f"?per_page=2&after={10**30}") == [7, 6]


def peak(api: Api, link: Link, query: str) -> int:
    """The most bytes that an answer takes."""
    tracemalloc.start()
    try:
        assert check(api.client.get(f"/urls/{link['id']}/versions?{query}"), 200)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_many_versions_take_no_more_memory_than_few(api: Api) -> None:
    link, many = api.url(), 20_000
    queries = ("count=true&per_page=1", f"page={10**12}", f"per_page=2&page={many // 2 - 1}")
    few = max(peak(api, link, query) for query in (*queries, *queries))
    row = {"key": "", "address": "", "request_id": "", "action": "update", "kind": "url"}
    state = Audit.get(Audit.subject_id == link["id"]).after
    row |= {"subject_id": link["id"], "before": "{}", "after": state}
    with db.atomic():
        for start in range(2, many + 1, 1000):
            rows = [{**row, "version": version} for version in range(start, start + 1000)]
            Audit.insert_many(rows).execute()
        Url.update(version=many + 1).execute()
    answer = check(api.client.get(f"/urls/{link['id']}/versions?count=true&per_page=1"), 200)
    assert answer.headers["X-Total-Count"] == str(many + 1)
    assert numbers(api, link, f"?per_page=2&page={many // 2 - 1}") == [5, 4]
    assert max(peak(api, link, query) for query in queries) < 3 * few


def test_of_an_older_link_the_first_audited_change_tells_what_was_before(api: Api) -> None:
    link = api.url(title="A")
    put(api, link, title="B")
    empty_audit()
    assert numbers(api, link) == [2]
    [only] = versions(api, link)
    assert (only["title"], only["at"], only["action"]) == ("B", None, None)
    restore(api, link, 1, 404)
    put(api, link, title="C", tags=["x"])
    assert numbers(api, link) == [3, 2]
    assert numbers(api, link, "?per_page=1&page=2") == [2]
    assert numbers(api, link, "?after=3") == [2]
    assert state(restore(api, link, 2).get_json()) == state(link) | {"title": "B"}


def test_an_imported_link_goes_back_to_what_the_file_said(api: Api) -> None:
    file = 'short_code,original_url,title,tags\nmine,https://a.example/,A,"[""x"",""y""]"\n'
    check(post_file(api.client, "/urls/import", file), 201)
    [link] = api.get("/urls")
    put(api, link, title="B", tags=[])
    assert numbers(api, link) == [2, 1]
    assert state(restore(api, link, 1).get_json()) == state(link)
    assert numbers(api, link) == [3, 2, 1]


def test_a_change_of_many_links_can_be_taken_back(api: Api) -> None:
    links = [api.url(f"https://{n}.example/", tags=[f"t{n}"]) for n in range(3)]
    for action in ({"action": "tag", "tags": ["x", "t1"]}, {"action": "deactivate"}):
        check(api.client.patch("/urls?q=example&dry_run=false", json=action), 200)
    for link in links:
        assert numbers(api, link) == [3, 2, 1]
        assert state(restore(api, link, 1).get_json()) == state(link)
        assert api.client.get(f"/{link['short_code']}").status_code == 302


def test_a_link_that_got_the_id_of_a_deleted_one_has_versions_of_its_own(api: Api) -> None:
    user = api.user()
    link = api.url(title="old", user_id=user["id"])
    put(api, link, title="older")
    check(api.client.delete(f"/users/{user['id']}"), 204)
    file = f"id,short_code,original_url,title\n{link['id']},other,https://a.example/,new\n"
    check(post_file(api.client, "/urls/import", file), 201)
    new = {"id": link["id"]}
    assert [(each["version"], each["title"]) for each in versions(api, new)] == [(1, "new")]
    restore(api, new, 2, 404)


def test_an_end_that_is_over_by_now_comes_back_too(api: Api) -> None:
    link, ended = api.url(title="A", expires_at=LATER), now() - timedelta(days=1)
    Url.update(expires_at=ended).execute()  # as if time had passed
    put(api, link, title="B")
    put(api, link, expires_at=None)
    assert restore(api, link, 2).get_json()["expires_at"] == ended.isoformat()
    assert api.client.get(f"/{link['short_code']}").status_code == 410
    assert restore(api, link, 1).get_json()["expires_at"] == LATER
    assert api.client.get(f"/{link['short_code']}").status_code == 302


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "original_url": st.sampled_from(["https://a.example/", "https://b.example/ü?x=1#y"]),
        "title": st.none() | st.sampled_from(["A", "%s ? '\"\\", "\u00fc\U0001f600"]),
        "is_active": st.booleans(),
        "expires_at": st.none() | st.sampled_from([LATER, "2098-01-01T00:00:00"]),
        "expired_url": st.none() | st.just("https://over.example/"),
        "max_clicks": st.none() | st.integers(1, 9),
        "redirect_status": st.none() | st.sampled_from([301, 302, 307, 308]),
        "forward_query": st.booleans(),
        "tags": st.lists(st.sampled_from(["a", "b", "ü", '"']), max_size=3),
    },
)


def answer_of(api: Api, link: Link) -> tuple[int, str | None]:
    """What a redirect answers, from the cache if it has it; HEAD is no click."""
    answer = api.client.head(f"/{link['short_code']}?q=1")
    return answer.status_code, answer.headers.get("Location")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(CHANGES, max_size=6), data=st.data())
def test_any_version_comes_back_exactly(api: Api, changes: list[Any], data: Any) -> None:
    link = api.url("https://first.example/", title="First", tags=["t"])
    states, answers = [state(link)], [answer_of(api, link)]
    for change in changes:
        changed = state(put(api, link, **change))
        if changed != states[-1]:
            states.append(changed)
            answers.append(answer_of(api, link))
    listed = versions(api, link)
    assert [state(each) for each in reversed(listed)] == states
    order = data.draw(st.permutations(range(len(states))))
    for number in order:
        back = restore(api, link, number + 1).get_json()
        assert state(back) == states[number]
        assert state(api.get(f"/urls/{link['id']}")) == states[number]
        assert answer_of(api, link) == answers[number]
        assert {row.tag for row in UrlTag.select().where(UrlTag.url == link["id"])} == set(
            states[number]["tags"]
        )
    row = urls.require(link["id"])
    assert numbers(api, link) == list(range(row.version, 0, -1))[:20]


def test_clicks_make_no_version(api: Api) -> None:
    link = api.url()
    api.follow(link, 3)
    assert numbers(api, link) == [1]
    restore(api, link, 1)
    assert api.clicks(link) == 3
