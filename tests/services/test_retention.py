"""Old click events are removed in batches; counters, statistics and other events stay."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from peewee import fn

from app.database import db, now
from app.models import ClickDay, ClickHour, ClickValue, Event, KeyValue, Url
from app.redirects.drain import drain
from app.redirects.rollups import fold
from app.services.retention import BATCH, retention
from testkit.servers import ROOT, Postgres, Redis, wait_for
from testkit.webserver import WebServer
from tests.conftest import Api

DAYS = 30


def keep(url: dict[str, Any], days_ago: int, number: int = 1, event_type: str = "clicked") -> None:
    """Events of a link, as an import may bring them: in any order."""
    at = now() - timedelta(days=days_ago)
    row = {"url": url["id"], "event_type": event_type, "timestamp": at, "details": "{}"}
    Event.insert_many([row] * number).execute()


def run_pass() -> int:
    """All batches of a pass, without the pauses; how many there were."""
    for batches in range(1, 100):
        KeyValue.update(
            value=fn.REPLACE(KeyValue.value, '"not_before": 1', '"not_before": -1')
        ).where(KeyValue.name == "retention").execute()
        retention.step()
        if json.loads(KeyValue.get(KeyValue.name == "retention").value)["ended"]:
            return batches
    raise AssertionError("it does not end")


def counted() -> list[list[tuple[Any, ...]]]:
    """All counters and statistics."""
    drain.run()
    fold()
    counters = Url.select(Url.id, Url.click_count, Url.people_count, Url.robot_count)
    tables = [table.select() for table in (ClickDay, ClickHour, ClickValue)]
    return [sorted(rows.tuples()) for rows in (counters, *tables)]


@pytest.fixture
def keeping(bound: Callable[..., Api]) -> Api:
    return bound(event_retention_days=DAYS)


def test_clicks_older_than_the_setting_go_and_their_counters_stay(keeping: Api) -> None:
    url = keeping.url()
    keeping.follow(url, 3)
    drain.run()
    counts = counted()
    Event.update(timestamp=now() - timedelta(days=DAYS, seconds=60)).where(
        Event.event_type == "clicked"
    ).execute()
    keep(url, DAYS - 1, event_type="click")
    for event_type in ("clicked", "click", "redirect", "shared"):
        keep(url, DAYS + 1, event_type=event_type)
    Event.update(timestamp=now() - timedelta(days=400)).where(
        Event.event_type == "created"
    ).execute()
    run_pass()
    left = [event["event_type"] for event in keeping.get("/events")]
    assert left == ["shared", "click", "created"]
    assert keeping.get(f"/urls/{url['id']}")["click_count"] == 3
    assert counted() == counts


def test_batches_are_small_and_each_click_is_looked_at(keeping: Api) -> None:
    url = keeping.url()
    for _ in range(2):
        keep(url, 1, BATCH - 7)
        keep(url, 100, BATCH + 7)
    before = Event.select().count()
    retention.step()
    assert before - Event.select().count() <= BATCH
    assert run_pass() >= 4
    assert Event.select().where(Event.event_type == "clicked").count() == 2 * (BATCH - 7)


def test_processes_share_one_pace_and_one_pass_a_day(keeping: Api) -> None:
    url = keeping.url()
    keep(url, 100, 3 * BATCH)
    first = retention.step()
    assert 0 < retention.step() <= first
    assert Event.select().where(Event.event_type == "clicked").count() == 2 * BATCH
    run_pass()
    keep(url, 100)
    run_pass()
    assert Event.select().where(Event.event_type == "clicked").count() == 1
    retention.bind(DAYS + 1)  # another setting is another pass
    run_pass()
    assert Event.select().where(Event.event_type == "clicked").count() == 0


def test_without_the_setting_nothing_goes(api: Api) -> None:
    url = api.url()
    keep(url, 10_000)
    assert retention.step() > 10
    assert Event.select().where(Event.event_type == "clicked").count() == 1
    assert KeyValue.get_or_none(KeyValue.name == "retention") is None


def test_a_clock_that_was_set_back_does_not_stop_it(keeping: Api) -> None:
    retention.step()
    state = KeyValue.get(KeyValue.name == "retention")
    state.value = state.value.replace('"not_before": ', '"not_before": 9')
    state.save()
    keep(keeping.url(), 100)
    run_pass()
    with db.atomic():
        assert "9999" not in KeyValue.get(KeyValue.name == "retention").value


@pytest.mark.services
def test_a_server_without_redis_removes_them_by_itself(tmp_path: Path) -> None:
    with WebServer(tmp_path) as server:
        made = server.get("/urls", "POST", body={"original_url": "https://example.com/"}).json()
        for _ in range(3):
            server.get(f"/{made['short_code']}")
    with closing(sqlite3.connect(tmp_path / "holdfast.db")) as rows, rows:
        rows.execute("UPDATE events SET timestamp = '2020-01-01 10:00:00'")
    with WebServer(tmp_path, EVENT_RETENTION_DAYS="1") as server:
        assert server.get(f"/{made['short_code']}").status == 302
        wait_for(lambda: len(server.get("/events").json()) == 2, what="the end of old clicks")
        assert server.get(f"/urls/{made['id']}").json()["click_count"] == 4


@pytest.mark.services
def test_the_worker_removes_them_beside_redis(
    tmp_path: Path, bound: Callable[..., Api], redis_server: Redis, postgres_server: Postgres
) -> None:
    urls = {"database_url": postgres_server.url, "redis_url": redis_server.url}
    api = bound(**urls)
    url = api.url()
    keep(url, 100, 2 * BATCH)
    given = {name.upper(): value for name, value in urls.items()}
    command = [sys.executable, "-m", "app", "worker"]
    environment = {**os.environ, **given, "EVENT_RETENTION_DAYS": "1", "LOG_FILE": ""}
    with subprocess.Popen(command, env=environment, cwd=ROOT) as worker:
        try:
            wait_for(lambda: len(api.get("/events")) == 1, what="the end of old clicks")
        finally:
            worker.terminate()
    assert worker.returncode == 0
