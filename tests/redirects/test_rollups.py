"""Roll-ups say what the events say, whichever way clicks came and went."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.database import db
from app.models import ClickDay, ClickHour, ClickJournal, ClickValue, Event, KeyValue, Url
from app.redirects import rollups
from app.redirects.claims import claim
from app.redirects.clicks import Click, Outcome, visitor
from app.redirects.counting import DIMENSIONS
from app.redirects.drain import drain
from app.redirects.recording import cancel
from app.redirects.rollups import ALL_LINKS, fold
from testkit.rollups import miscounted
from testkit.servers import Redis, wait_for
from tests.conftest import Api, Command

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/125.0.0.0 Safari/537.36"
)
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1"
)
AGENTS = (CHROME, PHONE, "Googlebot/2.1", "", "okhttp/4.9", "Firmware/1")


def check() -> None:
    """Roll-ups and counters say what the events say, before the journal is folded and after it."""
    drain.run()
    assert miscounted(_rows) == []
    fold()
    assert miscounted(_rows) == []
    assert ClickJournal.select().count() == 0


def _rows(sql: str) -> list[Any]:
    found: list[Any] = db.execute_sql(sql).fetchall()
    return found


def follow(api: Api, url: dict[str, Any], number: int) -> None:
    headers = {"User-Agent": AGENTS[number % len(AGENTS)]}
    headers |= {"Referer": f"https://site{number % 3}.example/page"} if number % 4 else {}
    assert api.client.get(f"/{url['short_code']}", headers=headers).status_code == 302


def mix(api: Api, holdfast: Command, tmp_path: Path) -> None:
    """Clicks come and go in every way that there is."""
    urls = [api.url(), api.url("https://example.com/?utm_source=mail"), api.url()]
    for number in range(30):
        follow(api, urls[number % 3], number)
    details: list[Any] = [{}, {"user_agent": CHROME}, {"user_agent": 5, "referrer": "x"}, None]
    made = [
        api.event("click", url_id=urls[number % 3]["id"], details=each)
        for number, each in enumerate(details)
    ]
    api.client.delete(f"/events/{made[1]['id']}")
    clicked = api.get("/events?type=clicked")
    for event in clicked[:7]:
        assert api.client.delete(f"/events/{event['id']}").status_code == 204
    file = tmp_path / "events.csv"
    rows = [f"{urls[0]['id']},clicked,2020-01-0{day} 10:00:00,{{}}" for day in range(1, 9)]
    rows += [f"{urls[1]['id']},shared,2020-01-01 10:00:00,{{}}", f'{urls[1]["id"]},redirect,,"[1"']
    file.write_text("\n".join(["url_id,event_type,timestamp,details", *rows]))
    assert holdfast("import", file).exit_code == 0


def test_roll_ups_are_those_of_the_events(api: Api, holdfast: Command, tmp_path: Path) -> None:
    mix(api, holdfast, tmp_path)
    check()
    assert {row.dimension for row in ClickValue.select()} == set(DIMENSIONS)
    assert ClickDay.select().where(ClickDay.day < rollups.first_hour() // 24).exists()


def test_clicks_that_are_stored_alone_are_folded_now_and_then(api: Api) -> None:
    url = api.url()
    with_click = {"url_id": url["id"], "event_type": "click"}
    for _ in range(150):
        assert api.client.post("/events", json=with_click).status_code == 201
    wait_for(lambda: ClickJournal.select().count() < 100, what="the fold")


@pytest.mark.services
def test_roll_ups_are_those_of_the_events_with_redis(
    shared: Api, holdfast: Command, redis_server: Redis, tmp_path: Path
) -> None:
    test_roll_ups_are_those_of_the_events(
        shared,
        lambda *arguments: holdfast(*arguments, redis_url=redis_server.url),
        tmp_path,
    )


def test_a_cancelled_click_leaves_the_roll_ups(api: Api) -> None:
    url = api.url()
    follow(api, url, 0)
    drain.run()
    event = Event.get(Event.event_type == "clicked")
    click = Click(
        url["short_code"],
        visitor("127.0.0.1", AGENTS[0], ""),
        ms=int(event.timestamp.replace(tzinfo=UTC).timestamp() * 1000),
        outcome=Outcome.UNKNOWN,
    )
    claim([click.id], timedelta(minutes=1))
    cancel(click)
    assert Event.select().where(Event.event_type == "clicked").count() == 0
    check()


def test_roll_ups_of_a_users_links_go_with_it(api: Api) -> None:
    user = api.user()
    mine, other = api.url(user_id=user["id"]), api.url()
    for url in (mine, mine, other):
        follow(api, url, 0)
    check()
    follow(api, mine, 1)  # is in the journal, or waits, when its link goes
    assert api.client.delete(f"/users/{user['id']}").status_code == 204
    fold()
    for table in (ClickHour, ClickValue):
        assert {row.url_id for row in table.select()} == {ALL_LINKS, other["id"]}
    of_all = sum(row.people for row in ClickHour.select().where(ClickHour.url_id == ALL_LINKS))
    assert of_all in (3, 4)  # a click that waited in Redis went with its link


def test_a_link_has_a_bounded_number_of_values(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "MOST_VALUES", 10)
    url = api.url()
    for number in range(25):
        api.client.get(f"/{url['short_code']}", headers={"User-Agent": f"App{number}/1"})
        if number == 12:
            check()
    check()
    browsers = ClickValue.select().where(
        (ClickValue.url_id == url["id"]) & (ClickValue.dimension == "browser")
    )
    assert len(browsers) == 11
    assert {row.value: row.people for row in browsers}["other"] == 15


def test_hours_are_kept_for_14_days_and_days_made_of_them(api: Api) -> None:
    kept = rollups.first_hour()
    for hour in (kept - 50, kept - 2, kept - 1, kept):
        ClickHour.create(url_id=1, hour=hour, people=1, robots=2)
    ClickDay.create(url_id=1, day=kept // 24 - 1, people=10, robots=0)
    rollups.compact()
    assert [row.hour for row in ClickHour.select()] == [kept]
    days = {row.day: (row.people, row.robots) for row in ClickDay.select()}
    assert days == {kept // 24 - 1: (12, 4), kept // 24 - 3: (1, 2)}
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    assert kept * 3600 == (today - timedelta(days=14)).timestamp()


def test_a_click_from_before_there_were_statistics_takes_nothing_away(api: Api) -> None:
    url = api.url()
    event = api.event("click", url_id=url["id"])
    for table in (ClickJournal, ClickHour, ClickValue):
        table.delete().execute()
    Url.update(people_count=0).execute()  # as the migration finds it
    KeyValue.create(name="uncounted", value=str(event["id"]))
    follow(api, url, 0)
    assert api.client.delete(f"/events/{event['id']}").status_code == 204
    stats = api.get(f"/urls/{url['id']}/stats")
    assert (stats["redirect_count"], stats["totals"]) == (1, {"people": 1, "robots": 0})
    check()
