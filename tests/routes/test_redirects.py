"""The redirect over HTTP."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from app.models import Url
from tests.answers import check
from tests.conftest import Api

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
BOTH = pytest.mark.parametrize("path", ["/{short_code}", "/urls/{short_code}/redirect"])


@BOTH
def test_an_active_link_leads_to_its_address_and_is_kept_by_no_cache(
    client: FlaskClient, api: Api, path: str
) -> None:
    url = api.url("https://example.com/a?b=c#d")
    response = check(client.get(path.format(**url)), 302)
    assert response.data == b""
    assert response.headers["Location"] == "https://example.com/a?b=c#d"
    assert response.headers["Cache-Control"] == "private, no-store"
    assert response.headers["X-Cache"] in ("HIT", "MISS")


@pytest.mark.parametrize("times", [1, 3])
@BOTH
def test_every_answered_redirect_is_one_click_that_the_next_read_shows(
    client: FlaskClient, api: Api, path: str, times: int
) -> None:
    user = api.user()
    url = api.url("https://example.com/", user_id=user["id"])
    for _ in range(times):
        check(
            client.get(
                path.format(**url), headers={"User-Agent": "probe", "Referer": "https://r.example/"}
            ),
            302,
        )
    clicks = api.get("/events?event_type=clicked")
    assert len(clicks) == times
    assert {(click["url_id"], click["user_id"], click["event_type"]) for click in clicks} == {
        (url["id"], user["id"], "clicked")
    }
    visit = {"ip": "127.0.0.0", "user_agent": "probe", "referrer": "https://r.example/"}
    assert clicks[0]["details"] == {
        "short_code": url["short_code"],
        "original_url": "https://example.com/",
        **visit,
    }


@pytest.mark.parametrize("read", ["/urls/{id}", "/urls", "/users/{user_id}/urls"])
def test_the_click_count_is_exact_at_the_next_read(
    client: FlaskClient, api: Api, read: str
) -> None:
    url = api.url(user_id=api.user()["id"])
    for count in (1, 2):
        check(client.get(f"/{url['short_code']}"), 302)
        seen = api.get(read.format(**url))
        assert (seen[0] if isinstance(seen, list) else seen)["click_count"] == count


def test_long_headers_of_a_visitor_are_cut(client: FlaskClient, api: Api) -> None:
    url = api.url()
    check(
        client.get(
            f"/{url['short_code']}", headers={"User-Agent": "u" * 9000, "Referer": "r" * 9000}
        ),
        302,
    )
    details = api.get("/events?type=clicked")[0]["details"]
    assert 100 < len(details["user_agent"]) < 9000
    assert 100 < len(details["referrer"]) < 9000


@BOTH
def test_head_has_the_same_headers_and_is_no_click(
    client: FlaskClient, api: Api, path: str
) -> None:
    url = api.url("https://example.com/ä")
    for _ in range(2):
        response = check(client.head(path.format(**url)), 302)
        assert response.headers["Location"] == "https://example.com/%C3%A4"
        assert response.headers["Cache-Control"] == "private, no-store"
        assert response.headers["X-Cache"] in ("HIT", "MISS")
    assert api.get(f"/urls/{url['id']}")["click_count"] == 0
    assert api.get("/events?type=clicked") == []


def test_the_short_links_own_query_string_is_ignored(client: FlaskClient, api: Api) -> None:
    url = api.url("https://example.com/?a=1")
    assert (
        check(client.get(f"/{url['short_code']}?b=2&utm_source=x"), 302).headers["Location"]
        == "https://example.com/?a=1"
    )


@BOTH
@pytest.mark.parametrize("status", [410, 404])
def test_a_deactivated_link_leads_nowhere_also_when_it_was_just_cached(
    client: FlaskClient, api: Api, given_with: Callable[..., None], path: str, status: int
) -> None:
    given_with(deactivated_status=status)
    url = api.url()
    check(client.get(path.format(**url)), 302)
    check(client.put(f"/urls/{url['id']}", json={"is_active": False}), 200)
    for method in ("GET", "HEAD", "GET"):
        response = check(client.open(path.format(**url), method=method), status)
        assert "Location" not in response.headers
    assert url["short_code"] in response.get_json()["message"]
    assert api.get(f"/urls/{url['id']}")["click_count"] == 1


def test_a_link_that_is_activated_again_works_at_once(client: FlaskClient, api: Api) -> None:
    url = api.url()
    for _ in range(2):
        check(client.put(f"/urls/{url['id']}", json={"is_active": False}), 200)
        check(client.get(f"/{url['short_code']}"), 410)
        check(client.put(f"/urls/{url['id']}", json={"is_active": True}), 200)
        check(client.get(f"/{url['short_code']}"), 302)


@BOTH
def test_unknown_deleted_and_wrongly_spelled_codes_are_not_found(
    client: FlaskClient, api: Api, path: str
) -> None:
    url = api.url()
    deleted = api.url()["short_code"]
    Url.update(short_code="abcDEF").where(Url.id == url["id"]).execute()
    check(client.delete(f"/urls/{api.get('/urls')[1]['id']}"), 204)
    for code in ("ABCDEF", "abcdef", "abcDE", "abcDEFg", deleted, "nobody"):
        check(client.get(path.format(short_code=code)), 404)
    check(client.get(path.format(short_code="abcDEF")), 302)


@pytest.mark.parametrize("code", ["123456", "000000", "7", "a", "with-dash_", "x" * 32])
@BOTH
def test_imported_codes_of_other_kinds_work(
    client: FlaskClient, api: Api, path: str, code: str
) -> None:
    url = api.url()
    Url.update(short_code=code).where(Url.id == url["id"]).execute()
    check(client.get(path.format(short_code=code)), 302)


@pytest.mark.parametrize("path", ["/nobody", "/%00", "/urls/nobody/redirect"])
def test_a_browser_gets_a_dead_link_as_a_page_and_nobody_keeps_it(
    client: FlaskClient, path: str
) -> None:
    page = client.get(path, headers={"Accept": BROWSER})
    assert (page.status_code, page.content_type) == (404, "text/html; charset=utf-8")
    assert page.text.startswith("<!doctype html>")
    for response in (page, check(client.get(path, headers={"Accept": "*/*"}), 404)):
        assert response.headers["Cache-Control"] == "private, no-store"
        assert response.headers["Vary"] == "Accept"


def test_the_page_of_a_dead_link_cannot_be_made_to_run_a_script(client: FlaskClient) -> None:
    page = client.get("/%3Cscript%3Ealert(1)", headers={"Accept": BROWSER})
    assert "&lt;script&gt;" in page.text
    assert "<script>" not in page.text


def test_a_browser_gets_json_from_everything_but_dead_links(client: FlaskClient) -> None:
    for path in ("/users/99", "/users/", "/nothing/here"):
        check(client.get(path, headers={"Accept": BROWSER}), 404)
