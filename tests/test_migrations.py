"""The schema's history: applied once, by hand or at the start, and undone again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playhouse.migrations import Runner

from app import migrations
from app.database import db, released
from tests.conftest import Api
from tests.servers import Postgres

Bound = Callable[..., Api]

TABLES = {"users", "urls", "events", "products", "facts", "click_claims", "cache_updates"}


def undone() -> Runner:
    runner = Runner(db.obj, str(Path(migrations.__file__).parent))
    while any(migration.applied for migration in runner.status()):
        runner.down()
    return runner


def prove_up_and_down() -> None:
    with released():
        assert set(db.get_tables()) >= TABLES
        undone()
        assert not TABLES & set(db.get_tables())
    assert len(migrations.apply()) >= 1
    assert migrations.apply() == []
    with released():
        assert set(db.get_tables()) >= TABLES


def test_the_schema_is_made_and_undone_on_sqlite(bound: Bound, tmp_path: Path) -> None:
    bound(database_url=f"sqlite:///{tmp_path}/new/holdfast.db", redis_url="")
    prove_up_and_down()


@pytest.mark.services
def test_the_schema_is_made_and_undone_on_postgresql(bound: Bound, postgres_server: Postgres) -> None:
    bound(database_url=postgres_server.url, redis_url="")
    prove_up_and_down()


def test_the_command_says_what_it_did(bound: Bound, tmp_path: Path) -> None:
    api = bound(database_url=f"sqlite:///{tmp_path}/holdfast.db", redis_url="")
    runner = api.client.application.test_cli_runner()
    assert runner.invoke(args=["migrate"]).output == "The schema is up to date\n"
    with released():
        undone()
    assert runner.invoke(args=["migrate"]).output.startswith("Applied 0001_tables")
