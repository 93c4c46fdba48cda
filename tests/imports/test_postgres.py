"""Imports beside other clients of the same PostgreSQL: locks, failures, what is left."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import psycopg2
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app import bind
from app.config import Settings
from app.database import db, release
from app.imports import importing, staging
from testkit.servers import wait_for
from tests.conftest import Api
from tests.imports.uploads import counts, post_csv, postgres

pytestmark = pytest.mark.services

FILE = "username,email\nada,ada@example.com\nbob,bob@example.com\neve,eve@example.com\n"


@pytest.fixture
def other(app: Flask, settings: Settings) -> Iterator[Any]:
    """Another client's connection, in a transaction of its own."""
    with closing(postgres(settings)) as connection:
        yield connection


@pytest.fixture
def hurried(app: Flask, settings: Settings) -> Iterator[Flask]:
    """The application with statements that may take 3 s only, and wait 0.2 s for a lock."""
    options = "?options=-c%20statement_timeout%3D3000%20-c%20lock_timeout%3D200"
    bind(replace(settings, database_url=settings.database_url + options))
    yield app
    release()
    db.obj.close_all()
    bind(settings)


def _in_a_thread(app: Flask, content: str) -> Future[TestResponse]:
    def upload() -> TestResponse:
        try:
            return post_csv(app.test_client(), content)
        finally:
            release()

    threads = ThreadPoolExecutor(1)
    future = threads.submit(upload)
    threads.shutdown(wait=False)
    return future


def _waits(connection: Any, seconds: float = 0) -> bool:
    """Whether somebody has waited for a lock for so long."""
    cursor = connection.cursor()
    cursor.execute(
        "SELECT pg_stat_clear_snapshot()"
    )  # a transaction sees others as they were when it first looked
    cursor.execute(
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
        f"AND clock_timestamp() - query_start > interval '{seconds} s'"
    )
    return cursor.fetchone() is not None


def _insert(connection: Any, name: str) -> None:
    connection.cursor().execute(
        "INSERT INTO users (username, email, created_at) "
        f"VALUES ('{name}', '{name.upper()}@example.com', now())"
    )


def _left_behind(connection: Any) -> tuple[int, int]:
    """How many temporary tables, and transactions of others, there are."""
    connection.rollback()
    cursor = connection.cursor()
    cursor.execute("SELECT count(*) FROM pg_class WHERE relpersistence = 't'")
    temporary = cursor.fetchone()[0]
    cursor.execute(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()"
    )
    return int(temporary), int(cursor.fetchone()[0])


def _timeouts() -> list[str]:
    return [
        db.execute_sql(f"SHOW {name}").fetchone()[0]
        for name in ("statement_timeout", "lock_timeout")
    ]


def test_a_user_stored_at_the_same_moment_is_met_however_long_that_takes(
    hurried: Flask, other: Any
) -> None:
    _insert(other, "bob")
    upload = _in_a_thread(hurried, FILE)
    wait_for(lambda: _waits(other, seconds=3.5))
    other.commit()
    answer = upload.result()
    assert (answer.status_code, answer.json["imported"], answer.json["created"]) == (201, 3, 2)
    assert _timeouts() == ["3s", "200ms"]
    assert _left_behind(other) == (0, 0)


def test_a_user_who_is_not_stored_after_all_is_created(app: Flask, other: Any) -> None:
    _insert(other, "bob")
    upload = _in_a_thread(app, FILE)
    wait_for(lambda: _waits(other))
    other.rollback()
    assert upload.result().json["created"] == 3


def test_an_import_that_waits_for_who_waits_for_it_tries_again(app: Flask, other: Any) -> None:
    other.cursor().execute("SET deadlock_timeout = '30 s'")
    _insert(other, "eve")
    upload = _in_a_thread(app, FILE)
    wait_for(lambda: _waits(other))
    _insert(other, "ada")
    other.commit()
    answer = upload.result()
    assert (answer.status_code, answer.json["imported"], answer.json["created"]) == (201, 3, 1)
    assert counts()["users"] == 3


def test_an_import_whose_connection_dies_stores_nothing_and_the_next_one_works(
    app: Flask, other: Any
) -> None:
    _insert(other, "eve")
    upload = _in_a_thread(app, FILE)
    wait_for(lambda: _waits(other))
    other.cursor().execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    )
    answer = upload.result()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    other.rollback()
    assert counts()["users"] == 0
    assert post_csv(app.test_client(), FILE).json["created"] == 3


@pytest.mark.parametrize(
    "content",
    [
        FILE,
        "username,email\nada\n",
        FILE * 1000 + "\x00,",
        "nothing",
        b"username,email\n" + b"a,a@b.example\n" * 9000 + b"\xff",
    ],
)
def test_no_import_leaves_anything_behind_on_its_connection(
    app: Flask, other: Any, content: str | bytes
) -> None:
    with app.app_context():  # the connection goes back into the pool after the questions only
        assert post_csv(app.test_client(), content).status_code in (201, 400)
        assert _timeouts() == ["5s", "800ms"]
        assert _left_behind(other) == (0, 0)


def test_a_strict_load_that_stops_leaves_nothing_behind(
    app: Flask, other: Any, tmp_path: Path
) -> None:
    path = tmp_path / "users.csv"
    path.write_text(FILE + "zoe,nowhere\n")
    with pytest.raises(staging.Stopped):
        importing.load([str(path)], strict=True)
    assert _timeouts() == ["5s", "800ms"]
    assert _left_behind(other) == (0, 0)
    assert importing.load([str(path)]).files[0].created == 3


def test_events_without_ids_that_are_loaded_several_times_at_once_are_stored_once(
    app: Flask, tmp_path: Path
) -> None:
    path = tmp_path / "events.csv"
    path.write_text(
        "event_type,timestamp\n"
        + "".join(f"shared,2024-01-01 10:{n // 60:02}:{n % 60:02}\n" for n in range(2000))
    )
    start = Barrier(4)

    def load(_number: int) -> int:
        try:
            start.wait()
            return importing.load([str(path)]).files[0].created
        finally:
            release()

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(load, range(4))) == [0, 0, 0, 2000]
    assert counts()["events"] == 2000


def test_a_link_cannot_be_deleted_while_its_events_are_loaded(
    app: Flask, other: Any, settings: Settings, tmp_path: Path
) -> None:
    """Nor can what is loaded refer to it afterwards."""
    url = Api(app.test_client()).url()["id"]
    path = tmp_path / "events.csv"
    path.write_text(f"id,url_id,event_type\n77,{url},clicked\n")
    other.cursor().execute("SELECT pg_advisory_xact_lock(hashtext('holdfast drain'))")
    with ThreadPoolExecutor(1) as threads:
        loaded = threads.submit(lambda: (importing.load([str(path)]), release()))
        try:
            wait_for(lambda: _waits(other))
            with closing(postgres(settings)) as third:
                delete = f"SET lock_timeout = 200; DELETE FROM urls WHERE id = {url}"
                with pytest.raises(psycopg2.errors.LockNotAvailable):
                    third.cursor().execute(delete)
        finally:
            other.commit()
        assert loaded.result()[0].files[0].created == 1
    other.cursor().execute(f"DELETE FROM urls WHERE id = {url}")
    other.commit()
    assert counts()["events"] == 0
