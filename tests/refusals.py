"""What tests of a database that refuses have in common."""

from __future__ import annotations

from contextlib import closing
from io import BytesIO
from typing import Any

import psycopg2
import pytest
from peewee import PeeweeException

from app.database import DatabaseUnavailable, db, released
from testkit.servers import Postgres, wait_for
from tests.conftest import Api
from tests.test_database import assert_unavailable

WRITES: list[tuple[str, str, Any]] = [
    ("POST", "/users", {"username": "bob", "email": "bob@example.com"}),
    ("POST", "/urls", {"original_url": "https://example.com/new"}),
    ("POST", "/events", {"event_type": "shared"}),
    ("PUT", "/urls/1", {"title": "x"}),
    ("DELETE", "/urls/1", None),
    ("DELETE", "/users/1", None),
]


def sql(url: str, *statements: str) -> None:
    with closing(psycopg2.connect(url.replace("+pool", ""))) as connection:
        connection.autocommit = True
        for statement in statements:
            connection.cursor().execute(statement)


def encoded(server: Postgres, encoding: str) -> str:
    name = f"in_{encoding.lower()}"
    sql(
        server.url,
        f"DROP DATABASE IF EXISTS {name}",
        f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0",
    )
    return server.url.removesuffix("holdfast") + name


def assert_refuses(api: Api, why: str) -> None:
    for method, path, body in WRITES:
        assert_unavailable(api.client.open(path, method=method, json=body))
    upload = {"file": (BytesIO(b"username,email\nbob,bob@example.com\n"), "users.csv")}
    assert_unavailable(api.client.post("/users/bulk", data=upload))
    state = api.get("/health")
    assert (state["status"], state["database"]) == ("degraded", "refusing")
    ready = api.client.get("/health/ready")
    assert (ready.status_code, ready.headers["Retry-After"]) == (503, "1")
    assert f"database refusing ({why})" in ready.json["message"]
    assert "\ndatabase_writable 0.0\n" in api.client.get("/metrics").text


def assert_works_again(api: Api) -> None:
    wait_for(lambda: bool(api.client.get("/health/ready").status_code == 200), what="readiness")
    assert "\ndatabase_writable 1.0\n" in api.client.get("/metrics").text
    api.url("https://example.com/again")


def assert_is_a_bug(statement: str) -> None:
    with released(), pytest.raises(PeeweeException) as raised:
        db.execute_sql(statement).fetchall()
    assert not isinstance(raised.value, DatabaseUnavailable)
