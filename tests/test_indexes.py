"""The indexes that only lists use: made at once on few rows, later and without a lock on many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from threading import Thread
from typing import Any

import psycopg2
import pytest

from app.database import db, released
from app.migrations import indexes
from app.worker import Worker
from testkit.servers import Postgres, Redis, wait_for
from tests.conftest import Api, Command

pytestmark = pytest.mark.services
Bound = Callable[..., Api]
ALL = set(indexes.INDEXES)


def ask(url: str, *statements: str) -> Any:
    """Runs statements as the superuser; returns the last one's rows."""
    with closing(psycopg2.connect(url.replace("+pool", ""))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


def there(url: str) -> set[str]:
    """The whole ones."""
    rows = ask(url, "SELECT indexrelid::regclass::text FROM pg_index WHERE indisvalid")
    return ALL & {row[0] for row in rows}


@pytest.fixture
def url(postgres_server: Postgres) -> str:
    return postgres_server.another_database()


@pytest.fixture
def of_a_role_without_rights(url: str) -> Iterator[str]:
    """The database's URL for a role that may make tables, and no extensions."""
    ask(url, "CREATE ROLE humble LOGIN", "GRANT ALL ON SCHEMA public TO humble")
    yield url.replace("holdfast@", "humble@")
    ask(url, "DROP OWNED BY humble", "DROP ROLE humble")


def many_rows() -> None:
    """More links than an index is made for at once, and the indexes not there yet."""
    with released():
        for name in indexes.INDEXES:
            db.execute_sql(f"DROP INDEX {name}")
        db.execute_sql(
            "INSERT INTO urls (short_code, original_url, title, is_active, created_at, updated_at) "
            "SELECT 'c' || n, 'https://example.com/' || n, 'Link', true, now(), now() "
            "FROM generate_series(1, 10001) AS n"
        )


def test_a_new_database_has_all_indexes(bound: Bound, url: str) -> None:
    api = bound(database_url=url, redis_url="")
    assert there(url) == ALL
    api.url("https://example.com/needle")
    with released():
        assert indexes.missing() == []
    assert len(api.get("/urls?q=needle")) == 1


def test_a_role_without_the_right_to_add_extensions_searches_without_an_index(
    bound: Bound, url: str, of_a_role_without_rights: str
) -> None:
    api = bound(database_url=of_a_role_without_rights, redis_url="")
    assert there(url) == ALL - {"urls_search"}
    with released():
        assert indexes.missing() == []
    api.url("https://example.com/Needle")
    assert len(api.get("/urls?q=NEEDLE")) == 1
    assert api.get("/health/ready")["status"] == "ready"


def test_migrate_adds_the_index_once_the_extension_is_there(
    bound: Bound, holdfast: Command, url: str, of_a_role_without_rights: str
) -> None:
    bound(database_url=of_a_role_without_rights, redis_url="")
    ask(url, "CREATE EXTENSION pg_trgm")
    own = {"database_url": of_a_role_without_rights, "redis_url": ""}
    said = holdfast("migrate", **own).output
    assert said == "The schema is up to date\nBuilt the index urls_search\n"
    assert there(url) == ALL
    assert holdfast("migrate", **own).output == "The schema is up to date\n"


def test_on_a_large_table_the_migration_builds_nothing_and_the_command_does(
    bound: Bound, holdfast: Command, url: str
) -> None:
    bound(database_url=url, redis_url="")
    many_rows()
    with released(), db.atomic():
        indexes.build_small()
    assert there(url) == {"events_time"}
    said = holdfast("migrate", database_url=url, redis_url="").output.splitlines()
    assert said[1:] == ["Built the index urls_created", "Built the index urls_search"]
    assert there(url) == ALL


def test_an_index_whose_building_was_interrupted_is_built_anew(bound: Bound, url: str) -> None:
    bound(database_url=url, redis_url="")
    name = "'urls_created'::regclass"
    ask(url, f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = {name}")
    assert there(url) == ALL - {"urls_created"}
    assert indexes.build() == ["urls_created"]
    assert there(url) == ALL
    assert indexes.build() == []


def test_only_one_process_builds(bound: Bound, url: str) -> None:
    bound(database_url=url, redis_url="")
    many_rows()
    with closing(psycopg2.connect(url.replace("+pool", ""))) as other:
        other.cursor().execute("SELECT pg_advisory_lock(hashtext('holdfast indexes'))")
        assert indexes.build() == []
    assert there(url) == set()


def test_writers_go_on_while_an_index_is_built(bound: Bound, url: str) -> None:
    api = bound(database_url=url, redis_url="")
    many_rows()
    building = Thread(target=indexes.build_in_background)
    with closing(psycopg2.connect(url.replace("+pool", ""))) as writer:
        writer.cursor().execute("UPDATE urls SET click_count = 1 WHERE id = 1")
        building.start()  # it waits for that transaction
        waiting = "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX %'"
        wait_for(lambda: bool(ask(url, f"{waiting} AND wait_event_type = 'Lock'")))
        api.client.patch(f"/urls?ids={api.url()['id']}&dry_run=false", json={"action": "delete"})
        assert api.get("/urls?per_page=1&sort=-id")[0]["short_code"] == "c10001"
        writer.commit()
    building.join()
    assert there(url) == ALL


def test_the_worker_builds_them_beside_its_work(
    bound: Bound, redis_server: Redis, url: str
) -> None:
    bound(database_url=url, redis_url=redis_server.url)
    many_rows()
    Worker().turn()
    wait_for(lambda: there(url) == ALL)
