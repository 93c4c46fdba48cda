"""A whole installation: PostgreSQL, Redis, two server processes and the click worker, each a
process that a test may kill.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from testkit.load import Client
from testkit.servers import LONG_LOCKS, App, ClickWorker, Postgres, Redis


@dataclass
class Installation:
    postgres: Postgres
    redis: Redis
    app: App
    worker: ClickWorker
    client: Client

    def urls(self, count: int) -> list[dict[str, Any]]:
        return [
            self.client.json("POST", "/urls", {"original_url": f"https://example.com/{number}"})
            for number in range(count)
        ]


@pytest.fixture
def installation(postgres_server: Postgres) -> Iterator[Installation]:
    """Empty, with AOF and a sync for each write, as exactness over the death of Redis needs it."""
    with ExitStack() as stack:
        redis = Redis()
        environ = {
            "DATABASE_URL": postgres_server.another_database() + LONG_LOCKS,
            "REDIS_URL": redis.url,
            "WEB_WORKERS": "2",
        }
        app, worker = App(**environ), ClickWorker(**environ)
        for server in (redis, app, worker):
            stack.callback(server.destroy)
            server.start()
        client = Client(app.port)
        stack.callback(client.close)
        yield Installation(postgres_server, redis, app, worker, client)
