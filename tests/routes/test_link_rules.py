"""What a link may carry besides its URL: its code, its end, its limit, its status, its tags."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.models import Url, UrlTag
from tests.answers import check
from tests.conftest import Api

TARGET = "https://example.com/a?b=c#d"
RULES: dict[str, Any] = {
    "expires_at": "2099-01-02T03:04:05",
    "expired_url": "https://example.com/over",
    "max_clicks": 7,
    "redirect_status": 307,
    "forward_query": True,
    "tags": ["spring", "Sale, 50 %"],
    "title": "A title",
}
WITHOUT = {
    "expires_at": None,
    "expired_url": None,
    "max_clicks": None,
    "redirect_status": 302,
    "forward_query": False,
    "tags": [],
    "title": None,
}
MAKE = pytest.mark.parametrize(("path", "name"), [("/urls", "original_url"), ("/shorten", "url")])
BAD = [
    ("short_code", "a/b", "must be 1 to 64"),
    ("short_code", " abc ", "must be 1 to 64"),
    ("short_code", "", "must be 1 to 64"),
    ("short_code", "x" * 65, "must be 1 to 64"),
    ("short_code", "Health", "is reserved"),
    ("short_code", 5, "must be a string"),
    ("expires_at", "2001-01-01", "must be in the future"),
    ("expires_at", "tomorrow", "must be a moment"),
    ("expires_at", "0001-01-01T00:00:00+14:00", "must be a moment"),
    ("expires_at", 4102444800, "must be a string with a moment"),
    ("expired_url", "hello", "must be an absolute http or https URL"),
    ("max_clicks", 0, "must be from 1"),
    ("max_clicks", True, "must be an integer"),
    ("redirect_status", 303, "must be 301, 302, 307 or 308"),
    ("forward_query", "yes", "must be true or false"),
    ("tags", "spring", "must be a list"),
    ("tags", ["x" * 51], "must be at most 50 characters"),
    ("tags", [""], "must not be empty"),
    ("tags", [str(number) for number in range(21)], "must be at most 20 tags"),
    ("tags", ["a\x00"], "must not contain NUL"),
]


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def follow(client: FlaskClient, url: dict[str, Any], query: str = "") -> Any:
    return client.get(f"/{url['short_code']}{query}")


@MAKE
def test_a_new_link_carries_its_rules_and_every_read_shows_them(
    client: FlaskClient, api: Api, path: str, name: str
) -> None:
    body = {name: TARGET, "short_code": "summer-sale_26", **RULES}
    made = check(client.post(path, json=body), 201).get_json()
    assert {key: made[key] for key in RULES} == RULES
    assert made["short_url"] == "http://localhost/summer-sale_26"
    assert api.get(f"/urls/{made['id']}") == made
    assert api.get("/urls") == [made]


def test_a_link_without_rules_shows_what_goes_without_saying(api: Api) -> None:
    made = api.url(TARGET, **dict.fromkeys(RULES))
    assert {key: made[key] for key in WITHOUT} == WITHOUT


@MAKE
@pytest.mark.parametrize(("field", "value", "why"), BAD, ids=lambda value: ascii(value)[:40])
def test_a_bad_rule_is_refused_by_name(
    client: FlaskClient, path: str, name: str, field: str, value: Any, why: str
) -> None:
    answer = check(client.post(path, json={name: TARGET, field: value}), 400)
    assert why in answer.get_json()["errors"][field]
    assert Url.select().count() == 0


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [bad for bad in BAD if bad[0] != "short_code"],
    ids=lambda value: ascii(value)[:40],
)
def test_a_bad_rule_changes_nothing(
    client: FlaskClient, api: Api, field: str, value: Any, why: str
) -> None:
    url = api.url(TARGET, **RULES)
    answer = check(client.put(f"/urls/{url['id']}", json={field: value}), 400)
    assert why in answer.get_json()["errors"][field]
    assert api.get(f"/urls/{url['id']}") == url


# ---- codes of one's own ----


def test_a_code_is_taken_as_it_is_under_both_names(client: FlaskClient, api: Api) -> None:
    assert api.url(TARGET, custom_code="-")["short_code"] == "-"
    assert api.url(TARGET, custom_code="no", short_code="Yes")["short_code"] == "Yes"
    url = api.url(TARGET, short_code="x" * 64)
    assert check(follow(client, url), 302).headers["Location"] == TARGET


def test_a_code_is_nobodys_a_second_time(client: FlaskClient, api: Api) -> None:
    owner = api.user()
    kept, deleted, of_user = (api.url(TARGET, short_code=code) for code in ("a", "b", "c"))
    of_user = api.url(TARGET, short_code="d", user_id=owner["id"])
    check(client.delete(f"/urls/{deleted['id']}"), 204)
    check(client.delete(f"/users/{owner['id']}"), 204)
    for url in (kept, deleted, of_user):
        body = {"original_url": TARGET, "short_code": url["short_code"]}
        answer = check(client.post("/urls", json=body), 409)
        assert url["short_code"] in answer.get_json()["message"]
    assert api.url(TARGET, short_code="A")["short_code"] == "A"


def test_a_code_cannot_be_changed_but_may_be_repeated(client: FlaskClient, api: Api) -> None:
    url = api.url(TARGET, short_code="mine")
    for name in ("short_code", "custom_code"):
        answer = check(client.put(f"/urls/{url['id']}", json={name: "other"}), 400)
        assert "cannot be changed" in answer.get_json()["errors"]["short_code"]
    assert check(client.put(f"/urls/{url['id']}", json={"short_code": "mine"}), 200).json == url


# ---- changes ----


def test_each_rule_can_be_changed_and_taken_away(client: FlaskClient, api: Api) -> None:
    url = api.url(TARGET)
    changed = check(client.put(f"/urls/{url['id']}", json=RULES), 200).get_json()
    assert {key: changed[key] for key in RULES} == RULES
    details = [event["details"] for event in api.get("/events?event_type=updated")]
    assert {each["field"]: each["new_value"] for each in details} == RULES
    bare = check(client.put(f"/urls/{url['id']}", json=dict.fromkeys(RULES)), 200).get_json()
    assert {key: bare[key] for key in WITHOUT} == WITHOUT
    assert UrlTag.select().count() == 0


def test_the_same_rules_again_are_no_change(client: FlaskClient, api: Api) -> None:
    url = api.url(TARGET, **RULES)
    assert check(client.put(f"/urls/{url['id']}", json=url), 200).get_json() == url
    assert api.get("/events?event_type=updated") == []


def test_an_expired_link_takes_its_own_end_again_and_no_other_past_one(
    client: FlaskClient, api: Api
) -> None:
    url = api.url(TARGET)
    Url.update(expires_at=datetime(2001, 2, 3)).execute()  # noqa: DTZ001 - as the database has it
    same = {"expires_at": "2001-02-03T00:00:00Z"}
    check(client.put(f"/urls/{url['id']}", json=same), 200)
    check(client.put(f"/urls/{url['id']}", json={"expires_at": "2001-02-04"}), 400)


def test_tags_are_kept_once_and_in_order(api: Api) -> None:
    assert api.url(TARGET, tags=["b", " a ", "b"])["tags"] == ["b", "a"]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("2099-01-02", "2099-01-02T00:00:00"),
        ("2099-01-02T03:04:05.999Z", "2099-01-02T03:04:05"),
        ("2099-01-02 03:04+05:30", "2099-01-01T21:34:00"),
        (" 20990102T030405 ", "2099-01-02T03:04:05"),
    ],
)
def test_any_iso_moment_is_stored_in_utc(api: Api, given: str, shown: str) -> None:
    assert api.url(TARGET, expires_at=given)["expires_at"] == shown


# ---- what redirects make of it ----


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_link_redirects_with_its_own_status(client: FlaskClient, api: Api, status: int) -> None:
    url = api.url(TARGET, redirect_status=status)
    for _ in range(2):  # not cached, then cached
        answer = check(follow(client, url), status)
        assert answer.headers["Location"] == TARGET
        kept = "private, max-age=86400" if status in (301, 308) else "private, no-store"
        assert answer.headers["Cache-Control"] == kept
    assert api.clicks(url) == 2


def test_a_permanent_redirect_is_kept_no_longer_than_its_link(
    client: FlaskClient, api: Api
) -> None:
    url = api.url(TARGET, redirect_status=301, expires_at=in_seconds(100))
    cached = check(follow(client, url), 301).headers["Cache-Control"]
    assert 0 < int(cached.removeprefix("private, max-age=")) <= 100


@pytest.mark.parametrize(
    ("target", "query", "leads_to"),
    [
        ("https://a.example/", "?x=1&y=%20", "https://a.example/?x=1&y=%20"),
        ("https://a.example/?b=1", "?b=2&c=3", "https://a.example/?b=1&c=3"),
        ("https://a.example/?b=1", "?%62=2", "https://a.example/?b=1"),
        ("https://a.example/?b#end", "?b=2&c", "https://a.example/?b&c#end"),
        ("https://a.example/#end", "?c=3", "https://a.example/?c=3#end"),
        ("https://a.example/?b=1", "", "https://a.example/?b=1"),
        ("https://a.example", "?c=3&c=4", "https://a.example?c=3&c=4"),
    ],
)
def test_the_visitors_query_is_added_and_overrides_nothing(
    client: FlaskClient, api: Api, target: str, query: str, leads_to: str
) -> None:
    url = api.url(target, forward_query=True)
    for _ in range(2):
        assert check(follow(client, url, query), 302).headers["Location"] == leads_to
    plain = api.url(target)
    assert check(follow(client, plain, query), 302).headers["Location"] == target


def until(moment: str) -> None:
    time.sleep(max(0.0, datetime.fromisoformat(moment).timestamp() - time.time()))


@pytest.mark.parametrize("expired_url", [None, "https://example.com/over"])
def test_a_link_ends_with_its_second_cached_or_not(
    client: FlaskClient, api: Api, expired_url: str | None
) -> None:
    end = in_seconds(2)
    url = api.url(TARGET, expires_at=end, expired_url=expired_url)
    unread = api.url(TARGET, expires_at=end, expired_url=expired_url)
    assert check(follow(client, url), 302).headers["Location"] == TARGET
    until(end)
    for link in (url, unread, url):
        if expired_url:
            assert check(follow(client, link), 302).headers["Location"] == expired_url
        else:
            assert check(follow(client, link), 410).get_json()["reason"] == "expired"
    assert api.clicks(url) == 1
    check(client.put(f"/urls/{url['id']}", json={"expires_at": None}), 200)
    assert check(follow(client, url), 302).headers["Location"] == TARGET


def test_a_link_with_a_limit_leads_so_many_people_and_no_more(
    client: FlaskClient, api: Api
) -> None:
    url = api.url(TARGET, max_clicks=2)
    robot = {"User-Agent": "Googlebot/2.1 (+http://www.google.com/bot.html)"}
    person = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Firefox/130.0"}
    code = f"/{url['short_code']}"
    statuses = [client.get(code, headers=who).status_code for who in (robot, person) * 3]
    assert statuses == [302, 302, 302, 302, 410, 410]
    check(client.head(code), 410)
    assert client.get(code).get_json()["reason"] == "spent"
    shown = api.get(f"/urls/{url['id']}")
    assert (shown["click_count"], shown["people_count"], shown["robot_count"]) == (4, 2, 2)
    check(client.put(f"/urls/{url['id']}", json={"max_clicks": 3}), 200)
    assert [client.get(code, headers=person).status_code for _ in "12"] == [302, 410]


def test_a_limit_counts_what_came_before_it(client: FlaskClient, api: Api) -> None:
    url = api.url(TARGET)
    person = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Firefox/130.0"}
    for _ in range(2):
        check(client.get(f"/{url['short_code']}", headers=person), 302)
    check(client.put(f"/urls/{url['id']}", json={"max_clicks": 2}), 200)
    check(client.get(f"/{url['short_code']}", headers=person), 410)


def test_each_reason_is_told(client: FlaskClient, api: Api) -> None:
    deleted, off, spent = (api.url(TARGET, **more) for more in ({}, {}, {"max_clicks": 1}))
    check(client.delete(f"/urls/{deleted['id']}"), 204)
    check(client.put(f"/urls/{off['id']}", json={"is_active": False}), 200)
    check(follow(client, spent), 302)
    told = {
        reason: check(follow(client, url), status).get_json()["reason"]
        for reason, status, url in (
            ("unknown", 404, {"short_code": "nobody"}),
            ("deleted", 404, deleted),
            ("deactivated", 410, off),
            ("spent", 410, spent),
        )
    }
    assert all(reason == shown for reason, shown in told.items())


# ---- where it leads, without following it ----


def test_a_plus_says_where_a_link_leads_and_is_no_click(client: FlaskClient, api: Api) -> None:
    url = api.url(TARGET, redirect_status=307, expires_at="2099-01-02", forward_query=True)
    for _ in range(2):
        answer = check(client.get(f"/{url['short_code']}+"), 200)
        assert answer.get_json() == {
            "short_code": url["short_code"],
            "short_url": url["short_url"],
            "original_url": TARGET,
            "redirect_status": 307,
            "forward_query": True,
            "expires_at": "2099-01-02T00:00:00",
            "report_address": None,
        }
        assert answer.headers["Cache-Control"] == "private, no-store"
    assert api.clicks(url) == 0


def test_a_browser_gets_it_as_a_page_in_which_nothing_of_the_link_is_markup(
    client: FlaskClient, api: Api
) -> None:
    url = api.url('https://example.com/?"><b>&amp;')
    page = client.get(f"/{url['short_code']}+", headers={"Accept": "text/html"})
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert "<b>" not in page.text
    assert "https://example.com/?&#34;&gt;&lt;b&gt;&amp;amp;" in page.text


@pytest.mark.parametrize("code", ["nobody", "no.body", ""])
def test_a_plus_behind_nothing_leads_nowhere(client: FlaskClient, code: str) -> None:
    check(client.get(f"/{code}+"), 404)


def test_a_plus_tells_nothing_of_a_spent_link(client: FlaskClient, api: Api) -> None:
    url = api.url(TARGET, max_clicks=1)
    assert client.get(f"/{url['short_code']}+").get_json()["original_url"] == TARGET
    check(follow(client, url), 302)
    answer = check(client.get(f"/{url['short_code']}+"), 410)
    assert TARGET not in answer.text
