"""Statistics on pages: the numbers are the API's, for the days that the address asks for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.pages import charts
from tests.conftest import Api
from tests.pages.reading import figures, page_at, section, shares, table
from tests.routes.test_stats import click_at, follow, today


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


@pytest.mark.parametrize("by", ["day", "hour"])
@pytest.mark.parametrize("days", ["7", "30", "90"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
def test_the_numbers_of_a_link_are_the_apis(
    client: FlaskClient, api: Api, days: str, by: str, zone: str
) -> None:
    url = some_clicks(api)
    client.set_cookie("tz", zone)
    page = page_at(client, f"/urls/{url['id']}/view?days={days}&by={by}")
    first = today(zone) - timedelta(days=int(days) - 1)
    if by == "hour" and days != "7":
        assert "Hours are kept for 14 days." in page
        first = today(zone) - timedelta(days=13)
        if zone == "America/New_York" or "14 days" in page:
            first = _first_whole_day(zone)
    stats = api.get(f"/urls/{url['id']}/stats?from={first}&by={by}&tz={zone}")
    must_be_as(page, stats, by)


def _first_whole_day(zone: str) -> Any:
    """The first day whose hours the API still has all."""
    for ago in (15, 14, 13):
        day = today(zone) - timedelta(days=ago)
        if _answers(f"/stats?from={day}&by=hour&tz={zone}"):
            return day
    raise AssertionError(zone)
