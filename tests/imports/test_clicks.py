"""Imported clicks are counted as clicks of visitors are, whatever their details hold."""

from __future__ import annotations

import csv
import io
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.database import db, now
from app.imports import importing, visitors
from app.redirects.counting import line_of_event
from app.redirects.rollups import fold
from app.redirects.visitors import kind_of_details
from testkit.rollups import miscounted
from tests.conftest import Api

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
AGENTS = (FIREFOX, "Slackbot 1.0", "okhttp/4.9", "", 'a "quoted" one', "ünï", None, 7)
HEAD = '{"short_code": "a", "original_url": "https://example.com/%s", "ip": "192.0.2.%d", '
_ODD = (
    "",
    "{}",
    "[]",
    "not JSON",
    '{"user_agent": "Slackbot", "user_agent": "FIREFOX"}',
    '{"a": {"x": "1", "user_agent": "Slackbot"}}',
    '{"ip": "1", "user_agent": ["Slackbot"], "referrer": {"a": 1}}',
    '{"ip": "1", "private": true, "user_agent": "FIREFOX"}',
    '{"private": true, "short_code": "a", "ip": "1", "user_agent": "Slackbot"}',
    '{"robot": true, "ip": "1", "user_agent": "FIREFOX"}',
    '{"ip": "x\\", \\"user_agent\\": \\"Slackbot", "user_agent": "FIREFOX"}',
    '{"short_code": "a", "short_code": "b", "ip": "", "purpose": "prefetch"}',
    '{"original_url": "https://e.com/?utm_source=news", "ip": "1", "user_agent": "okhttp"}',
    '{"ip": "1", "user_agent": "okhttp", "original_url": "https://e.com/?utm_source=later"}',
    '{"ip": "1", "campaign": "spring", "referrer": "https://Example.org:8/?a"}',
    ' {"ip": "1", "user_agent": "Slackbot"}',
    '{"ip": "1","user_agent":"Slackbot"}',
    '{"user_agent": "\\u0053lackbot"}',
    '{"user_agent": "x", "more": "%s"}' % ("y" * 4000),
    '{"user_agent": "a\\ud800b"}',
    '{"raw": "%s"}' % ("{" * 50),
)
ODD_DETAILS = tuple(text.replace("FIREFOX", FIREFOX) for text in _ODD)


@pytest.fixture
def load(api: Api, tmp_path: Path) -> Any:
    def write_and_load(*contents: str) -> None:
        for content in contents:
            (tmp_path / "file").write_text(content, newline="")
            importing.load([str(tmp_path / "file")])

    return write_and_load


def _details(dice: random.Random) -> str:
    if dice.random() < 0.3:
        return dice.choice(ODD_DETAILS)
    target = dice.choice(("", "a?utm_source=mail", "%22"))
    agent = json.dumps(dice.choice(AGENTS), ensure_ascii=dice.random() < 0.5)
    referrer = dice.choice(("", "https://news.example/a", "android-app://x", "no host"))
    more = dice.choice(("", ', "purpose": "preview"', ', "campaign": "c"'))
    head = HEAD % (target, dice.randrange(255))
    return f'{head}"user_agent": {agent}, "referrer": "{referrer}"{more}}}'


def _events(count: int, links: int) -> str:
    dice, today, file = random.Random(7), now(), io.StringIO()
    rows = csv.writer(file)
    rows.writerow(["id", "url_id", "event_type", "timestamp", "details"])
    for n in range(1, count + 1):
        age = timedelta(hours=dice.choice((0, 1, 30, 14 * 24 - 5, 14 * 24 + 5, 20_000, 600_000)))
        kind = dice.choice(("clicked", "clicked", "click", "redirect", "created"))
        link = dice.choice((*range(1, links + 1), ""))
        rows.writerow([n, link, kind, today - age, _details(dice)])
    return file.getvalue()


def _links(count: int, counted: Sequence[int] = ()) -> str:
    rows = (
        f"{n},c{n},https://example.com/,{counted[n - 1] if counted else 0},0,0\n"
        for n in range(1, count + 1)
    )
    return "id,short_code,original_url,click_count,people_count,robot_count\n" + "".join(rows)


def rows_of(sql: str) -> Iterator[Any]:
    return iter(db.execute_sql(sql).fetchall())


def test_roll_ups_say_what_the_events_say(load: Any) -> None:
    load(_links(5), _events(3000, 5))
    assert miscounted(lambda sql: list(rows_of(sql))) == []
    fold()
    assert miscounted(lambda sql: list(rows_of(sql))) == []
    assert next(rows_of("SELECT min(people_count), min(robot_count) FROM urls"))[0] > 100


def test_the_first_clicks_of_each_link_are_those_that_its_count_has(load: Any) -> None:
    counted = [0, 1, 50, 400, 5000]
    load(_links(5, counted), _events(3000, 5))
    people, robots, left = Counter[int](), Counter[int](), dict(enumerate(counted, 1))
    for url_id, moment, details in rows_of(
        "SELECT url_id, timestamp, details FROM events WHERE url_id > 0 "
        "AND event_type IN ('clicked', 'click', 'redirect') ORDER BY id"
    ):
        if left[url_id]:
            left[url_id] -= 1
        else:
            (robots if line_of_event(url_id, moment, details)[2].robot else people)[url_id] += 1
    shown = rows_of("SELECT id, people_count, robot_count FROM urls ORDER BY id")
    assert list(shown) == [(n, people[n], robots[n]) for n in range(1, 6)]
    rest = rows_of("SELECT url_id, clicks FROM imported_counts WHERE clicks > 0 ORDER BY url_id")
    assert list(rest) == [(n, clicks) for n, clicks in left.items() if clicks]


def test_a_journal_row_has_no_more_than_some_thousand_lines(load: Any) -> None:
    moments = (now() - timedelta(hours=n % 330) for n in range(12_000))
    rows = (f"{n % 50 + 1},clicked,{moment},\n" for n, moment in enumerate(moments))
    load(_links(50), "url_id,event_type,timestamp,details\n" + "".join(rows))
    entries = [json.loads(entry)[1] for (entry,) in rows_of("SELECT entry FROM click_journal")]
    assert sum(map(len, entries)) > 1600
    assert max(map(len, entries)) <= 5000
    assert miscounted(lambda sql: list(rows_of(sql))) == []


@pytest.mark.parametrize("details", ODD_DETAILS)
def test_details_are_read_as_those_of_any_click(details: str) -> None:
    (counted,) = visitors.counted_as(["clicked"], [details])
    assert json.loads(counted or "") == list(kind_of_details(details))
    assert visitors.counted_as(["created"], [details]) == [None]
