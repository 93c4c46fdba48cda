"""PostgreSQL behind PgBouncer: each transaction may have another session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import psycopg2
import pytest

from app import database
from app.database import db, released
from app.migrations import indexes
from app.redirects.drain import drain
from app.redirects.rollups import fold
from testkit.poolers import PgBouncer
from testkit.servers import Postgres, Redis
from tests.conftest import Api, running
from tests.test_database import at_once

Bound = Callable[..., Api]
pytestmark = pytest.mark.services
SHOW = "SELECT current_setting('{}')"


@pytest.fixture
def pooler(postgres_server: Postgres) -> Iterator[PgBouncer]:
    """Two sessions, which all clients share."""
    yield from running(PgBouncer(postgres_server, size=2))


@pytest.fixture
def url(pooler: PgBouncer) -> str:
    """A new, empty database behind it."""
    direct = pooler.postgres.another_database()
    return direct.replace(f":{pooler.postgres.port}/", f":{pooler.port}/")


def shown(name: str) -> str:
    return str(db.execute_sql(SHOW.format(name)).fetchone()[0])


def test_a_new_database_serves_links_imports_and_clicks(
    bound: Bound, url: str, redis_server: Redis, holdfast: Callable[..., Any]
) -> None:
    assert holdfast("migrate", database_url=url, redis_url="").exit_code == 0
    api = bound(database_url=url, redis_url=redis_server.url)
    made = api.url("https://example.com/a", user_id=api.user()["id"])
    api.follow(made, 3)
    assert drain.run() == 3
    fold()
    rows = "username,email\n" + "".join(f"u{n},u{n}@example.com\n" for n in range(200))
    file = {"file": (BytesIO(rows.encode()), "users.csv")}
    loaded = api.client.post("/users/bulk", data=file, content_type="multipart/form-data")
    assert (loaded.status_code, loaded.json["count"]) == (201, 200)
    assert api.clicks(made) == 3
    assert api.client.get("/health/ready").json["status"] == "ready"
    assert len(api.get("/users?per_page=100")) == 100


def test_each_transaction_and_each_statement_has_our_settings_and_leaves_none_behind(
    bound: Bound, url: str
) -> None:
    bound(database_url=f"{url}?options=-c%20lock_timeout%3D700", redis_url="")
    wanted = {
        "statement_timeout": "5s",
        "lock_timeout": "700ms",
        "TimeZone": "UTC",
        "search_path": '"$user", public',
        "transaction_isolation": "read committed",
    }
    with released():
        assert {name: shown(name) for name in wanted} == wanted
        with db.atomic():
            assert {name: shown(name) for name in wanted} == wanted
            with database.without_timeouts():
                assert shown("lock_timeout") == "0"
            assert shown("lock_timeout") == "700ms"
        with database.without_timeouts():
            assert shown("statement_timeout") == "0"
            with db.atomic():
                assert shown("statement_timeout") == "0"
        assert shown("statement_timeout") == "5s"
        with db.atomic("REPEATABLE READ"):
            assert shown("transaction_isolation") == "repeatable read"
    with Session(url) as session:
        assert session("SHOW statement_timeout") == "0"


class Session:
    """Another client of the same sessions."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg2.connect(url.replace("+pool", ""))
        self._connection.autocommit = True

    def __call__(self, statement: str) -> Any:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()[0]

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_error: object) -> None:
        self._connection.close()


def test_imports_at_once_have_staging_tables_of_their_own(bound: Bound, url: str) -> None:
    api = bound(database_url=url, redis_url="")

    def load(number: int) -> int:
        rows = "username,email\n" + "".join(
            f"u{number}-{n},u{number}-{n}@x.org\n" for n in range(9)
        )
        file = {"file": (BytesIO(rows.encode()), "users.csv")}
        client = api.client.application.test_client()
        return int(client.post("/users/bulk", data=file).status_code)

    answers = at_once(4, load)
    assert set(answers) <= {201, 409, 429, 503}
    assert len(api.get("/users?per_page=100")) == 9 * answers.count(201) > 0


def test_indexes_are_built_beside_other_transactions(bound: Bound, url: str) -> None:
    bound(database_url=url, redis_url="")
    with released():
        db.execute_sql("DROP INDEX urls_created")
        assert indexes.missing() == ["urls_created"]
    assert indexes.build() == ["urls_created"]
    assert indexes.build() == []
    with released():
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        assert db.execute_sql(held).fetchone()[0] == 0


def test_a_backup_through_it_is_refused_with_the_way_out(
    bound: Bound, url: str, tmp_path: Any, holdfast: Callable[..., Any]
) -> None:
    bound(database_url=url, redis_url="")
    result = holdfast("backup", tmp_path / "dump", database_url=url, redis_url="")
    assert (result.exit_code, "pooler" in result.output) == (1, True)
    assert not (tmp_path / "dump").exists()
