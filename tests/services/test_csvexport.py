"""What is exported is imported again without a loss."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from testkit.servers import Redis
from tests.conftest import Api, Command

FILES = ("users.csv", "urls.csv", "events.csv", "products.csv")


def test_an_export_and_its_import_are_the_same_rows(holdfast: Command, tmp_path: Path) -> None:
    first = {"database_url": f"sqlite:///{tmp_path}/first.db", "redis_url": ""}
    second = {"database_url": f"sqlite:///{tmp_path}/second.db", "redis_url": ""}
    assert holdfast("seed", **first).exit_code == 0
    said = holdfast("export", tmp_path / "first", **first)
    counts = zip(FILES, (400, 2000, 3422, 15), strict=True)
    assert said.output.splitlines() == [
        f"Wrote {tmp_path}/first/{name}, {count} rows" for name, count in counts
    ]
    loaded = holdfast("import", *(tmp_path / "first" / name for name in FILES), **second)
    assert loaded.exit_code == 0, loaded.output
    assert holdfast("export", tmp_path / "second", **second).exit_code == 0
    for name in FILES:
        exported = (tmp_path / "first" / name).read_bytes()
        assert (tmp_path / "second" / name).read_bytes() == exported
    assert (tmp_path / "first" / "users.csv").stat().st_mode & 0o777 == 0o600


def test_odd_texts_come_back_and_deleted_links_do_not(
    api: Api, holdfast: Command, tmp_path: Path
) -> None:
    title = 'a "quoted", \u00fcnusual title'
    url = api.url("https://example.com/?a=1,2&b=\u00e4", title=title, user_id=api.user()["id"])
    details = {"a": 'line\nand, "quote"'}
    api.event(url_id=url["id"], details=details)
    gone = api.url()
    api.client.delete(f"/urls/{gone['id']}")
    assert holdfast("export", tmp_path).exit_code == 0
    second = {"database_url": f"sqlite:///{tmp_path}/second.db", "redis_url": ""}
    assert holdfast("import", *(tmp_path / name for name in FILES), **second).exit_code == 0
    assert holdfast("export", tmp_path / "again", **second).exit_code == 0
    for name in ("users.csv", "urls.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()
    assert title.replace('"', '""') in (tmp_path / "urls.csv").read_text()
    assert gone["short_code"] not in (tmp_path / "urls.csv").read_text()
    with (tmp_path / "again" / "events.csv").open(newline="") as file:
        kept = [json.loads(row["details"]) for row in csv.DictReader(file)]
    assert details in kept


@pytest.mark.services
def test_clicks_that_wait_in_redis_are_exported(
    shared: Api, holdfast: Command, redis_server: Redis, tmp_path: Path
) -> None:
    shared.follow(shared.url(), 3)
    assert holdfast("export", tmp_path, redis_url=redis_server.url).exit_code == 0
    assert (tmp_path / "events.csv").read_text().count(",clicked,") == 3
