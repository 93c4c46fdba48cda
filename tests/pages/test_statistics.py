"""Statistics on pages: the numbers are the API's, for the days that the address asks for."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.pages import charts
from tests.conftest import Api
from tests.pages.reading import BROWSER, figures, page_at, section, shares, table
from tests.routes.test_stats import click_at, follow, today
from tests.walking import bearer, secret_of


def some_clicks(api: Api) -> dict[str, Any]:
    """A link with clicks of people and robots, of today and of weeks ago."""
    user = api.user()
    url = api.url("https://example.com/?utm_source=mail", tags=["spring"], user_id=user["id"])
    follow(api, url)
    follow(api, url, Referer="https://news.example/a")
    follow(api, url, "Googlebot/2.1")
    for days in (3, 20, 80, 300, 2000):
        click_at(url, datetime.now(UTC) - timedelta(days=days), days % 7 + 1)
    other = api.url()
    follow(api, other, "curl/8")
    api.client.get("/nosuch")
    return url


def must_be_as(page: str, stats: dict[str, Any], by: str) -> None:
    part = section(page, "clicks")
    shown = figures(part)
    assert (shown["People"], shown["Robots"]) == tuple(stats["totals"].values())
    wanted = charts.drawn(stats["series"], by)
    assert table(part) == [tuple(row) for row in wanted.rows]
    assert f'class="people" d="{wanted.people}"' in part
    assert f'class="robots" d="{wanted.robots}"' in part
    assert shares(page) == {name: stats[name][:10] for name in shares(page)}


def link_page(url: dict[str, Any], query: str = "") -> str:
    return f"/urls/{url['id']}/view?{query}"


@pytest.mark.parametrize("days", ["7", "30", "90"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
def test_the_numbers_of_a_link_are_the_apis(
    client: FlaskClient, api: Api, days: str, zone: str
) -> None:
    url = some_clicks(api)
    client.set_cookie("tz", zone)
    page = page_at(client, link_page(url, f"days={days}"))
    first = today(zone) - timedelta(days=int(days) - 1)
    must_be_as(page, api.get(f"/urls/{url['id']}/stats?from={first}&tz={zone}"), "day")
    assert f"Days begin at midnight in {zone}." in page


def test_thirty_days_are_shown_unless_said_otherwise(client: FlaskClient, api: Api) -> None:
    url = some_clicks(api)
    must_be_as(page_at(client, link_page(url)), api.get(f"/urls/{url['id']}/stats"), "day")


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
def test_hours_are_shown_as_far_as_they_are_kept(client: FlaskClient, api: Api, zone: str) -> None:
    url = some_clicks(api)
    client.set_cookie("tz", zone)
    path = f"/urls/{url['id']}/stats?by=hour&tz={zone}"
    week = page_at(client, link_page(url, "days=7&by=hour"))
    must_be_as(week, api.get(path), "hour")
    assert "Hours are kept" not in week
    possible = [f"{path}&from={today(zone) - timedelta(days=ago)}" for ago in (15, 14, 13)]
    longest = next(each for each in possible if client.get(each).status_code == 200)
    page = page_at(client, link_page(url, "days=90&by=hour"))
    must_be_as(page, api.get(longest), "hour")
    assert "Hours are kept for 14 days." in page


def test_all_days_begin_with_the_first_click_and_are_at_most_a_thousand(
    client: FlaskClient, api: Api
) -> None:
    url = api.url()
    must_be_as(
        page_at(client, link_page(url, "days=all")),
        api.get(f"/urls/{url['id']}/stats?from={today() - timedelta(days=6)}"),
        "day",
    )
    click_at(url, datetime.now(UTC) - timedelta(days=300))
    page = page_at(client, link_page(url, "days=all"))
    first = today() - timedelta(days=300)
    must_be_as(page, api.get(f"/urls/{url['id']}/stats?from={first}"), "day")
    assert "The last" not in page
    click_at(url, datetime.now(UTC) - timedelta(days=2000))
    page = page_at(client, link_page(url, "days=all"))
    first = today() - timedelta(days=999)
    must_be_as(page, api.get(f"/urls/{url['id']}/stats?from={first}"), "day")
    assert "The last 1,000 days." in page


@pytest.mark.parametrize("query", ["", "tag=spring", "user_id={user}", "tag=none&by=hour&days=7"])
def test_the_numbers_of_many_links_are_the_apis(client: FlaskClient, api: Api, query: str) -> None:
    query = query.format(user=some_clicks(api)["user_id"])
    page, stats = page_at(client, f"/overview?{query}"), api.get(f"/stats?{query}")
    must_be_as(page, stats, "hour" if "hour" in query else "day")
    orphans = figures(section(page, "clicks"))["Visits that led to no link"]
    assert orphans == sum(point["visits"] for point in stats["orphans"]) == 1


def test_all_days_of_many_links(client: FlaskClient, api: Api) -> None:
    url = some_clicks(api)
    for query in ("", "tag=spring", f"user_id={url['user_id']}"):
        first = today() - timedelta(days=999)
        stats = api.get(f"/stats?{query}&from={first}")
        must_be_as(page_at(client, f"/overview?{query}&days=all"), stats, "day")


def test_the_ways_to_other_days_keep_the_rest(client: FlaskClient) -> None:
    page = page_at(client, "/overview?tag=a%26b&days=7")
    assert 'href="/overview?days=90&amp;tag=a%26b"' in page
    assert 'href="/overview?days=7&amp;tag=a%26b&amp;by=hour"' in page
    assert '<a href="/overview?days=7&amp;tag=a%26b" aria-current="true">7 days</a>' in page
    assert '<input type="hidden" name="days" value="7">' in page


@pytest.mark.parametrize(
    ("query", "field"), [("user_id=x", "user_id"), ("user_id=%3Cscript%3E&days=7", "user_id")]
)
def test_a_filter_that_is_refused_says_why_beside_its_field(
    client: FlaskClient, query: str, field: str
) -> None:
    page = page_at(client, f"/overview?{query}", 400)
    assert f'id="{field}-note">User id must be an integer<' in page
    assert "<script>" not in page


@pytest.mark.parametrize("query", ["days=8", "days=", "by=minute", "days=%3Cscript%3E"])
def test_other_days_and_points_are_refused(client: FlaskClient, api: Api, query: str) -> None:
    for path in ("/overview?", link_page(api.url())):
        assert "must be" in page_at(client, f"{path}{query}", 400)


def test_keys_see_the_statistics_of_their_links_only(
    client: FlaskClient, api: Api, given_with: Callable[..., None]
) -> None:
    url = some_clicks(api)
    foreign = api.user("grace")["id"]
    given_with(auth="on")
    for secret, people, sees_all in (
        (secret_of("read"), 6, True),
        (secret_of("read", user_id=url["user_id"]), 6, False),
        (secret_of("read", user_id=foreign), 0, False),
        (secret_of("create"), 0, False),
    ):
        answer = client.get("/overview?days=7", headers={**BROWSER, **bearer(secret)})
        shown = figures(section(answer.text, "clicks"))
        assert shown["People"] == people
        assert ("Visits that led to no link" in shown) == sees_all
    assert client.get("/overview", headers=BROWSER).status_code == 401


# ---- pages that take long ----


@pytest.mark.parametrize("query", ["tag=spring", "user_id=1", "tag=none"])
def test_what_is_known_at_once_is_sent_before_the_clicks_are_counted(
    client: FlaskClient, api: Api, query: str
) -> None:
    some_clicks(api)
    answer = client.get(f"/overview?{query}", headers=BROWSER, buffered=False)
    first, rest = (piece.decode() for piece in answer.iter_encoded())
    assert "are being counted" in first
    assert '<section class="card" aria-labelledby="clicks">' not in first
    assert '<section class="card" aria-labelledby="clicks">' in rest
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


def test_what_comes_later_is_for_the_caller_on_whichever_thread_it_is_made(
    app: Flask, api: Api, given_with: Callable[..., None]
) -> None:
    urls = [api.url(tags=["spring"], user_id=api.user(name)["id"]) for name in ("ada", "bob")]
    for url in urls:
        follow(api, url)
    given_with(auth="on")
    key = bearer(secret_of("read", user_id=urls[0]["user_id"]))
    answer = app.test_client().get("/overview?tag=spring", headers={**BROWSER, **key})
    pieces = answer.iter_encoded()
    first = next(pieces)
    with ThreadPoolExecutor(1) as pool:
        rest = pool.submit(b"".join, pieces).result()
    assert figures(section((first + rest).decode(), "clicks"))["People"] == 1


def test_a_database_that_goes_while_clicks_are_counted_is_told(bound: Any, tmp_path: Any) -> None:
    api = bound(database_url=f"sqlite:///{tmp_path}/gone.db", redis_url="")
    answer = api.client.get("/overview?tag=spring", headers=BROWSER)
    pieces = answer.iter_encoded()
    next(pieces)
    with sqlite3.connect(tmp_path / "gone.db") as broken:
        broken.execute("ALTER TABLE click_days RENAME TO elsewhere")
    assert b"The database does not answer" in b"".join(pieces)
