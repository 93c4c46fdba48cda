"""Roll-ups say what the events say, whichever way clicks came and went."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from app.models import CLICK_TYPES, ClickDay, ClickHour, ClickJournal, ClickValue, Event, Url
from app.redirects import rollups
from app.redirects.counting import DIMENSIONS, NO_LINK, line_of_event
from app.redirects.drain import drain
from app.redirects.rollups import ALL_LINKS, fold
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


def counted() -> dict[str, Counter[tuple[Any, ...]]]:
    """What the tables hold, by table."""
    drain.run()
    fold()
    found: dict[str, Counter[tuple[Any, ...]]] = {"days": Counter(), "hours": Counter()}
    found |= {"values": Counter(), "links": Counter()}
    for name, table, keys in (
        ("days", ClickDay, ("url_id", "day")),
        ("hours", ClickHour, ("url_id", "hour")),
        ("values", ClickValue, ("url_id", "dimension", "value")),
    ):
        for row in table.select().where(table.url_id != NO_LINK).dicts():
            key = tuple(row[part] for part in keys)
            found[name] += Counter(
                {(*key, "people"): row["people"], (*key, "robots"): row["robots"]}
            )
    for url in Url.select():
        found["links"][url.id, "people"] = url.people_count
        found["links"][url.id, "robots"] = url.robot_count
        assert url.click_count == url.people_count + url.robot_count
    return {name: +counts for name, counts in found.items()}


def told_by_events() -> dict[str, Counter[tuple[Any, ...]]]:
    """The same, counted from the events."""
    found: dict[str, Counter[tuple[Any, ...]]] = {"days": Counter(), "hours": Counter()}
    found |= {"values": Counter(), "links": Counter()}
    clicks = (Event.event_type.in_(CLICK_TYPES)) & Event.url.is_null(False)
    for event in Event.select().where(clicks):
        url_id, hour, kind = line_of_event(event.url_id, event.timestamp, event.details)
        who = "robots" if kind.robot else "people"
        found["links"][url_id, who] += 1
        for counted_for in (url_id, ALL_LINKS):
            found["days"][counted_for, hour // 24, who] += 1
            found["hours"][counted_for, hour, who] += 1
            for dimension, value in zip(DIMENSIONS, kind[1:], strict=True):
                found["values"][counted_for, dimension, value, who] += bool(value)
    return {name: +counts for name, counts in found.items()}


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
    counts, told = counted(), told_by_events()
    old = {key for key in told["hours"] if key[1] < rollups.first_hour()}
    assert old
    told["hours"] -= Counter({key: told["hours"][key] for key in old})
    assert counts == told
    assert ClickJournal.select().count() == 0
