"""The sample data: always the same, clean, consistent, and loaded exactly once."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from app.config import Settings
from app.database import db
from app.imports import seeding
from app.models import Product
from app.schemas import RESERVED
from testkit.servers import HANGS_SECONDS
from tests.conftest import Api
from tests.imports.uploads import counts, fresh_database, tables

ROOT = Path(__file__).parents[2]
SEED = ROOT / "seed_data"


def _rows(name: str) -> list[dict[str, str]]:
    with (SEED / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_generator_writes_the_same_bytes_again(tmp_path: Path) -> None:
    subprocess.run([sys.executable, SEED / "generate.py", tmp_path], check=True, env={})
    for name in ("users", "urls", "events", "products"):
        assert (tmp_path / f"{name}.csv").read_bytes() == (SEED / f"{name}.csv").read_bytes()


def test_there_are_as_many_rows_of_each_sort_as_promised() -> None:
    assert [len(_rows(name)) for name in ("users", "urls", "events", "products")] == [
        400,
        2000,
        3422,
        15,
    ]
    assert Counter(url["is_active"] for url in _rows("urls")) == {"True": 1640, "False": 360}
    assert Counter(event["event_type"] for event in _rows("events")) == {
        "created": 2000,
        "updated": 1206,
        "deleted": 216,
    }


def test_the_columns_are_the_documented_ones() -> None:
    assert {name: ",".join(_rows(name)[0]) for name in ("users", "urls", "events", "products")} == {
        "users": "id,username,email,created_at",
        "urls": "id,user_id,short_code,original_url,title,is_active,created_at,updated_at",
        "events": "id,url_id,user_id,event_type,timestamp,details",
        "products": "id,name,category,price,stock",
    }


@pytest.mark.parametrize(
    ("name", "column"),
    [("users", "username"), ("users", "email"), ("urls", "short_code"), ("products", "name")],
)
def test_what_must_be_unique_is(name: str, column: str) -> None:
    values = [row[column].lower() if column == "email" else row[column] for row in _rows(name)]
    assert len(set(values)) == len(values)
    assert [row["id"] for row in _rows(name)] == [str(n) for n in range(1, len(values) + 1)]


def test_codes_have_six_characters_and_are_no_routes() -> None:
    codes = [url["short_code"] for url in _rows("urls")]
    assert all(len(code) == 6 and code.isalnum() and code.isascii() for code in codes)
    assert not {code.lower() for code in codes} & RESERVED


def test_events_tell_the_story_of_the_links_as_they_are() -> None:
    users = {user["id"]: user for user in _rows("users")}
    urls = {url["id"]: url | {"events": []} for url in _rows("urls")}
    assert all(a["timestamp"] <= b["timestamp"] for a, b in pairwise(_rows("events")))
    for event in _rows("events"):
        urls[event["url_id"]]["events"].append(event)  # type: ignore[attr-defined]
    for url in urls.values():
        events: Any = url["events"]
        assert users[url["user_id"]]["created_at"] <= url["created_at"] == events[0]["timestamp"]
        assert url["updated_at"] == events[-1]["timestamp"]
        assert {event["user_id"] for event in events} == {url["user_id"]}
        assert {"title": url["title"], **_replayed(events)} == {
            name: url[name] for name in ("short_code", "original_url", "is_active", "title")
        }


def _replayed(events: list[dict[str, str]]) -> dict[str, Any]:
    link: dict[str, Any] = {"is_active": "True"}
    for number, event in enumerate(events):
        details = json.loads(event["details"])
        assert (event["event_type"] == "created") == (number == 0)
        if event["event_type"] == "created":
            link |= details
        elif event["event_type"] == "updated":
            assert set(details) == {"field", "new_value"}
            assert link.get(details["field"]) != details["new_value"]
            link[details["field"]] = (
                details["new_value"]
                if details["field"] != "is_active"
                else str(details["new_value"])
            )
        else:
            assert set(details) == {"reason"}
            link["is_active"] = "False"
    return link


def test_an_empty_database_is_seeded_once(api: Api) -> None:
    assert seeding.seed_once() is True
    before = tables()
    assert counts() == {"users": 400, "urls": 2000, "events": 3422, "products": 15}
    assert seeding.seed_once() is False
    assert tables() == before
    assert api.user("zoe")["id"] > 400


def test_what_was_seeded_and_deleted_does_not_come_back(api: Api) -> None:
    seeding.seed_once()
    for table in reversed(counts()):
        db.execute_sql(f"DELETE FROM {table} WHERE 1 = 1")
    assert seeding.seed_once() is False


def test_a_database_with_a_row_in_it_is_not_seeded(api: Api) -> None:
    Product.create(name="Mug", category="kitchen", price=1, stock=1)
    assert seeding.seed_once() is False
    assert counts()["users"] == 0


def test_a_seed_that_cannot_be_read_leaves_nothing_behind(api: Api, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes((SEED / "users.csv").read_bytes())
    (tmp_path / "b.csv").write_bytes(b"\x00")
    with pytest.raises(Exception, match="is not a CSV file"):
        seeding.seed_once(tmp_path)
    assert counts()["users"] == 0
    assert seeding.seed_once() is True


_START = "from app import create_app; create_app()"


def test_however_many_processes_start_together_the_sample_data_is_loaded_once(
    settings: Settings, tmp_path: Path
) -> None:
    with fresh_database(settings, tmp_path) as url:
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": url,
            "AUTO_SEED": "true",
            "LOG_FILE": str(tmp_path / "log"),
            "PYTHONPATH": str(ROOT),
        }
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", _START],
                env=environment,
                cwd=tmp_path,
                stdout=subprocess.DEVNULL,
            )
            for _ in range(5)
        ]
        assert [process.wait(5 * HANGS_SECONDS) for process in processes] == [0] * 5
        assert _counted(url) == [400, 2000, 3422, 15]


def _counted(url: str) -> list[int]:
    if url.startswith("sqlite"):
        connection: Any = sqlite3.connect(url.removeprefix("sqlite:///"))
    else:
        connection = psycopg2.connect(url.replace("+pool", ""))
    with closing(connection):
        cursor = connection.cursor()
        result = []
        for table in ("users", "urls", "events", "products"):
            cursor.execute(f"SELECT count(*) FROM {table}")
            result.append(cursor.fetchone()[0])
        return result
