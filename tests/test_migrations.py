"""The schema's history: applied once, by hand or at the start, and undone again."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import redis
from peewee import IntegrityError
from playhouse.migrations import Runner

from app import database, migrations
from app.database import db, released
from app.migrations import schema
from app.models import KeyValue
from app.redirects.connection import RedisConnection, RedisUnavailable, Script
from app.redirects.drain import drain
from app.services import backups
from app.worker import Worker
from testkit.servers import Postgres, Redis, free_port
from tests.conftest import Api, Command
from tests.logbook import Log

Bound = Callable[..., Api]

TABLES = {
    "users",
    "urls",
    "url_tags",
    "retired_codes",
    "events",
    "products",
    "facts",
    "click_claims",
    "cache_updates",
    "click_journal",
    "click_days",
    "click_hours",
    "click_values",
    "idempotency_keys",
    "api_keys",
    "url_keys",
    "audit",
    "banned_hosts",
}


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
def test_the_schema_is_made_and_undone_on_postgresql(
    bound: Bound, postgres_server: Postgres
) -> None:
    bound(database_url=postgres_server.url, redis_url="")
    prove_up_and_down()


def test_the_command_says_what_it_did(holdfast: Command, tmp_path: Path) -> None:
    own = {"database_url": f"sqlite:///{tmp_path}/holdfast.db", "redis_url": ""}
    assert holdfast("migrate", **own).output.startswith("Applied 0001_tables")
    assert holdfast("migrate", **own).output == "The schema is up to date\n"
    assert holdfast("migrate", **own, auto_seed="true").output.splitlines() == [
        "The schema is up to date",
        "Loaded the sample data",
    ]


# ---- an upgrade under load ----


def read_patiently_for(seconds: float, url: str) -> None:
    """Reads links again and again with the lock timeout of a redirect."""
    with closing(psycopg2.connect(url.replace("+pool", ""))) as reader:
        reader.autocommit = True
        cursor, ends = reader.cursor(), time.monotonic() + seconds
        cursor.execute("SET lock_timeout = 800")
        while time.monotonic() < ends:
            cursor.execute("SELECT short_code FROM urls LIMIT 1")


@pytest.mark.services
def test_links_can_be_read_while_a_migration_waits_for_a_backup(
    bound: Bound, postgres_server: Postgres
) -> None:
    url = postgres_server.another_database()
    bound(database_url=url, redis_url="")
    with released():
        runner = Runner(db.obj, str(Path(migrations.__file__).parent))
        runner.down("0002_links")
    with (
        ThreadPoolExecutor(1) as pool,
        closing(psycopg2.connect(url.replace("+pool", ""))) as backup,
    ):
        backup.cursor().execute("SELECT count(*) FROM urls")
        applied = pool.submit(migrations.apply)
        read_patiently_for(2, url)
        assert not applied.done()
        backup.rollback()
        assert "0002_links" in applied.result(60)


@pytest.mark.services
@pytest.mark.parametrize(
    "wrong", ["redirect_status = 200", "max_clicks = 0", "expired_url = 'short'"]
)
def test_the_database_refuses_wrong_rules_of_links(
    bound: Bound, new_url: Callable[[], str], wrong: str
) -> None:
    bound(database_url=new_url(), redis_url="").url()
    with released(), pytest.raises(IntegrityError):
        db.execute_sql(f"UPDATE urls SET {wrong}")


# ---- a database that was lost ----


def kinds(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """URLs of empty databases of one kind."""
    if name == "postgresql":
        server: Postgres = request.getfixturevalue("postgres_server")
        while True:
            yield server.another_database()
    yield from (f"sqlite:///{tmp_path}/{number}.db" for number in count())


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    urls = kinds(request.param, tmp_path, request)
    return lambda: next(urls)


def tables() -> list[str]:
    with released():
        return list(db.get_tables())


@pytest.mark.services
def test_the_last_click_that_no_statistics_count_is_noted(
    bound: Bound, new_url: Callable[[], str]
) -> None:
    api = bound(database_url=new_url(), redis_url="")
    event = api.event("click", url_id=api.url()["id"])
    with released():
        runner = Runner(db.obj, str(Path(migrations.__file__).parent))
        while any(step.applied and step.name >= "0003" for step in runner.status()):
            runner.down()
    assert "0003_statistics" in migrations.apply()
    assert KeyValue.get(KeyValue.name == "uncounted").value == str(event["id"])
    assert api.client.delete(f"/events/{event['id']}").status_code == 204
    assert api.get("/stats")["totals"] == {"people": 0, "robots": 0}


@pytest.mark.services
def test_no_new_database_takes_the_place_of_one_for_which_clicks_wait(
    bound: Bound,
    new_url: Callable[[], str],
    redis_server: Redis,
    held: redis.Redis,
    log: Log,
    holdfast: Command,
) -> None:
    first, second = new_url(), new_url()
    api = bound(database_url=first, redis_url=redis_server.url)
    link = api.url()
    api.follow(link, 2)
    api = bound(database_url=second, redis_url=redis_server.url)
    assert (tables(), Worker().turn()) == ([], 0)
    refused = api.client.get("/users")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert api.client.get("/health/ready").status_code == 503
    assert "it has no tables, but clicks wait for it" in "".join(log.lines())
    api.follow(link)  # goes on, as if the database were away
    said = holdfast("migrate", database_url=second, redis_url=redis_server.url)
    assert (
        said.exit_code,
        said.output.startswith("Error: The database was lost: it has no tables"),
    ) == (1, True)
    assert (tables(), held.xlen("clicks")) == ([], 3)
    api = bound(database_url=first, redis_url=redis_server.url, empty_it=False)
    assert api.clicks(link) == 3


@pytest.mark.services
def test_an_operator_may_begin_anew(
    bound: Bound, new_url: Callable[[], str], redis_server: Redis, held: redis.Redis
) -> None:
    api = bound(database_url=new_url(), redis_url=redis_server.url)
    link = api.url()
    api.follow(link)
    api = bound(database_url=new_url(), redis_url=redis_server.url)
    assert backups.settle().deleted == 1
    assert (api.client.get("/health/ready").status_code, held.xlen("clicks")) == (200, 0)
    assert api.client.get(f"/{link['short_code']}").status_code == 404
    fresh = api.url()
    api.follow(fresh)
    assert api.clicks(fresh) == 1


@pytest.mark.services
def test_who_has_seen_the_tables_does_not_make_them_again(
    bound: Bound, new_url: Callable[[], str]
) -> None:
    api = bound(database_url=new_url(), redis_url="")
    with released():
        undone()
        db.execute_sql("DROP TABLE schema_migration")
    assert api.client.get("/health/ready").status_code == 503
    assert api.client.get("/users").status_code == 503
    assert "urls" not in tables()
    migrations.apply()
    assert api.client.get("/health/ready").status_code == 200
    assert api.get("/users") == []


class Stalling(RedisConnection):
    """A Redis with clicks that wait; the calls with the numbers `fails` have no answer."""

    def __init__(self, fails: Sequence[int]) -> None:
        super().__init__()
        self.url, self.calls, self.fails = "redis://stalling", 0, fails

    def run(
        self, script: Script, keys: Sequence[str], *values: str | int, insist: bool = False
    ) -> Any:
        self.calls += 1
        if self.calls in self.fails:
            raise RedisUnavailable
        return [3, [[b"1-1", []]]]


@pytest.mark.parametrize("fails", [(1,), (1, 2, 3), range(2, 200)])
def test_a_redis_that_stalls_is_no_reason_to_make_tables(
    bound: Bound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Sequence[int]
) -> None:
    monkeypatch.setattr(sys.modules["app.redirects.drain"], "_PAUSE_SECONDS", 0.01)
    api = bound(database_url=f"sqlite:///{tmp_path}/before.db", redis_url="")
    database.db.initialize(database.connect(f"sqlite:///{tmp_path}/new.db"))
    monkeypatch.setattr(sys.modules["app.redirects.drain"], "redis_connection", Stalling(fails))
    schema.bind(drain.waiting)
    for _ in range(5):
        assert api.client.get("/users").status_code == 503
    assert tables() == []


def test_an_unavailable_redis_does_not_keep_a_first_start_from_making_tables(
    bound: Bound, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["app.redirects.drain"], "_PAUSE_SECONDS", 0.01)
    api = bound(
        database_url=f"sqlite:///{tmp_path}/new.db", redis_url=f"redis://127.0.0.1:{free_port()}/0"
    )
    assert api.client.get("/users").status_code == 200


@pytest.mark.services
def test_a_worker_that_goes_on_sees_that_the_tables_are_gone(
    bound: Bound, postgres_server: Postgres, redis_server: Redis, log: Log
) -> None:
    bound(database_url=postgres_server.another_database(), redis_url=redis_server.url)
    worker = Worker()
    worker.turn()
    with released():
        undone()
    worker.turn()
    worker.turn()
    assert "it has no tables, but clicks wait for it or it had some" in log.lines()[-1]
    migrations.apply()
    worker.turn()
    assert schema.ready
