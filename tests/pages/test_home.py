"""The first page: its form, its answer, and the list of links."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.models import Url
from app.services import hosts
from tests.conftest import Api
from tests.pages.reading import BROWSER
from tests.routes.test_stats import click_at

GOOD = "https://example.com/page"


def home(client: FlaskClient, query: str = "") -> str:
    page = client.get(f"/{query}", headers=BROWSER)
    assert page.status_code == 200
    return page.text


def send(client: FlaskClient, **fields: str) -> TestResponse:
    return client.post("/urls/new", data={"url": GOOD, **fields}, headers=BROWSER)


def codes(page: str) -> list[str]:
    """The short codes of the list, from the top."""
    return re.findall(r'class="mono" href="[^"]*">http://localhost/([\w-]+)<', page)


def test_the_form_makes_a_link_with_all_that_it_says(client: FlaskClient, api: Api) -> None:
    fields = {
        "short_code": "mine",
        "title": " My page ",
        "tags": "summer, sale ,",
        "expires_at": "2999-01-31T12:00",
        "max_clicks": "5",
    }
    answer = send(client, **fields)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?made=mine")
    (made,) = api.get("/urls")
    shown = {name: made[name] for name in (*fields, "original_url")}
    assert shown == {
        "original_url": GOOD,
        "short_code": "mine",
        "title": "My page",
        "tags": ["summer", "sale"],
        "expires_at": "2999-01-31T12:00:00",
        "max_clicks": 5,
    }


def test_a_moment_is_in_the_zone_of_the_browser(client: FlaskClient, api: Api) -> None:
    client.set_cookie("tz", "Asia/Tokyo")
    send(client, expires_at="2999-01-31T12:00")
    assert api.get("/urls")[0]["expires_at"] == "2999-01-31T03:00:00"
    client.set_cookie("tz", "../../etc/passwd")
    assert 'data-zone="UTC"' in home(client)


def test_what_was_made_is_a_line_to_copy_with_its_qr_code(client: FlaskClient) -> None:
    page = home(client, send(client, short_code="mine").headers["Location"].lstrip("/"))
    made = page[page.index('class="made"') :]
    assert 'data-copy="http://localhost/mine"' in made
    assert "<svg" in made
    assert re.search(r'href="/urls/\d+/view"', made)
    assert 'class="made"' not in home(client)
    assert 'class="made"' not in home(client, "?made=nobody")
    assert 'class="made"' not in home(client, "?made=%22%3E%3Cscript%3E")


@pytest.mark.parametrize(
    ("fields", "field", "why"),
    [
        ({"url": "nowhere"}, "url", "must be an absolute http or https URL with a host"),
        ({"url": ""}, "url", "must be a string"),
        ({"url": "javascript:alert(1)"}, "url", "must be an absolute http or https URL"),
        ({"short_code": "a b"}, "short_code", "must be 1 to 64 of the characters"),
        ({"short_code": "urls"}, "short_code", "is reserved"),
        ({"short_code": "taken"}, "short_code", "is taken"),
        ({"expires_at": "tomorrow"}, "expires_at", "must be a moment such as"),
        ({"expires_at": "2001-01-31T12:00"}, "expires_at", "must be in the future"),
        ({"max_clicks": "many"}, "max_clicks", "must be an integer"),
        ({"max_clicks": "0"}, "max_clicks", "must be from 1 to 2^63 - 1"),
        ({"tags": "x" * 51}, "tags", "must be at most 50 characters"),
    ],
)
def test_an_error_stands_beside_its_field_and_what_was_typed_stays(
    client: FlaskClient, api: Api, fields: dict[str, str], field: str, why: str
) -> None:
    api.url(short_code="taken")
    answer = send(client, **{"title": "A title", **fields})
    assert answer.status_code in (400, 409)
    element = re.search(rf'<input id="{field}"[^>]*>', answer.text)
    assert element is not None
    assert 'aria-invalid="true"' in element[0]
    assert f'aria-describedby="{field}-note"' in element[0]
    note = re.search(rf'<p class="error" id="{field}-note">([^<]*)</p>', answer.text)
    assert note is not None
    assert why in note[1]
    assert 'value="A title"' in answer.text
    assert len(api.get("/urls")) == 1


def test_the_address_fills_the_form(client: FlaskClient) -> None:
    page = home(client, "?url=https%3A%2F%2Fexample.com%2F%22%3E%3Cscript%3E&title=A")
    assert 'value="https://example.com/&#34;&gt;&lt;script&gt;"' in page
    assert re.search(r'<input id="title"[^>]* value="A"', page)
    assert "<details open>" in page


def test_programs_still_get_json(client: FlaskClient) -> None:
    for accept in ("application/json", "*/*", ""):
        answer = client.get("/", headers={"Accept": accept})
        assert answer.mimetype == "application/json"
        assert "Accept" in answer.headers["Vary"]


def test_without_links_it_says_what_to_do(client: FlaskClient) -> None:
    assert "No links yet" in home(client)


def test_the_newest_links_come_first_in_pages_of_fifty(client: FlaskClient, api: Api) -> None:
    for number in range(52):
        api.url(short_code=f"link{number}")
    page = home(client)
    assert codes(page) == [f"link{number}" for number in range(51, 1, -1)]
    following = re.search(r'rel="next" href="([^"]*)"', page)
    assert following is not None
    older = client.get(following[1], headers=BROWSER).text
    assert codes(older) == ["link1", "link0"]
    assert 'rel="next"' not in older
    assert 'rel="prev" href="/?page=1"' in older


def test_the_search_looks_into_titles_and_urls(client: FlaskClient, api: Api) -> None:
    api.url("https://example.com/apples", short_code="one")
    api.url("https://example.com/", short_code="two", title="Apples & pears")
    api.url("https://example.com/", short_code="three")
    assert codes(home(client, "?q=APPLE")) == ["two", "one"]
    page = home(client, "?q=%3Cscript%3E")
    assert "No link matches" in page
    assert "<script>" not in page


def test_a_search_that_is_refused_says_why(client: FlaskClient) -> None:
    page = home(client, f"?q={'x' * 3000}")
    assert re.search(r'class="[^"]*error[^"]*"[^>]*>Search must', page)


def test_the_list_of_a_tag(client: FlaskClient, api: Api) -> None:
    api.url(short_code="one", tags=["a b"])
    api.url(short_code="two")
    page = home(client)
    assert 'href="/?tag=a%20b"' in page
    assert codes(home(client, "?tag=a%20b")) == ["one"]


def test_the_line_of_a_week_counts_people_by_day(client: FlaskClient, api: Api) -> None:
    url = api.url(short_code="one")
    today = datetime.now(UTC).replace(hour=0, minute=30)
    for days, clicks in ((0, 2), (6, 1), (7, 5)):
        click_at(url, today - timedelta(days=days), clicks)
    page = home(client)
    assert 'aria-label="3 people in seven days"' in page
    assert "M5 24v-12M" in page  # six days ago
    assert "M77 24v-23" in page  # today


def test_a_link_that_visitors_do_not_follow_says_why_in_the_list(
    client: FlaskClient, api: Api
) -> None:
    for code, more in {
        "plain": {},
        "off": {"is_active": False},
        "spent": {"max_clicks": 1},
        "left": {"max_clicks": 2},
        "expired": {},
        "elsewhere": {"expired_url": "https://example.com/over"},
    }.items():
        api.url(short_code=code, **more)
    api.url("https://bad.example/", short_code="banned")
    client.get("/spent", headers={"User-Agent": "Firefox/120.0"})
    past = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=1)
    Url.update(expires_at=past).where(Url.short_code << ["expired", "elsewhere"]).execute()
    hosts.ban("bad.example", "spam")
    hosts.bans.forget()
    assert badges(home(client)) == {
        "banned": ("banned host", "badge off"),
        "elsewhere": ("expired", "badge"),
        "expired": ("expired", "badge off"),
        "spent": ("spent", "badge off"),
        "off": ("off", "badge off"),
    }


def badges(page: str) -> dict[str, tuple[str, str]]:
    """What stands beside each link of the list, without its tags, and how it looks."""
    found = re.findall('class="code"[^>]*>/([^<]+)</a>\n<span class="(.*?)">(.*?)</span>', page)
    return {code: (word, look) for code, look, word in found}


def test_limits_of_all_links_of_the_list_are_asked_for_at_once(
    client: FlaskClient, api: Api, statements: Callable[[], list[str]]
) -> None:
    def asked(links: int) -> int:
        for _ in range(links):
            api.url(max_clicks=5)
        statements()
        home(client)
        return len(statements())

    assert asked(3) == asked(20)


@pytest.mark.parametrize(("label", "active"), [("Turn off", False), ("Turn on", True)])
def test_a_link_is_turned_off_and_on_where_it_stands(
    client: FlaskClient, api: Api, label: str, active: bool
) -> None:
    url = api.url(is_active=not active)
    page = home(client, "?q=example")
    form = re.search(rf'value="(\w+)" formaction="/urls/{url["id"]}/view">{label}<', page)
    back = re.search(r'name="back" value="([^"]*)"', page)
    assert form is not None
    assert back is not None
    sent = {"action": form[1], "back": back[1]}
    answer = client.post(f"/urls/{url['id']}/view", data=sent)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/?q=example")
    assert api.get(f"/urls/{url['id']}")["is_active"] is active


def test_a_full_page_is_at_most_60_kb_with_its_sheet_and_its_script(
    client: FlaskClient, api: Api
) -> None:
    for number in range(50):
        more = {"title": "t" * 60, "tags": ["summer", "sale"]}
        api.url(f"https://example.com/{'x' * 2000}", short_code=f"link{number}", **more)
    page = home(client)
    loaded = re.findall(r'(?:src|<link [^>]*href)="([^"]*)"', page)
    assert len(loaded) == 2
    sizes = [len(client.get(path).data) for path in loaded]
    assert len(page.encode()) + sum(sizes) <= 60_000
