"""A dump brings everything back, row by row.

Redis forgets what the restored database does not know, and the clicks that it kept are stored.
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2
import pytest

from testkit.servers import ROOT, Postgres, wait_for
from testkit.webserver import WebServer
from tests.failures.conftest import Installation

_TABLES = (
    "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
)
_SEQUENCES = "SELECT sequencename, last_value FROM pg_sequences ORDER BY 1"

Rows = dict[str, list[str]]


def command(url: str, redis_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {"DATABASE_URL": url, "REDIS_URL": redis_url, "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environ,
    )


def postgres_rows(url: str) -> Rows:
    """Every row of every table as text, and how far the sequences are."""
    with (
        closing(psycopg2.connect(url.replace("+pool", ""))) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(_TABLES)
        found = {}
        for (table,) in cursor.fetchall():
            cursor.execute(f"SELECT t::text FROM {table} AS t ORDER BY 1")
            found[table] = [row for (row,) in cursor.fetchall()]
        cursor.execute(_SEQUENCES)
        found["sequences"] = [str(row) for row in cursor.fetchall()]
        return found


def sqlite_rows(path: Path) -> Rows:
    with closing(sqlite3.connect(path)) as connection:
        tables = [
            name
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1"
            )
        ]
        return {
            table: sorted(map(str, connection.execute(f"SELECT * FROM {table}")))
            for table in tables
        }


class Lost:
    """An installation whose database has been dumped and then destroyed.

    `new` is the empty one in its place.
    """

    def __init__(self, installation: Installation, dump: Path) -> None:
        self.installation, self.dump = installation, dump
        self.old, self.new = (
            installation.app.environ["DATABASE_URL"],
            installation.postgres.another_database(),
        )

    def command(self, *arguments: str) -> str:
        done = command(self.new, self.installation.redis.url, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        for server in (self.installation.app, self.installation.worker):
            server.environ["DATABASE_URL"] = self.new
            server.start()
        self.installation.client.close()
        wait_for(
            lambda: self.installation.client.request("GET", "/health/ready")[0] == 200,
            what="the application",
        )


@pytest.fixture
def lose(installation: Installation, tmp_path: Path) -> Callable[[Callable[[], Any]], Lost]:
    """Dumps, does what comes after the dump, and destroys the database in the middle of it."""

    def after(meanwhile: Callable[[], Any]) -> Lost:
        lost = Lost(installation, tmp_path / "holdfast.dump")
        done = command(lost.old, installation.redis.url, "backup", str(lost.dump))
        assert done.returncode == 0, done.stderr
        meanwhile()
        installation.worker.kill()
        installation.app.kill()
        return lost

    return after


def drained(installation: Installation) -> None:
    installation.client.json("GET", "/events")


@pytest.mark.services
def test_every_row_and_every_sequence_of_a_dump_comes_back(
    installation: Installation, lose: Callable[..., Lost]
) -> None:
    urls = installation.urls(5)
    user = installation.client.json(
        "POST", "/users", {"username": "zoë", "email": "zoe@example.com"}
    )
    installation.client.json(
        "POST",
        "/urls",
        {"original_url": "https://example.com/ü", "user_id": user["id"], "title": "a\tb\\"},
    )
    for url in urls:
        installation.client.request("GET", f"/{url['short_code']}")
    drained(installation)
    lost = lose(lambda: None)
    before = postgres_rows(lost.old)
    lost.command("restore", str(lost.dump))
    assert sum(map(len, before.values())) > 20
    assert postgres_rows(lost.new) == before


@pytest.mark.services
def test_clicks_that_redis_still_keeps_are_stored_and_those_of_the_dump_are_not_doubled(
    installation: Installation, lose: Callable[..., Lost]
) -> None:
    (url,) = installation.urls(1)

    def click(times: int) -> None:
        for _ in range(times):
            assert installation.client.request("GET", f"/{url['short_code']}")[0] == 302

    click(3)
    drained(installation)

    def meanwhile() -> None:
        installation.worker.send(signal.SIGSTOP)
        click(4)

    lost = lose(meanwhile)
    assert "; stored 4 clicks that it kept" in lost.command("restore", str(lost.dump))
    lost.start()
    assert installation.client.json("GET", f"/urls/{url['id']}")["click_count"] == 7
    assert len(installation.client.json("GET", f"/urls/{url['id']}/events?per_page=100")) == 8


@pytest.mark.services
def test_what_was_changed_after_the_dump_is_not_followed_although_redis_knew_it(
    installation: Installation, lose: Callable[..., Lost]
) -> None:
    changed, deleted = installation.urls(2)
    later: list[dict[str, Any]] = []

    def meanwhile() -> None:
        installation.client.json(
            "PUT", f"/urls/{changed['id']}", {"original_url": "https://example.com/newer"}
        )
        installation.client.request("DELETE", f"/urls/{deleted['id']}")
        later.extend(installation.urls(1))

    lost = lose(meanwhile)
    lost.command("restore", str(lost.dump))
    lost.start()
    found = [
        installation.client.request("GET", f"/{url['short_code']}")[:2]
        for url in (changed, deleted, *later)
    ]
    assert found == [(302, "https://example.com/0"), (302, "https://example.com/1"), (404, "")]


@pytest.mark.services
def test_a_new_link_does_not_get_the_clicks_of_a_lost_one_whose_id_it_has(
    installation: Installation, lose: Callable[..., Lost]
) -> None:
    later: list[dict[str, Any]] = []

    def meanwhile() -> None:
        installation.worker.send(signal.SIGSTOP)
        later.extend(installation.urls(1))
        installation.client.request("GET", f"/{later[0]['short_code']}")

    lost = lose(meanwhile)
    lost.command("restore", str(lost.dump))
    lost.start()
    (again,) = installation.urls(1)
    assert again["id"] == later[0]["id"]
    assert installation.client.json("GET", f"/urls/{again['id']}")["click_count"] == 0


@pytest.mark.services
def test_a_database_with_tables_is_left_as_it_is(
    installation: Installation, lose: Callable[..., Lost]
) -> None:
    installation.urls(1)
    lost = lose(lambda: installation.urls(1))
    before = postgres_rows(lost.old)
    refused = command(lost.old, installation.redis.url, "restore", str(lost.dump))
    assert refused.returncode == 1
    assert "The database is not empty, and nothing was changed" in refused.stderr
    assert postgres_rows(lost.old) == before


@pytest.mark.services
def test_half_a_dump_leaves_the_database_empty(
    installation: Installation, lose: Callable[..., Lost]
) -> None:
    installation.urls(50)
    lost = lose(lambda: None)
    whole = lost.dump.read_bytes()
    lost.dump.write_bytes(whole[: len(whole) // 2])
    refused = command(lost.new, installation.redis.url, "restore", str(lost.dump))
    assert (refused.returncode, refused.stderr[:7]) == (1, "Error: ")
    assert postgres_rows(lost.new) == {"sequences": []}


@pytest.mark.services
def test_a_restore_without_its_redis_says_what_is_left_to_do(
    installation: Installation, lose: Callable[..., Lost]
) -> None:
    (url,) = installation.urls(1)
    lost = lose(
        lambda: installation.client.json(
            "PUT", f"/urls/{url['id']}", {"original_url": "https://example.com/newer"}
        )
    )
    installation.redis.stop()
    refused = command(lost.new, installation.redis.url, "restore", str(lost.dump))
    assert refused.returncode == 1
    assert "Redis does not answer" in refused.stderr
    installation.redis.start()
    lost.command("settle")
    lost.start()
    assert installation.client.request("GET", f"/{url['short_code']}")[1] == "https://example.com/0"


@pytest.mark.services
def test_a_database_that_asks_for_a_password_is_given_the_one_of_the_settings(
    postgres_server: Postgres, tmp_path: Path
) -> None:
    plain = postgres_server.another_database()
    password = "p@ss:w\\rd/%41 ü"
    with (
        closing(psycopg2.connect(plain.replace("+pool", ""))) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("CREATE ROLE careful LOGIN SUPERUSER PASSWORD %s", (password,))
    rules = postgres_server.folder / "data" / "pg_hba.conf"
    rules.write_text("host all careful 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
    postgres_server.send(signal.SIGHUP)
    right, wrong = (
        plain.replace("holdfast@", f"careful:{quote(secret, safe='')}@")
        for secret in (password, "wrong")
    )
    wait_for(
        lambda: command(wrong, "", "backup", str(tmp_path / "backup")).returncode == 1,
        what="the question for the password",
    )
    assert command(right, "", "backup", str(tmp_path / "backup")).returncode == 0


def test_on_sqlite_everything_comes_back_into_a_new_file(tmp_path: Path) -> None:
    old, new, dump = tmp_path / "old.db", tmp_path / "new.db", tmp_path / "holdfast.dump"
    with WebServer(tmp_path, DATABASE_URL=f"sqlite:///{old}", AUTO_SEED="true"):
        assert (
            command(f"sqlite:///{old}", "", "backup", str(dump)).returncode == 0
        )  # while it is served
    done = command(f"sqlite:///{new}", "", "restore", str(dump))
    assert done.returncode == 0, done.stderr
    assert sum(map(len, sqlite_rows(old).values())) > 100
    assert sqlite_rows(new) == sqlite_rows(old)
    assert (
        "The database is not empty" in command(f"sqlite:///{new}", "", "restore", str(dump)).stderr
    )


def test_a_dump_can_be_read_by_its_owner_only_and_a_failed_one_leaves_nothing(
    tmp_path: Path,
) -> None:
    dump = tmp_path / "holdfast.dump"
    assert command(f"sqlite:///{tmp_path}/some.db", "", "backup", str(dump)).returncode == 0
    assert dump.stat().st_mode & 0o777 == 0o600
    dump.unlink()
    failed = command("postgresql+pool://x@127.0.0.1:1/x", "", "backup", str(dump))
    assert (failed.returncode, failed.stderr[:7]) == (1, "Error: ")
    assert list(tmp_path.glob("*.dump*")) == []


def test_what_is_no_dump_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello " * 1000)
    refused = command(f"sqlite:///{tmp_path}/new.db", "", "restore", str(tmp_path / "text"))
    assert (refused.returncode, "is not a dump of SQLite" in refused.stderr) == (1, True)
