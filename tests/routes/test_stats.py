"""GET /urls/<id>/stats and GET /stats: honest numbers, without holes, in any time zone."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient

from app.models import Event, UrlTag
from app.redirects import rollups
from app.redirects.counting import Lines, count, line_of_event
from tests.answers import check
from tests.conftest import Api

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/125.0.0.0 Safari/537.36"
)


def follow(api: Api, url: dict[str, Any], agent: str = CHROME, **headers: str) -> None:
    response = api.client.get(f"/{url['short_code']}", headers={"User-Agent": agent, **headers})
    assert response.status_code == 302


def click_at(url: dict[str, Any], moment: datetime, clicks: int = 1) -> None:
    """Clicks of a moment in the past, counted like others."""
    details = f'{{"user_agent": "{CHROME}"}}'
    timestamp = moment.astimezone(UTC).replace(tzinfo=None)
    for _ in range(clicks):
        Event.create(url=url["id"], event_type="clicked", timestamp=timestamp, details=details)
    count(Lines({line_of_event(url["id"], timestamp, details): clicks}))
    Event.select().count()  # the journal goes with the next statement


def shown(stats: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """The points of a series that have clicks."""
    return {
        point["date"]: (point["people"], point["robots"])
        for point in stats["series"]
        if point["people"] or point["robots"]
    }


def today(zone: str = "UTC") -> date:
    return datetime.now(ZoneInfo(zone)).date()


def test_people_and_robots_are_counted_apart(api: Api) -> None:
    url = api.url("https://example.com/?utm_source=mail")
    follow(api, url)
    follow(api, url, Referer="https://news.example/a")
    follow(api, url, "Googlebot/2.1")
    stats = api.get(f"/urls/{url['id']}/stats")
    assert stats["redirect_count"] == stats["url"]["click_count"] == 3
    assert stats["totals"] == {"people": 2, "robots": 1}
    assert shown(stats) == {str(today()): (2, 1)}
    assert stats["referrers"] == [
        {"value": "direct", "people": 1, "robots": 1},
        {"value": "news.example", "people": 1, "robots": 0},
    ]
    assert stats["browsers"] == [
        {"value": "Chrome", "people": 2, "robots": 0},
        {"value": "Googlebot", "people": 0, "robots": 1},
    ]
    assert [each["value"] for each in stats["systems"]] == ["Windows", "other"]
    assert [each["value"] for each in stats["devices"]] == ["PC", "other"]
    assert stats["campaigns"] == [{"value": "mail", "people": 2, "robots": 1}]


def test_a_deleted_click_is_in_no_number(api: Api) -> None:
    url = api.url()
    follow(api, url)
    event = api.get("/events?type=clicked")[0]
    api.client.delete(f"/events/{event['id']}")
    for path in (f"/urls/{url['id']}/stats", "/stats"):
        stats = api.get(path)
        assert (stats["totals"], shown(stats)) == ({"people": 0, "robots": 0}, {})
        assert stats["browsers"] == stats["referrers"] == []


def test_a_series_has_every_day_from_the_first_to_the_last(api: Api) -> None:
    url = api.url()
    whole = api.get(f"/urls/{url['id']}/stats")["series"]
    days = [str(today() - timedelta(days=ago)) for ago in range(29, -1, -1)]
    assert [point["date"] for point in whole] == days
    some = api.get(f"/urls/{url['id']}/stats?from=2024-02-27&to=2024-03-01")["series"]
    assert [point["date"] for point in some] == [
        "2024-02-27",
        "2024-02-28",
        "2024-02-29",
        "2024-03-01",
    ]


def test_only_the_days_asked_for_are_counted(api: Api) -> None:
    url = api.url()
    for day in (1, 2, 2, 3):
        click_at(url, datetime(2024, 5, day, 23, 59, 59, tzinfo=UTC))
    stats = api.get(f"/urls/{url['id']}/stats?from=2024-05-02&to=2024-05-02")
    assert stats["totals"] == {"people": 2, "robots": 0}
    assert stats["redirect_count"] == 4


def test_a_series_by_hour_has_every_hour_with_its_offset(api: Api) -> None:
    url = api.url()
    follow(api, url)
    day = today("Asia/Kolkata")
    stats = api.get(f"/urls/{url['id']}/stats?by=hour&tz=Asia/Kolkata&from={day}&to={day}")
    assert len(stats["series"]) == 24
    assert stats["series"][0]["date"] == f"{day}T00:30:00+05:30"
    if datetime.now(ZoneInfo("Asia/Kolkata")).hour:
        assert list(shown(stats).values()) == [(1, 0)]
    assert len(api.get(f"/urls/{url['id']}/stats?by=hour")["series"]) == 7 * 24


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo", "Pacific/Kiritimati"])
def test_days_are_those_of_the_zone_while_hours_are_kept(api: Api, zone: str) -> None:
    url = api.url()
    midnight = datetime.combine(today(zone) - timedelta(days=3), datetime.min.time())
    midnight = midnight.replace(tzinfo=ZoneInfo(zone))
    click_at(url, midnight - timedelta(seconds=1))
    click_at(url, midnight, 2)
    stats = api.get(f"/urls/{url['id']}/stats?tz={zone}")
    before = midnight.date() - timedelta(days=1)
    assert shown(stats) == {str(before): (1, 0), str(midnight.date()): (2, 0)}


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_each_click_is_in_one_day_where_the_kept_hours_begin(api: Api, zone: str) -> None:
    url = api.url()
    first = datetime.fromtimestamp(rollups.first_hour() * 3600, UTC)
    for hours in range(-30, 30):
        click_at(url, first + timedelta(hours=hours))
    stats = api.get(f"/urls/{url['id']}/stats?tz={zone}")
    assert stats["totals"] == {"people": 60, "robots": 0}
    old = str((first - timedelta(days=2)).date())
    assert shown(stats)[old] == (6, 0)


def test_the_hour_that_comes_twice_is_shown_twice(
    monkeypatch: pytest.MonkeyPatch, api: Api
) -> None:
    """Summer time ended in Berlin on 26 October 2025 at 3:00."""
    moment = datetime(2025, 10, 27, 12, tzinfo=UTC).timestamp()
    monkeypatch.setattr(time, "time", lambda: moment)
    url = api.url()
    click_at(url, datetime(2025, 10, 26, 0, 30, tzinfo=UTC))
    click_at(url, datetime(2025, 10, 26, 1, 30, tzinfo=UTC), 2)
    query = "by=hour&tz=Europe/Berlin&from=2025-10-26&to=2025-10-26"
    stats = api.get(f"/urls/{url['id']}/stats?{query}")
    assert len(stats["series"]) == 25
    assert shown(stats) == {
        "2025-10-26T02:00:00+02:00": (1, 0),
        "2025-10-26T02:00:00+01:00": (2, 0),
    }


BAD = {
    "from=yesterday": "from",
    "from=2026-13-01": "from",
    "from=2026-02-30": "from",
    "from=20260101": "from",
    "from=0001-01-01": "from",
    "to=9999-12-31": "to",
    "to=": "to",
    "tz=Mars/Olympus": "tz",
    "tz=": "tz",
    "tz=../etc/passwd": "tz",
    "tz=%2Fetc%2Flocaltime": "tz",
    "tz=America": "tz",
    "tz=utc%00": "tz",
    "by=minute": "by",
    "from=2026-01-02&to=2026-01-01": "from",
    "from=2020-01-01&to=2026-01-01": "from",
    "by=hour&from=2020-01-01&to=2020-01-02": "from",
    "by=hour&to=2020-01-02": "from",
}


@pytest.mark.parametrize("path", ["/stats", "/urls/{}/stats"])
@pytest.mark.parametrize(("query", "name"), BAD.items(), ids=BAD)
def test_a_bad_range_or_zone_is_refused_by_name(
    client: FlaskClient, api: Api, path: str, query: str, name: str
) -> None:
    response = check(client.get(f"{path.format(api.url()['id'])}?{query}"), 400)
    assert list(response.get_json()["errors"]) == [name]


def test_at_most_1000_points_are_shown(api: Api) -> None:
    assert len(api.get("/stats?from=2020-01-01&to=2022-09-26")["series"]) == 1000
    check(api.client.get("/stats?from=2020-01-01&to=2022-09-27"), 400)


def test_the_last_day_that_there_can_be_is_answered(api: Api) -> None:
    for zone in ("UTC", "Pacific/Kiritimati", "Pacific/Niue"):
        for day in ("1970-01-01", "2999-12-31"):
            assert api.get(f"/stats?from={day}&to={day}&tz={zone}")["totals"]["people"] == 0


def test_all_links_are_counted_together_and_by_user_and_by_tag(api: Api) -> None:
    ada, grace = api.user("ada"), api.user("grace")
    mine, other = api.url(user_id=ada["id"]), api.url(user_id=grace["id"])
    UrlTag.create(url=other["id"], tag="spring")
    for url in (mine, mine, other):
        follow(api, url)
    follow(api, other, "Googlebot/2.1")
    api.client.delete(f"/urls/{mine['id']}")

    def totals(query: str) -> tuple[int, int]:
        stats = api.get(f"/stats?{query}")
        people = sum(each["people"] for each in stats["browsers"])
        assert people == stats["totals"]["people"]
        return people, stats["totals"]["robots"]

    assert totals("") == (3, 1)
    assert totals(f"user_id={ada['id']}") == (2, 0)
    assert totals("tag=spring") == totals(f"tag=spring&user_id={grace['id']}") == (1, 1)
    assert totals(f"tag=spring&user_id={ada['id']}") == (0, 0)
    assert totals("tag=none") == totals("tag=%00") == totals(f"user_id={2**70}") == (0, 0)
    check(api.client.get("/stats?user_id=x"), 400)


def test_only_the_20_values_that_most_people_had_are_shown(api: Api) -> None:
    url = api.url()
    for number in range(25):
        for _ in range(2 if number == 24 else 1):
            follow(api, url, f"App{number:02}/1")
    browsers = api.get(f"/urls/{url['id']}/stats")["browsers"]
    assert len(browsers) == 20
    assert browsers[0] == {"value": "App24", "people": 2, "robots": 0}
    assert browsers[1]["value"] == "App00"


def test_visits_that_lead_nowhere_are_orphans(api: Api) -> None:
    url = api.url()
    api.client.delete(f"/urls/{url['id']}")
    for code in ("nosuch", "nosuch", url["short_code"]):
        check(api.client.get(f"/{code}"), 404)
    check(api.client.head("/nosuch"), 404)
    check(api.client.get("/no.code"), 404)
    stats = api.get("/stats")
    assert {each["date"]: each["visits"] for each in stats["orphans"]}[str(today())] == 3
    assert len(stats["orphans"]) == len(stats["series"])
    assert stats["totals"] == {"people": 0, "robots": 0}


def test_orphans_are_noted_without_anybody_asking(api: Api) -> None:
    for _ in range(50):
        check(api.client.get("/nosuch"), 404)
    deadline = time.monotonic() + 20
    while rollups.fold() == 0 and time.monotonic() < deadline:
        time.sleep(0.1)
    visits = {each["date"]: each["visits"] for each in api.get("/stats")["orphans"]}
    assert visits[str(today())] == 50


def test_an_unknown_link_has_no_statistics(client: FlaskClient) -> None:
    check(client.get("/urls/99/stats"), 404)
    check(client.get(f"/urls/{2**64}/stats"), 404)
