"""A PostgreSQL that answers but refuses: 503 with a reason, never 500, and back by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from app.database import DatabaseUnavailable, db, refusal, released
from app.models import CacheUpdate
from app.redirects.links import deliver_pending
from app.worker import Worker
from testkit.servers import Postgres, Redis, wait_for
from tests.conftest import Api
from tests.refusals import WRITES, assert_is_a_bug, assert_refuses, assert_works_again, encoded, sql
from tests.test_database import assert_unavailable

Bound = Callable[..., Api]

# ---- PostgreSQL ----


@pytest.fixture
def database(postgres_server: Postgres) -> str:
    return postgres_server.another_database()


@contextmanager
def read_only(url: str) -> Iterator[None]:
    name = url.rpartition("/")[2]
    sql(url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        yield
    finally:
        sql(
            url,
            "SET default_transaction_read_only = off",
            f"ALTER DATABASE {name} RESET default_transaction_read_only",
        )


@pytest.mark.services
def test_a_database_that_became_read_only(bound: Bound, database: str, redis_server: Redis) -> None:
    api = bound(database_url=database, redis_url=redis_server.url)
    url = api.url("https://example.com/cached", user_id=api.user()["id"])
    with read_only(database):
        db.obj.close_all()  # as a failover does
        assert_refuses(api, "it is read only")
        api.follow(url, 3)
        assert len(api.get("/users")) == 1
    db.obj.close_all()
    assert_works_again(api)
    assert api.clicks(url) == 3


@pytest.mark.services
def test_a_replica_and_a_worker_that_start_on_a_read_only_database(
    bound: Bound, database: str, redis_server: Redis
) -> None:
    api = bound(database_url=database, redis_url=redis_server.url)
    url = api.url("https://example.com/cached", user_id=api.user()["id"])
    with read_only(database):
        api = bound(empty_it=False, database_url=database, redis_url=redis_server.url)
        assert_refuses(api, "it is read only")
        api.follow(url)
        worker = Worker()
        # nobody waits in this test
        worker.stopping.wait = lambda _seconds: True  # type: ignore[assignment,misc]
        assert worker.turn() == 0
    db.obj.close_all()
    wait_for(lambda: worker.turn() > 0)
    assert_works_again(api)
    assert api.clicks(url) == 1


@pytest.mark.services
@pytest.mark.parametrize("right", ["INSERT", "UPDATE", "SELECT, INSERT, UPDATE, DELETE"])
def test_a_role_without_rights_on_the_tables(
    bound: Bound, database: str, redis_server: Redis, right: str
) -> None:
    name = f"poor_{database.rpartition('_')[2]}"
    poor = database.replace("holdfast@", f"{name}@")
    bound(database_url=database, redis_url="").user()
    tables, sequences = "ALL TABLES IN SCHEMA public", "ALL SEQUENCES IN SCHEMA public"
    sql(
        database,
        f"CREATE ROLE {name} LOGIN",
        f"GRANT ALL ON {tables} TO {name}",
        f"GRANT ALL ON {sequences} TO {name}",
    )
    sql(database, f"GRANT ALL ON SCHEMA public TO {name}")
    api = bound(empty_it=False, database_url=poor, redis_url=redis_server.url)
    url = api.url("https://example.com/cached")
    sql(database, f"REVOKE {right} ON {tables} FROM {name}")
    for _, path, body in WRITES[:3]:
        if "INSERT" in right:
            assert_unavailable(api.client.post(path, json=body))
    ready = api.client.get("/health/ready")
    assert (ready.status_code, "database refusing (no permission)" in ready.json["message"]) == (
        503,
        True,
    )
    api.follow(url)
    sql(database, f"GRANT ALL ON {tables} TO {name}")
    assert_works_again(api)


SETTINGS = {
    "client_encoding": ("'LATIN1'", "UTF8"),
    "timezone": ("'Asia/Kolkata'", "UTC"),
    "search_path": ("nowhere", '"$user", public'),
    "statement_timeout": ("'1ms'", "5s"),
    "lock_timeout": ("'1ms'", "800ms"),
    "idle_in_transaction_session_timeout": ("'1ms'", "0"),
    "idle_session_timeout": ("'900s'", "0"),
    "default_transaction_isolation": ("'serializable'", "read committed"),
    "standard_conforming_strings": ("off", "on"),
    "datestyle": ("'SQL, DMY'", "ISO, MDY"),
}


@pytest.mark.services
def test_what_a_role_a_database_or_the_environment_may_change_is_set_by_us(
    bound: Bound, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = database.rpartition("/")[2]
    for setting, (value, _) in SETTINGS.items():
        sql(database, f"ALTER DATABASE {name} SET {setting} = {value}")
    for variable, value in {
        "PGCLIENTENCODING": "LATIN1",
        "PGTZ": "Asia/Kolkata",
        "PGOPTIONS": "-c search_path=nowhere",
    }.items():
        monkeypatch.setenv(variable, value)
    api = bound(database_url=database, redis_url="")
    with released():
        found = {
            setting: db.execute_sql(f"SHOW {setting}")
            .fetchone()[0]
            .replace('"$user",public', '"$user", public')
            for setting in SETTINGS
        }
    assert found == {setting: ours for setting, (_, ours) in SETTINGS.items()}
    assert api.url("https://例え.jp/žluťoučký?🐎=1", title="日本")["title"] == "日本"


@pytest.mark.services
def test_options_of_the_url_come_last(bound: Bound, database: str) -> None:
    bound(database_url=f"{database}?options=-c%20statement_timeout%3D200", redis_url="")
    with released():
        assert [
            db.execute_sql(f"SHOW {name}").fetchone()[0]
            for name in ("statement_timeout", "lock_timeout")
        ] == ["200ms", "800ms"]


@pytest.mark.services
@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_of_another_encoding_is_unavailable(
    bound: Bound, postgres_server: Postgres, encoding: str
) -> None:
    api = bound(database_url=encoded(postgres_server, encoding), redis_url="")
    assert_unavailable(api.client.get("/users"))
    ready = api.client.get("/health/ready")
    assert (ready.status_code, "its encoding is not UTF8" in ready.json["message"]) == (503, True)


UNAVAILABLE = [
    "08006",
    "25006",
    "25P03",
    "28000",
    "3D000",
    "40001",
    "40P01",
    "42501",
    "42P01",
    "53000",
    "53100",
    "53200",
    "53300",
]
UNAVAILABLE += ["55P03", "57014", "57P01", "57P03", "57P05", "58000", "58030", "XX001", "XX002"]


@pytest.mark.services
@pytest.mark.parametrize("code", UNAVAILABLE)
def test_what_means_unavailable_in_postgresql(
    bound: Bound, postgres_server: Postgres, code: str
) -> None:
    bound(database_url=postgres_server.url, redis_url="")
    with released(), pytest.raises(DatabaseUnavailable):
        db.execute_sql(f"DO $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{code}'; END $$")
    refusal.why = ""


@pytest.mark.services
@pytest.mark.parametrize(
    "statement",
    ["SELECT nosuch FROM users", "SELEC 1", "SELECT 1 / 0", "SELECT 'x'::int", "SELECT nosuch()"],
)
def test_what_is_a_bug_in_postgresql(
    bound: Bound, postgres_server: Postgres, statement: str
) -> None:
    api = bound(database_url=postgres_server.url, redis_url="")
    assert_is_a_bug(statement)
    assert api.client.get("/health/ready").status_code == 200


@pytest.mark.services
def test_delivering_pending_updates_ends_where_they_cannot_be_deleted(
    bound: Bound, database: str, redis_server: Redis
) -> None:
    bound(database_url=database, redis_url=redis_server.url)
    CacheUpdate.insert_many(
        [{"short_code": f"code{number}", "link": "d 1 1 "} for number in range(500)]
    ).execute()
    with read_only(database):
        db.obj.close_all()
        with released():
            assert deliver_pending() == 0
