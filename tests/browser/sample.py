"""Sample data: a few links with a month of clicks, always the same before a given midnight."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple


class Link(NamedTuple):
    code: str
    title: str
    tags: str
    destination: str
    a_day: int
    state: str = ""


LINKS = (
    Link("casino", "", "", "casino.example/win", 0),
    Link("poster", "Poster at the station", "", "shop.example.com/poster", 0, "spent"),
    Link("prices", "Old price list", "shop", "shop.example.com/prices", 1, "off"),
    Link("june", "Offer of a day", "shop", "shop.example.com/offers/day", 0, "expired"),
    Link("news", "Newsletter, every month", "news", "news.example.com/latest", 4),
    Link("map", "The way to our office", "", "maps.example.net/@52.52,13.405,17z", 2),
    Link("jobs", "Site reliability engineer", "jobs", "jobs.example.com/sre?from=poster", 3),
    Link("router", "How to reset the router", "support", "support.example.com/router/reset", 7),
    Link("slides", "Counting clicks, the slides", "talk", "talks.example.org/counting-clicks", 5),
    Link("autumn", "Autumn catalogue", "shop, autumn", "shop.example.com/catalogue/autumn", 9),
)
CODES = [link.code for link in LINKS]
BANNED_HOST = "casino.example"

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/137.0.0.0 Safari/537.36"
)
_AGENTS = (
    CHROME,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
    CHROME,
    "Mozilla/5.0 (X11; Linux x86_64; rv:139.0) Gecko/20100101 Firefox/139.0",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:139.0) Gecko/20100101 Firefox/139.0",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
)
_REFERRERS = ("https://search.example/", "", "https://social.example/post/7", "", "")
_CAMPAIGNS = ("", "newsletter", "", "", "poster", "")
DAYS = 40


def write(folder: Path, midnight: datetime) -> list[str]:
    """Writes what `holdfast import` reads; returns the names of the files."""
    _write(folder / "users.csv", [{"id": 1, "username": "ada", "email": "ada@example.com"}])
    _write(
        folder / "urls.csv", (_row(number, link, midnight) for number, link in enumerate(LINKS, 1))
    )
    _write(folder / "events.csv", _events(midnight))
    return [str(folder / name) for name in ("users.csv", "urls.csv", "events.csv")]


def _write(path: Path, rows: Iterable[dict[str, object]]) -> None:
    kept = list(rows)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(kept[0]))
        writer.writeheader()
        writer.writerows(kept)


def _row(number: int, link: Link, midnight: datetime) -> dict[str, object]:
    made = midnight - timedelta(days=DAYS + 1, minutes=7 * number)
    return {
        "id": number,
        "user_id": 1,
        "short_code": link.code,
        "original_url": f"https://{link.destination}",
        "title": link.title,
        "is_active": link.state != "off",
        "created_at": f"{made:%F %T}",
        "updated_at": f"{made:%F %T}",
        "expires_at": f"{midnight - timedelta(days=2):%F %T}" if link.state == "expired" else "",
        "max_clicks": 1 if link.state == "spent" else "",
        "tags": json.dumps([tag.strip() for tag in link.tags.split(",") if tag.strip()]),
    }


def _events(midnight: datetime) -> Iterator[dict[str, object]]:
    """Clicks, the oldest first; fewer at weekends."""
    serial = 0
    for age in range(DAYS, 0, -1):
        for number, link in enumerate(LINKS, 1):
            busy = 1 + (age * 7 + number * 5) % 6 - 2 * ((age + 1) % 7 < 2)
            for turn in range(link.a_day * max(busy, 0) // 4):
                at = midnight - timedelta(days=age) + timedelta(minutes=420 + turn * 97 % 840)
                serial += 1
                yield _click(serial, number, link, at)


def _click(serial: int, number: int, link: Link, at: datetime) -> dict[str, object]:
    campaign = _CAMPAIGNS[serial % len(_CAMPAIGNS)]
    details = {
        "short_code": link.code,
        "original_url": f"https://{link.destination}",
        "ip": f"203.0.113.{serial % 200}",
        "user_agent": _AGENTS[serial % len(_AGENTS)],
        "referrer": _REFERRERS[serial % len(_REFERRERS)],
        **({"campaign": campaign} if campaign else {}),
    }
    return {
        "url_id": number,
        "user_id": 1,
        "event_type": "clicked",
        "timestamp": f"{at:%F %T}",
        "details": json.dumps(details),
    }
