"""`backup`, `restore` and `settle` on SQLite, and on a PostgreSQL and Redis of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result
from playhouse.db_url import connect

from app.__main__ import main
from app.redirects import drain
from app.redirects.connection import RedisConnection
from app.services import backups
from testkit.servers import Postgres, Redis, free_port
from tests.conftest import Api

Command = Callable[..., Result]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs it with these settings."""

    def run(url: str, *arguments: str, redis_url: str = "") -> Result:
        for name, value in (("DATABASE_URL", url), ("REDIS_URL", redis_url)):
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(main, arguments)

    return run


@pytest.fixture
def linked(bound: Callable[..., Api], tmp_path: Path) -> str:
    """A database with one link."""
    url = f"sqlite:///{tmp_path}/old.db"
    bound(database_url=url).url("https://example.com/kept")
    return url


def query(url: str, sql: str) -> list[Any]:
    """On a connection of its own."""
    with connect(url) as database:
        cursor = database.execute_sql(sql)
        return list(cursor.fetchall()) if cursor.description else []


def test_what_is_dumped_is_restored_into_a_new_database(
    linked: str, command: Command, tmp_path: Path
) -> None:
    new, dump = f"sqlite:///{tmp_path}/new.db", str(tmp_path / "dump")
    assert command(linked, "backup", dump).output.startswith(f"Wrote {dump}, ")
    restored = command(new, "restore", dump)
    assert (restored.exit_code, restored.output.splitlines()[:2]) == (
        0,
        [f"Loaded {dump}", "The schema is up to date"],
    )
    assert query(new, "SELECT original_url FROM urls") == [("https://example.com/kept",)]


def test_a_database_with_tables_is_refused_and_left_as_it_is(
    linked: str, command: Command, tmp_path: Path
) -> None:
    command(linked, "backup", str(tmp_path / "dump"))
    refused = command(linked, "restore", str(tmp_path / "dump"))
    assert (refused.exit_code, "The database is not empty" in refused.output) == (1, True)
    assert query(linked, "SELECT count(*) FROM urls") == [(1,)]


def test_a_file_that_is_no_dump_and_an_unavailable_database_are_one_line_each(
    command: Command, bound: Callable[..., Api], tmp_path: Path
) -> None:
    bound()  # what the commands bind is unbound again afterwards
    (tmp_path / "text").write_text("hello " * 1000)
    for url, words in (
        (f"sqlite:///{tmp_path}/new.db", "is not a dump of SQLite"),
        ("postgresql+pool://x@127.0.0.1:1/x", "The database does not answer"),
    ):
        failed = command(url, "restore", str(tmp_path / "text"))
        assert (failed.exit_code, len(failed.output.splitlines()), words in failed.output) == (
            1,
            1,
            True,
        )


def test_an_empty_file_is_no_dump_and_a_dump_needs_a_folder(
    linked: str, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "empty").touch()
    for url, arguments, words in (
        (
            f"sqlite:///{tmp_path}/new.db",
            ("restore", str(tmp_path / "empty")),
            "has no tables in it",
        ),
        (linked, ("backup", str(tmp_path / "nowhere" / "dump")), "No such file or directory"),
    ):
        failed = command(url, *arguments)
        assert (failed.exit_code, len(failed.output.splitlines()), words in failed.output) == (
            1,
            1,
            True,
        ), failed.output


@pytest.mark.services
def test_the_programs_of_postgresql_connect_as_the_service_does(
    bound: Callable[..., Api], command: Command, postgres_server: Postgres, tmp_path: Path
) -> None:
    bound(database_url=postgres_server.url)
    refused = command(f"{postgres_server.url}?sslmode=require", "backup", str(tmp_path / "dump"))
    assert (refused.exit_code, "server does not support SSL" in refused.output) == (1, True), (
        refused.output
    )


@pytest.mark.services
def test_postgresql_comes_back_and_redis_forgets_what_it_knew(
    bound: Callable[..., Api],
    command: Command,
    postgres_server: Postgres,
    redis_server: Redis,
    held: redis.Redis,
    tmp_path: Path,
) -> None:
    dump = str(tmp_path / "dump")
    link = bound(database_url=postgres_server.url, redis_url=redis_server.url).url(
        "https://example.com/kept"
    )
    assert command(postgres_server.url, "backup", dump, redis_url=redis_server.url).exit_code == 0
    query(postgres_server.url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    held.set("link:lost", b"a 9 9 https://example.com/lost")
    restored = command(postgres_server.url, "restore", dump, redis_url=redis_server.url)
    assert restored.exit_code == 0, restored.output
    assert query(postgres_server.url, "SELECT original_url FROM urls") == [
        ("https://example.com/kept",)
    ]
    assert held.keys("link:*") == [f"link:{link['short_code']}".encode()]
    assert command(postgres_server.url, "settle", redis_url="redis://127.0.0.1:1/0").exit_code == 1


@pytest.mark.services
def test_settling_fails_when_redis_breaks_off_before_its_clicks_are_stored(
    bound: Callable[..., Api], redis_server: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound(redis_url=redis_server.url)
    gone = RedisConnection(f"redis://127.0.0.1:{free_port()}/0")
    monkeypatch.setattr(drain, "redis_connection", gone)
    with pytest.raises(backups.Refused, match="Redis does not answer"):
        backups.settle()
