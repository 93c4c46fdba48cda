"""The page of the audit trail: who changed what, filtered and paged."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.models import Audit
from app.services import audit
from tests.conftest import Api
from tests.pages.reading import BROWSER, page_at
from tests.walking import bearer, secret_of


def rows(text: str) -> list[str]:
    return re.findall("<tr>\n<td>.*?</tr>", text, re.DOTALL)


@pytest.fixture
def link(api: Api) -> dict[str, Any]:
    made = api.url("https://example.com/", title="Old")
    api.client.put(f"/urls/{made['id']}", json={"title": "New"})
    return made


def test_a_browser_gets_the_page_and_a_program_the_list(
    client: FlaskClient, link: dict[str, Any]
) -> None:
    assert len(rows(page_at(client, "/audit"))) == 2
    answer = client.get("/audit")
    assert [row["action"] for row in answer.json or []] == ["update", "create"]
    assert "Accept" in answer.headers["Vary"]


def test_a_change_is_shown_as_what_was_and_what_is(
    client: FlaskClient, link: dict[str, Any]
) -> None:
    changed, made = rows(page_at(client, "/audit"))
    assert "<dt>title</dt><dd><del>Old</del> → <ins>New</ins></dd>" in changed
    assert "original_url" not in changed
    assert "<ins>https://example.com/</ins>" in made
    assert "<del>" not in made


def test_what_is_gone_is_shown_as_it_was(client: FlaskClient, link: dict[str, Any]) -> None:
    client.delete(f"/urls/{link['id']}")
    gone = rows(page_at(client, "/audit"))[0]
    assert "<del>https://example.com/</del>" in gone
    assert "<ins>" not in gone


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "nothing"), (True, "yes"), (False, "no"), (["a", "b"], "[&#34;a&#34;, &#34;b&#34;]")],
)
def test_values_are_words(client: FlaskClient, value: object, shown: str) -> None:
    audit.note("update", "url", 7, {"it": value}, {"it": "other"})
    assert f"<del>{shown}</del>" in page_at(client, "/audit")


def test_a_row_shows_so_much_and_no_more(client: FlaskClient) -> None:
    state = {f"name{number}": "x" * 500 for number in range(50)}
    for _ in range(30):
        audit.note("create", "url", 7, None, state)
    text = page_at(client, "/audit")
    assert "and 42 more, in the CSV" in text
    assert "x" * 81 not in text
    assert len(text) < 50_000


def test_filters_select(client: FlaskClient, api: Api, link: dict[str, Any]) -> None:
    api.user("ada")
    assert len(rows(page_at(client, "/audit?kind=user"))) == 1
    assert len(rows(page_at(client, f"/audit?kind=url&subject_id={link['id']}"))) == 2
    assert len(rows(page_at(client, "/audit?action=update&key="))) == 1
    assert len(rows(page_at(client, "/audit?key=nobody"))) == 0
    assert 'value="update"' in page_at(client, "/audit?action=update")


def test_moments_are_in_the_zone_of_the_browser(client: FlaskClient, api: Api) -> None:
    api.user("ada")
    at = Audit.get().at
    client.set_cookie("tz", "Asia/Tokyo")  # nine hours ahead
    later = at.replace(hour=0, minute=0, second=0).strftime("%Y-%m-%d")
    assert len(rows(page_at(client, f"/audit?after_time={later}T00:00"))) == 1
    assert f"after_time={later}" not in page_at(client, f"/audit?after_time={later}T00:00")


def test_a_filter_is_in_its_field_again_also_on_the_next_page(
    client: FlaskClient, api: Api
) -> None:
    for number in range(30):
        audit.note("update", "user", number + 1, {}, {})
    text = page_at(client, "/audit?after_time=2001-01-31T12:00&zone=Asia/Tokyo")
    assert 'type="datetime-local" value="2001-01-31T12:00"' in text
    found = re.search('rel="next" href="([^"]+)"', text)
    assert found
    client.set_cookie("tz", "Asia/Tokyo")
    second = page_at(client, found[1].replace("&amp;", "&"))
    assert 'type="datetime-local" value="2001-01-31T12:00"' in second


def test_what_is_wrong_is_said_beside_its_field(client: FlaskClient) -> None:
    answer = client.get("/audit?subject_id=x&after_time=soon", headers=BROWSER)
    assert answer.status_code == 400
    assert answer.text.count('aria-invalid="true"') == 2
    assert 'value="soon"' in answer.text


@pytest.mark.parametrize("query", ["", "kind=user&after_time=2001-01-01T00:00"])
def test_pages_follow_each_other(client: FlaskClient, api: Api, query: str) -> None:
    for number in range(30):
        audit.note("update", "user", number + 1, {}, {})
    text = page_at(client, f"/audit?{query}")
    found = re.search('rel="next" href="([^"]+)"', text)
    assert found
    second = page_at(client, found[1].replace("&amp;", "&"))
    assert (len(rows(text)), len(rows(second))) == (25, 5)
    assert 'rel="next"' not in second
    assert ">Newest</a>" in second


def test_the_csv_has_the_filters_of_the_page(client: FlaskClient, link: dict[str, Any]) -> None:
    text = page_at(client, "/audit?action=update&after_time=2001-01-01T00:00")
    found = re.search('href="(/audit.csv[^"]*)"', text)
    assert found
    answer = client.get(found[1].replace("&amp;", "&"))
    assert (answer.status_code, len(answer.text.splitlines())) == (200, 2)
    assert 'href="/audit.csv"' in page_at(client, "/audit")


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'])
def test_what_clients_wrote_is_text(client: FlaskClient, api: Api, text: str) -> None:
    api.url("https://example.com/", title=text)
    api.key(text, "read")
    shown = page_at(client, "/audit")
    assert text not in shown
    assert "alert(1)" in shown


def test_only_an_admin_comes_in(client: FlaskClient, given_with: Callable[..., None]) -> None:
    given_with(auth="on")
    for scope, status in (("write", 403), ("admin", 200)):
        sent = {**BROWSER, **bearer(secret_of(scope))}
        assert client.get("/audit", headers=sent).status_code == status
    assert client.get("/audit", headers=BROWSER).status_code == 401
