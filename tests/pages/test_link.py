"""The page of one link: what it shows, and what its forms change."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.database import now
from app.models import Url
from app.services import hosts
from tests.conftest import Api
from tests.pages.reading import BROWSER, fields, figures, page_at, rows, section
from tests.routes.test_stats import CHROME, follow
from tests.walking import bearer, secret_of

TARGET = "https://example.com/page"


def page_of(client: FlaskClient, url: dict[str, Any], query: str = "") -> str:
    return page_at(client, f"/urls/{url['id']}/view{query}")


def send(client: FlaskClient, url: dict[str, Any], **form: str) -> TestResponse:
    return client.post(f"/urls/{url['id']}/view", data=form, headers=BROWSER)


def edit(client: FlaskClient, url: dict[str, Any], **changes: str) -> TestResponse:
    """Sends the form as the page has it, with some fields changed."""
    return send(client, url, **{**fields(page_of(client, url)), **changes})


def stored(api: Api, url: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"/urls/{url['id']}")
    return found


# ---- where it leads ----


def standing(page: str) -> tuple[str, str]:
    """The badge, and the notice below it without its markup."""
    badge = re.search(r'<h1[^>]*>.*?class="badge[^"]*">([^<]*)<', page)
    assert badge is not None
    notice = re.search(r'<p class="notice warning">(.*?)</p>', page)
    return badge[1], re.sub("<[^>]*>", "", notice[1]) if notice else ""


def test_an_active_link_says_where_it_leads(client: FlaskClient, api: Api) -> None:
    url = api.url(TARGET, short_code="mine", title="Mine")
    page = page_of(client, url)
    assert standing(page) == ("active", "")
    assert f'<a class="long" href="{TARGET}" rel="noreferrer">' in page
    assert 'data-copy="http://localhost/mine"' in page
    assert "<title>Mine · Holdfast</title>" in page


def test_a_link_that_is_off_says_so(client: FlaskClient, api: Api) -> None:
    url = api.url(short_code="mine", is_active=False)
    said = ("off", "Short code mine is deactivated. Visitors get 410.")
    assert standing(page_of(client, url)) == said


def test_the_status_of_links_that_are_off_is_the_settings(
    client: FlaskClient, api: Api, given_with: Callable[..., None]
) -> None:
    given_with(deactivated_status=404)
    assert "Visitors get 404." in standing(page_of(client, api.url(is_active=False)))[1]


def expire(url: dict[str, Any]) -> None:
    past = now() - timedelta(days=1)
    Url.update(expires_at=past).where(Url.id == url["id"]).execute()


def test_an_expired_link_says_so_and_where_it_leads_now(client: FlaskClient, api: Api) -> None:
    url = api.url(short_code="mine")
    expire(url)
    said = ("expired", "Short code mine has expired. Visitors get 410.")
    assert standing(page_of(client, url)) == said
    url = api.url(expired_url="https://example.com/over")
    expire(url)
    word, why = standing(page_of(client, url))
    assert (word, why) == (
        "expired",
        "It has expired. Visitors are led to https://example.com/over",
    )


def test_a_spent_link_says_so(client: FlaskClient, api: Api) -> None:
    url = api.url(short_code="mine", max_clicks=1)
    assert standing(page_of(client, url))[0] == "active"
    follow(api, url)
    said = "Short code mine has had all the clicks that it may have. Visitors get 410."
    assert standing(page_of(client, url)) == ("spent", said)


def test_a_link_to_a_banned_host_says_so_and_leads_there_no_more(
    client: FlaskClient, api: Api
) -> None:
    url = api.url("https://bad.example/x", short_code="mine")
    hosts.ban("bad.example", "spam")
    hosts.bans.forget()
    page = page_of(client, url)
    said = "Short code mine leads to a host that is banned here. Visitors get 451."
    assert standing(page) == ("banned host", said)
    assert 'href="https://bad.example/x"' not in page


def test_the_word_is_what_visitors_meet(client: FlaskClient, api: Api) -> None:
    """Off and expired and spent at once: the page has the reason of the redirect."""
    url = api.url(max_clicks=1)
    follow(api, url)
    expire(url)
    for changes in ({"is_active": False}, {"is_active": True}):
        api.client.put(f"/urls/{url['id']}", json=changes)
        met = client.get(f"/{url['short_code']}").get_json()
        assert standing(page_of(client, url))[1].startswith(met["message"])


def test_an_unknown_link_has_a_page_of_an_error(client: FlaskClient) -> None:
    page_at(client, "/urls/99/view", 404)
    page_at(client, f"/urls/{2**64}/view", 404)


# ---- figures ----


def test_its_figures_are_those_of_the_api(client: FlaskClient, api: Api) -> None:
    url = api.url(max_clicks=5)
    follow(api, url)
    follow(api, url)
    follow(api, url, "Googlebot/2.1")
    shown = figures(page_of(client, url).partition('id="clicks"')[0])
    assert shown == {"People": 2, "Robots": 1, "All clicks": 3}
    link = stored(api, url)
    names = ("people_count", "robot_count", "click_count")
    assert list(shown.values()) == [link[name] for name in names]


def test_the_latest_clicks_say_who_came_from_where(client: FlaskClient, api: Api) -> None:
    url = api.url("https://example.com/?utm_source=mail")
    follow(api, url, Referer="https://news.example/secret?q=1")
    follow(api, url, "Googlebot/2.1")
    api.event(url_id=url["id"])
    latest = [row[1:] for row in rows(section(page_of(client, url), "latest"))]
    assert latest == [
        ["robot", "Googlebot", "", "direct", "mail", "127.0.0.0"],
        ["person", "Chrome", "Windows", "news.example", "mail", "127.0.0.0"],
    ]


def test_at_most_twenty_clicks_are_shown(client: FlaskClient, api: Api) -> None:
    url = api.url()
    api.follow(url, 22)
    assert len(rows(section(page_of(client, url), "latest"))) == 20


@pytest.mark.parametrize(
    ("scope", "has_clicks", "has_addresses"),
    [
        ("create", False, False),
        ("read", True, False),
        ("write", True, False),
        ("admin", True, True),
    ],
)
def test_clicks_are_for_who_may_read_and_addresses_for_admins(
    client: FlaskClient,
    given_with: Callable[..., None],
    scope: str,
    has_clicks: bool,
    has_addresses: bool,
) -> None:
    given_with(auth="on")
    key = {**BROWSER, **bearer(secret_of(scope))}
    maker = key if scope == "create" else bearer(secret_of("write"))
    url = client.post("/urls", json={"url": TARGET}, headers=maker).get_json()
    client.get(f"/{url['short_code']}", headers={"User-Agent": CHROME})
    page = client.get(f"/urls/{url['id']}/view", headers=key).text
    assert ('id="latest"' in page) == has_clicks
    assert ("127.0.0.0" in page) == has_addresses
    may_write = scope in ("write", "admin")
    assert ('value="edit"' in page) == may_write
    assert ('value="deactivate"' in page) == may_write
    assert (">Delete<" in page) == may_write


def test_the_qr_code_can_be_downloaded(client: FlaskClient, api: Api) -> None:
    page = page_of(client, api.url(short_code="mine"))
    found = re.findall(r'<a href="([^"]*/qr[^"]*)" download="([^"]*)"', page)
    assert [name for _, name in found] == ["mine.svg", "mine.png"]
    kinds = [client.get(path.replace("&amp;", "&")).mimetype for path, _ in found]
    assert kinds == ["image/svg+xml", "image/png"]


# ---- edit ----


def test_every_field_can_be_changed(client: FlaskClient, api: Api) -> None:
    url = api.url()
    client.set_cookie("tz", "Asia/Tokyo")
    changes = {
        "original_url": "https://example.com/new",
        "title": "New",
        "tags": "a, b",
        "expires_at": "2999-01-31T12:00",
        "expired_url": "https://example.com/over",
        "max_clicks": "7",
        "redirect_status": "308",
        "forward_query": "on",
    }
    answer = edit(client, url, **changes)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/urls/{url['id']}/view")
    after = stored(api, url)
    assert {name: after[name] for name in changes} == {
        "original_url": "https://example.com/new",
        "title": "New",
        "tags": ["a", "b"],
        "expires_at": "2999-01-31T03:00:00",
        "expired_url": "https://example.com/over",
        "max_clicks": 7,
        "redirect_status": 308,
        "forward_query": True,
    }
    shown = fields(page_of(client, url))
    assert {name: shown[name] for name in changes if name != "forward_query"} == {
        name: value for name, value in changes.items() if name != "forward_query"
    }
    assert 'name="forward_query" checked' in page_of(client, url)


def test_empty_fields_take_rules_away(client: FlaskClient, api: Api) -> None:
    rules = {
        "title": "T",
        "tags": ["a"],
        "expires_at": "2999-01-01T00:00:00Z",
        "expired_url": TARGET,
        "max_clicks": 3,
        "forward_query": True,
    }
    url = api.url(**rules)
    form = fields(page_of(client, url)) | dict.fromkeys(rules, "")
    del form["forward_query"]  # a box that is not checked is not sent
    assert send(client, url, **form).status_code == 303
    after = stored(api, url)
    wanted = dict.fromkeys(rules) | {"tags": [], "forward_query": False}
    assert {name: after[name] for name in rules} == wanted


def test_a_form_that_nobody_changed_changes_nothing(client: FlaskClient, api: Api) -> None:
    """Not even a tag with a comma, an end in the past, or in an hour that comes twice."""
    client.set_cookie("tz", "Europe/Berlin")
    url = api.url(title="two\nlines", tags=["a,b", "c"], forward_query=True)
    for end in ("2999-10-27T01:30:15", "2001-10-28T00:30:00", "0001-01-01T00:00:00"):
        Url.update(expires_at=end).where(Url.id == url["id"]).execute()
        before = stored(api, url)
        form = {**fields(page_of(client, url)), "forward_query": "on"}
        assert form["title"] == "twolines"  # as browsers send it
        assert send(client, url, **form).status_code == 303
        assert stored(api, url) == before


@pytest.mark.parametrize(
    ("zone", "end", "shown"),
    [
        ("Asia/Tokyo", "2999-01-31T03:00:00", "2999-01-31T12:00"),
        ("Asia/Tokyo", "2999-01-31T03:00:15", "2999-01-31T12:00:15"),
        ("Asia/Tokyo", "9999-12-31T23:00:00", "9999-12-31T23:00"),
        ("America/New_York", "0001-01-01T00:00:00", "0001-01-01T00:00"),
    ],
)
def test_the_form_has_the_moment_of_the_zone_as_far_as_there_is_one(
    client: FlaskClient, api: Api, zone: str, end: str, shown: str
) -> None:
    client.set_cookie("tz", zone)
    url = api.url()
    Url.update(expires_at=end).where(Url.id == url["id"]).execute()
    assert fields(page_of(client, url))["expires_at"] == shown


def test_a_moment_is_in_the_zone_that_the_form_was_shown_in(client: FlaskClient, api: Api) -> None:
    """The first page is shown before the script has told the zone of the browser."""
    url = api.url()
    form = fields(page_of(client, url))
    client.set_cookie("tz", "Asia/Tokyo")
    send(client, url, **{**form, "expires_at": "2999-01-31T12:00"})
    assert stored(api, url)["expires_at"] == "2999-01-31T12:00:00"
    client.post("/urls/new", data={"url": TARGET, "zone": "UTC", "expires_at": "2999-01-31T12:00"})
    assert api.get("/urls?sort=-id")[0]["expires_at"] == "2999-01-31T12:00:00"


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("original_url", "nowhere", "URL must be an absolute http or https URL"),
        ("original_url", "", "URL must be a string"),
        ("title", "x" * 256, "Title must be at most 255 characters"),
        ("tags", "x" * 51, "Tags must be at most 50 characters"),
        ("expires_at", "tomorrow", "Expires at must be a moment such as"),
        ("expires_at", "0001-01-01T00:00", "Expires at must be"),
        ("expires_at", "2001-01-31T12:00", "Expires at must be in the future"),
        ("expired_url", "javascript:alert(1)", "URL when expired must be an absolute"),
        ("max_clicks", "0", "Click limit must be from 1"),
        ("redirect_status", "303", "Redirect status must be 301, 302, 307 or 308"),
    ],
)
def test_an_error_stands_beside_its_field_and_what_was_typed_stays(
    client: FlaskClient, api: Api, field: str, value: str, why: str
) -> None:
    client.set_cookie("tz", "Asia/Tokyo")
    url = api.url()
    before = stored(api, url)
    answer = edit(client, url, **{"title": "Typed", field: value})
    assert answer.status_code == 400
    element = re.search(rf'<(?:input|select) id="{field}"[^>]*>', answer.text)
    assert element is not None
    assert 'aria-invalid="true"' in element[0]
    assert f'aria-describedby="{field}-note"' in element[0]
    assert f'<p class="error" id="{field}-note">{why}' in answer.text
    assert "<details open>" in answer.text
    assert field == "title" or 'value="Typed"' in answer.text
    assert stored(api, url) == before


def test_a_form_of_an_earlier_version_overwrites_nothing_unasked(
    client: FlaskClient, api: Api
) -> None:
    url = api.url(title="old")
    form = fields(page_of(client, url))
    api.client.put(f"/urls/{url['id']}", json={"title": "of another"})
    refused = send(client, url, **{**form, "tags": "mine"})
    assert refused.status_code == 409
    assert "The link has changed since this page was loaded." in refused.text
    assert (stored(api, url)["title"], stored(api, url)["tags"]) == ("of another", [])
    again = fields(refused.text)
    assert (again["title"], again["tags"]) == ("old", "mine")
    assert send(client, url, **again).status_code == 303
    assert stored(api, url)["tags"] == ["mine"]


@pytest.mark.parametrize("active", [True, False])
def test_it_is_turned_off_and_on(client: FlaskClient, api: Api, active: bool) -> None:
    url = api.url(is_active=not active)
    page = page_of(client, url)
    action = "activate" if active else "deactivate"
    assert f'name="action" value="{action}"' in page
    answer = send(client, url, action=action)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/urls/{url['id']}/view")
    assert stored(api, url)["is_active"] is active


@pytest.mark.parametrize("action", ["", "explode", "<script>"])
def test_another_action_is_refused(client: FlaskClient, api: Api, action: str) -> None:
    answer = send(client, api.url(), action=action)
    assert answer.status_code == 400
    assert "<script>" not in answer.text


# ---- versions ----


def history(page: str) -> list[list[str]]:
    return rows(section(page, "versions"))


def test_earlier_versions_say_what_was_otherwise(client: FlaskClient, api: Api) -> None:
    url = api.url(title="first", tags=["a"])
    api.client.put(f"/urls/{url['id']}", json={"title": "second", "tags": [], "max_clicks": 3})
    api.client.put(f"/urls/{url['id']}", json={"is_active": False})
    found = history(page_of(client, url))
    assert [(row[0], row[2], row[4]) for row in found] == [
        ("3", "update", "now"),
        ("2", "update", "Active: yes"),
        ("1", "create", "Title: firstActive: yesClick limit: noneTags: a"),
    ]
    assert all("UTC" in row[1] and row[3] == "127.0.0.0" for row in found)


def test_a_version_is_restored(client: FlaskClient, api: Api) -> None:
    url = api.url(title="first")
    api.client.put(f"/urls/{url['id']}", json={"title": "second"})
    page = page_of(client, url)
    assert page.count('value="restore"') == 1
    answer = send(client, url, action="restore", version="1")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/urls/{url['id']}/view")
    assert stored(api, url)["title"] == "first"
    assert [row[2] for row in history(page_of(client, url))] == ["restore", "update", "create"]


def test_a_version_that_may_not_lead_where_it_led_says_why(client: FlaskClient, api: Api) -> None:
    url = api.url("https://bad.example/")
    api.client.put(f"/urls/{url['id']}", json={"original_url": TARGET})
    hosts.ban("bad.example", "spam")
    hosts.bans.forget()
    refused = send(client, url, action="restore", version="1")
    assert refused.status_code == 400
    notice = re.search(r'role="alert">([^<]*)<', refused.text)
    assert notice is not None
    assert notice[1].startswith("Version 1 cannot be restored. original_url: ")
    assert "<details open>" not in refused.text
    assert stored(api, url)["original_url"] == TARGET


@pytest.mark.parametrize(("version", "status"), [("9", 404), ("x", 400), ("", 400)])
def test_a_version_that_is_not_known_is_not_restored(
    client: FlaskClient, api: Api, version: str, status: int
) -> None:
    assert send(client, api.url(), action="restore", version=version).status_code == status


def test_who_changed_it_is_for_admins(
    client: FlaskClient, api: Api, given_with: Callable[..., None]
) -> None:
    given_with(auth="on")
    maker = secret_of("write")
    url = client.post("/urls", json={"url": TARGET}, headers=bearer(maker)).get_json()
    for scope, is_told in (("admin", True), ("write", False), ("read", False)):
        headers = {**BROWSER, **bearer(secret_of(scope))}
        page = client.get(f"/urls/{url['id']}/view", headers=headers).text
        assert (f"write {maker[-9:]}" in section(page, "versions")) == is_told


def test_versions_come_in_pages_of_ten(client: FlaskClient, api: Api) -> None:
    url = api.url()
    for number in range(11):
        api.client.put(f"/urls/{url['id']}", json={"title": f"title {number}"})
    page = page_of(client, url)
    assert [row[0] for row in history(page)] == [str(number) for number in range(12, 2, -1)]
    assert 'rel="next" href="?versions=2#versions"' in page
    older = page_of(client, url, "?versions=2")
    assert [row[0] for row in history(older)] == ["2", "1"]
    assert 'rel="prev" href="?versions=1#versions"' in older
    assert page_at(client, f"/urls/{url['id']}/view?versions=x", 400)


# ---- delete ----


def test_without_script_a_page_asks_before_the_link_is_deleted(
    client: FlaskClient, api: Api
) -> None:
    url = api.url(short_code="mine")
    asked = send(client, url, action="delete")
    assert (asked.status_code, asked.headers["Location"]) == (
        303,
        f"/urls/{url['id']}/view?ask=delete",
    )
    page = page_at(client, asked.headers["Location"])
    assert "http://localhost/mine" in page
    assert "Keep it" in page
    assert stored(api, url)
    sure = dict(re.findall(r'name="(\w+)" value="(\w+)"', page))
    answer = send(client, url, **sure)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert client.get(f"/urls/{url['id']}").status_code == 404


def test_the_script_waits_ten_seconds_and_the_page_says_so(client: FlaskClient, api: Api) -> None:
    page = page_of(client, api.url())
    form = re.search(r'<form method="post"[^>]* data-undo="10">.*?</form>', page)
    assert form is not None
    assert 'name="action" value="delete"' in form[0]
    assert "sure" not in form[0]
    note = re.search(r"<p[^>]* data-undo-note hidden>(.*?)</p>", page)
    assert note is not None
    assert "Leaving or closing this page before keeps it." in note[1]


def test_who_may_not_write_is_not_asked(
    client: FlaskClient, api: Api, given_with: Callable[..., None]
) -> None:
    url = api.url()
    given_with(auth="on")
    key = {**BROWSER, **bearer(secret_of("read"))}
    page = client.get(f"/urls/{url['id']}/view?ask=delete", headers=key)
    assert "Delete for good" not in page.text
    sent = {"action": "delete", "sure": "yes"}
    assert client.post(f"/urls/{url['id']}/view", data=sent, headers=key).status_code == 403
    given_with(auth="off")
    assert stored(api, url)


# ---- as a whole ----


def test_what_others_have_written_is_text(client: FlaskClient, api: Api) -> None:
    evil = '"><script>alert(1)</script>'
    url = api.url(f"https://example.com/?utm_source={evil}", title=evil, tags=[evil])
    follow(api, url, f"Evil{evil}/1", Referer=f"javascript:{evil}")
    follow(api, url, f"Mozilla/5.0 ({evil})", Referer=f"https://evil.example/{evil}")
    api.client.put(f"/urls/{url['id']}", json={"title": f"{evil} again"})
    page = page_of(client, url)
    assert "alert(1)" in page
    assert "<script>" not in page
    assert "javascript:" not in re.sub(r'value="[^"]*"', "", page)
    assert "<script>" not in page_at(client, "/overview?tag=%22%3E%3Cscript%3E")


def test_a_full_page_is_at_most_60_kb_with_its_sheet_and_its_script(
    client: FlaskClient, api: Api
) -> None:
    url = api.url(f"https://example.com/{'x' * 2000}", title="t" * 255, tags=["tag"] * 20)
    for number in range(20):
        agent = f"Application {number}/1 (X11; Linux)"
        follow(api, url, agent, Referer=f"https://a-long-name-of-a-site-{number}.example/")
    for number in range(12):
        api.client.put(f"/urls/{url['id']}", json={"title": f"{number} {'t' * 200}"})
    for query in ("?days=90", "?days=7&by=hour"):
        page = page_of(client, url, query)
        loaded = re.findall(r'(?:src|<link [^>]*href)="([^"]*)"', page)
        assert len(loaded) == 2
        sizes = [len(client.get(path).data) for path in loaded]
        assert len(page.encode()) + sum(sizes) <= 60_000
