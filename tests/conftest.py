"""One application for all tests, on SQLite or on the servers that TEST_DATABASE_URL and TEST_REDIS_URL name; each test finds it empty."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.config import Settings
from app.database import db, release
from app.models import CacheUpdate, ClickClaim, Event, Fact, Product, Url, User

TABLES = (CacheUpdate, ClickClaim, Fact, Event, Url, User, Product)


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder: Path = tmp_path_factory.mktemp("holdfast")
    return Settings(
        database_url=os.environ.get("TEST_DATABASE_URL") or f"sqlite:///{folder}/test.db",
        redis_url=os.environ.get("TEST_REDIS_URL", ""),
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
    with db.atomic():
        for table in TABLES:
            table.delete().execute()
    if settings.redis_url:
        with redis.Redis.from_url(settings.redis_url) as client:
            client.flushdb()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def api(client: FlaskClient) -> Api:
    return Api(client)


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

    def get(self, path: str) -> Any:
        response = self.client.get(path)
        assert response.status_code == 200, response.text
        return response.json

    def _made(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = self.client.post(path, json=body)
        assert response.status_code == 201, response.text
        made: dict[str, Any] = response.get_json()
        return made
