"""Imports into a database that nobody has used yet, where sequences have not begun."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.config import Settings
from app.database import db, release
from app.imports import importing
from tests.conftest import Api
from tests.imports.uploads import fresh_database, post_csv


@pytest.fixture
def fresh(bound: Callable[..., Api], settings: Settings, tmp_path: Path) -> Iterator[Api]:
    with fresh_database(settings, tmp_path) as url:
        yield bound(empty_it=False, database_url=url)
        release()
        db.obj.close_all()


@pytest.mark.parametrize(
    "rows",
    [
        "1,ada,ada@example.com\n",
        "2,ada,ada@example.com\n,bob,bob@example.com\n",
        "2,ada,ada@example.com\n,bob,bob@example.com\n2,eve,eve@example.com\n",
    ],
)
def test_the_next_id_of_a_new_database_is_behind_the_imported_ones(fresh: Api, rows: str) -> None:
    report = post_csv(fresh.client, f"id,username,email\n{rows}")
    assert (report.status_code, report.json["created"]) == (201, rows.count("\n"))
    largest = max(user["id"] for user in fresh.get("/users"))
    assert fresh.user("zoe")["id"] == largest + 1


def test_the_same_holds_for_links_events_and_products(fresh: Api, tmp_path: Path) -> None:
    for name, content in {
        "urls": "id,short_code,original_url\n1,abc123,https://example.com/\n,abc124,https://example.com/\n",
        "events": "id,event_type\n1,shared\n",
        "products": "id,name,category,price,stock\n1,Mug,kitchen,1,1\n,Cup,kitchen,1,1\n",
    }.items():
        (tmp_path / f"{name}.csv").write_text(content)
        importing.load([str(tmp_path / f"{name}.csv")])
    assert fresh.url()["id"] == 3
    assert fresh.event()["id"] == 3  # the link's own is 2
    assert [product["id"] for product in fresh.get("/products")] == [1, 2]
