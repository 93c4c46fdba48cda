"""One application for all tests; each test finds it empty.

It uses SQLite, or the servers that TEST_DATABASE_URL and TEST_REDIS_URL name.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner, Result
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import settings as hypothesis_settings

from app import bind, create_app, logs
from app.__main__ import main
from app.config import Settings
from app.database import db, dialect, release, without_timeouts
from app.migrations import schema
from app.models import (
    ApiKey,
    Audit,
    CacheUpdate,
    ClickClaim,
    ClickDay,
    ClickHour,
    ClickJournal,
    ClickValue,
    Event,
    IdempotencyKey,
    KeyValue,
    Product,
    Url,
    UrlKey,
    User,
)
from app.redirects.bans import bans
from app.redirects.rollups import folding
from app.services import products, sessions
from testkit.servers import Postgres, Redis, wait_for
from tests.logbook import Log

# A deadline is an absolute time, which a busy machine misses.
hypothesis_settings.register_profile("holdfast", deadline=None)
hypothesis_settings.load_profile("holdfast")

Command = Callable[..., Result]
CLICKS = (ClickJournal, ClickDay, ClickHour, ClickValue)
KEYS = (ApiKey, UrlKey, IdempotencyKey)
TABLES = (*KEYS, CacheUpdate, ClickClaim, *CLICKS, KeyValue, Event, Url, User, Product)


def _server(name: str) -> str:
    """The server that the environment names; each process of `pytest -n 2` may have its own."""
    return os.environ.get(
        f"{name}_{os.environ.get('PYTEST_XDIST_WORKER', '').upper()}"
    ) or os.environ.get(name, "")


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder: Path = tmp_path_factory.mktemp("holdfast")
    return Settings(
        database_url=_server("TEST_DATABASE_URL") or f"sqlite:///{folder}/test.db",
        redis_url=_server("TEST_REDIS_URL"),
        chaos_token="let-me-in",
        log_file=str(folder / "test.log"),
        instance="test",
    )


@pytest.fixture(scope="session")
def session_app(settings: Settings) -> Flask:
    return create_app(settings)


@pytest.fixture
def app(session_app: Flask, settings: Settings) -> Iterator[Flask]:
    """The application, bound as `settings` say, with nothing stored anywhere."""
    empty(settings)
    yield session_app
    release()


def empty(settings: Settings) -> None:
    with without_timeouts(), db.atomic():  # the disk of a busy machine may be slow
        for table in TABLES:
            table.delete().execute()
        empty_audit()
        for name in ("banned_hosts", "retired_codes"):
            db.execute_sql(f"DELETE FROM {name}")
    empty_redis(settings)
    products.forget()
    sessions.forget()
    bans.forget()


def empty_audit() -> None:
    """Rows of the audit trail can only be removed by who owns its table; in the stack they stay."""
    if not Audit.select().exists():
        return
    if dialect().typed:
        owned = "SELECT 1 FROM pg_tables WHERE tablename = 'audit' AND tableowner = current_user"
        if not db.execute_sql(owned).fetchone():
            return
        before = ["ALTER TABLE audit DISABLE TRIGGER USER"]
        after = ["ALTER TABLE audit ENABLE ALWAYS TRIGGER audit_append_only"]
    else:
        triggers = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        found = db.execute_sql(f"{triggers} AND tbl_name = 'audit'").fetchall()
        before = [f"DROP TRIGGER {name}" for name, _ in found]
        after = [sql for _, sql in found]
    for statement in (*before, "DELETE FROM audit", *after):
        db.execute_sql(statement)


def empty_redis(settings: Settings) -> None:
    if settings.redis_url:
        with redis.Redis.from_url(settings.redis_url) as client:
            client.flushdb()


@pytest.fixture
def statements(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The SQL that this thread has sent since the last call; others may still be at work."""
    caplog.set_level(logging.DEBUG, "peewee")

    def sent() -> list[str]:
        ours = [each for each in caplog.records if each.thread == threading.get_ident()]
        caplog.clear()
        return [str(each.args or each.msg) for each in ours if each.name == "peewee"]

    return sent


@pytest.fixture
def given_with(app: Flask) -> Iterator[Callable[..., None]]:
    """Changes settings that routes depend on, as another configuration would have given them."""
    before = dict(app.config)
    yield lambda **changes: app.config.update(
        {name.upper(): value for name, value in changes.items()}
    )
    app.config.update(before)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def api(client: FlaskClient) -> Api:
    return Api(client)


@pytest.fixture
def holdfast(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Runs `python -m app ...` on the tests' servers, or on others."""

    def run(*arguments: object, **changes: str) -> Result:
        finish_folding()
        given = {"database_url": settings.database_url, "redis_url": settings.redis_url, **changes}
        for name, value in given.items():
            monkeypatch.setenv(name.upper(), value)
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    yield run
    release()
    bind(settings)


@pytest.fixture
def log(tmp_path: Path, settings: Settings) -> Iterator[Log]:
    """A log of this test's own."""
    yield Log(tmp_path)
    logs.configure(settings.log_level, settings.instance, settings.log_file, settings.log_max_bytes)


@pytest.fixture
def redis_server() -> Iterator[Redis]:
    """A Redis for this test alone."""
    yield from running(Redis())


@pytest.fixture
def held(redis_server: Redis) -> Iterator[redis.Redis]:
    """What that Redis holds, for looking at and tampering with."""
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


@pytest.fixture
def shared(bound: Callable[..., Api], redis_server: Redis) -> Api:
    """The application with a Redis of its own."""
    return bound(redis_url=redis_server.url)


@pytest.fixture(scope="session")
def session_postgres() -> Iterator[Postgres]:
    yield from running(Postgres())


def running(server: Any) -> Iterator[Any]:
    try:
        server.start()
        yield server
    finally:
        server.destroy()


@pytest.fixture
def postgres_server(session_postgres: Postgres) -> Postgres:
    """A PostgreSQL that a test may kill, stop and start; what is in it stays for the next test."""
    if not session_postgres.running:
        session_postgres.start()
    return session_postgres


@pytest.fixture
def bound(session_app: Flask, settings: Settings) -> Iterator[Callable[..., Api]]:
    """Binds the application to other servers, emptied unless told not to, until the test ends."""
    empty_redis(
        settings
    )  # clicks that wait for another database would keep a new one from being made

    def bind_to(empty_it: bool = True, **changes: Any) -> Api:
        other = replace(settings, **changes)
        finish_folding()
        release()
        bind(other)
        schema.ensure()
        if schema.ready and empty_it:
            empty(replace(other, redis_url=""))
            release()
        return Api(session_app.test_client())

    yield bind_to
    finish_folding()
    release()
    bind(settings)


def finish_folding() -> None:
    """A transaction of another thread would stay open when its database is exchanged."""
    wait_for(lambda: not folding.is_running(), what="the end of the fold")


def pause_over() -> None:
    """Waits until the circuit breakers of Redis and PostgreSQL let a call through again."""
    time.sleep(1.05)


class Api:
    """Shortcuts for what nearly every test begins with; each returns the decoded body."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def user(self, name: str = "ada", **more: Any) -> dict[str, Any]:
        return self._made("/users", {"username": name, "email": f"{name}@example.com", **more})

    def url(self, address: str = "https://example.com/", **more: Any) -> dict[str, Any]:
        return self._made("/urls", {"original_url": address, **more})

    def event(self, event_type: str = "shared", **more: Any) -> dict[str, Any]:
        return self._made("/events", {"event_type": event_type, **more})

    def key(self, name: str = "deploy", scope: str = "write", **more: Any) -> dict[str, Any]:
        return self._made("/keys", {"name": name, "scope": scope, **more})

    def follow(self, url: dict[str, Any], times: int = 1) -> None:
        for _ in range(times):
            assert self.client.get(f"/{url['short_code']}").status_code == 302

    def clicks(self, url: dict[str, Any]) -> int:
        """The number of click events of a link, which its counter must agree with."""
        count = int(
            self.client.get(f"/events?type=clicked&url_id={url['id']}&count=true").headers[
                "X-Total-Count"
            ]
        )
        assert self.get(f"/urls/{url['id']}")["click_count"] == count
        return count

    def get(self, path: str) -> Any:
        response = self.client.get(path)
        assert response.status_code == 200, response.text
        return response.json

    def _made(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = self.client.post(path, json=body)
        assert response.status_code == 201, response.text
        made: dict[str, Any] = response.get_json()
        return made
