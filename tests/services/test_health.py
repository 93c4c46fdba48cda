"""How a replica says that it is, while what it depends on is there, gone, or silent."""

from __future__ import annotations

import ctypes
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from app import bind
from app.config import Settings
from app.database import db
from app.migrations import schema
from app.services import health
from testkit.machine import Stopwatch
from testkit.servers import HANGS_SECONDS, Postgres, Redis, free_port, wait_for
from tests.conftest import Api

Rebind = Callable[..., None]


@pytest.fixture
def rebind(client: FlaskClient, settings: Settings) -> Iterator[Rebind]:
    """Binds the application to other settings until the test ends."""
    yield lambda **changes: bind(replace(settings, **changes))
    bind(settings)
    schema.ensure()
    wait_for(lambda: health.alive()["database"] == "connected", what="the database after an outage")


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Takes connections and never says a word."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=50)) as listener:
        yield listener.getsockname()[1]


def timed(client: FlaskClient, path: str) -> tuple[Any, float]:
    """The answer, and how long it took; what the machine kept from us counts twice.

    Awake too late, health waits as long again.
    """
    watch = Stopwatch()
    response = client.get(path)
    return response, watch.seconds - watch.delay


def shows(client: FlaskClient, path: str, status: int, body: dict[str, Any]) -> None:
    """Exactly this; on a busy machine a dependency that is there may be asked more than once."""

    def is_shown() -> bool:
        response = client.get(path)
        return (response.status_code, response.json) == (status, body)

    wait_for(is_shown, what=f"{body} on {path}")


def test_all_is_well(client: FlaskClient, settings: Settings) -> None:
    cache = "connected" if settings.redis_url else "disabled"
    state = {"database": "connected", "cache": cache}
    shows(client, "/health", 200, {"status": "ok", **state})
    shows(client, "/health/ready", 200, {"status": "ready", **state, "schema_applied": True})


@pytest.mark.parametrize("where", ["nobody listens", "silent"])
def test_without_its_database_it_lives_and_is_not_ready(
    client: FlaskClient, rebind: Rebind, silent_port: int, where: str
) -> None:
    port = free_port() if where == "nobody listens" else silent_port
    rebind(database_url=f"postgresql://127.0.0.1:{port}/holdfast", redis_url="")
    for _ in range(3):
        response, seconds = timed(client, "/health")
        assert (response.status_code, response.json) == (
            200,
            {"status": "degraded", "database": "disconnected", "cache": "disabled"},
        )
        assert seconds < 0.3
    response, seconds = timed(client, "/health/ready")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert (
        response.json["message"]
        == "This replica is not ready: database disconnected, cache disabled, schema not applied"
    )
    assert seconds < 0.3


@pytest.mark.parametrize("where", ["nobody listens", "silent"])
def test_without_its_cache_it_is_degraded_and_ready(
    client: FlaskClient, rebind: Rebind, silent_port: int, where: str
) -> None:
    port = free_port() if where == "nobody listens" else silent_port
    rebind(redis_url=f"redis://127.0.0.1:{port}/0")
    schema.ensure()
    for _ in range(3):
        response, seconds = timed(client, "/health")
        assert (response.status_code, response.json["status"]) == (200, "degraded")
        assert response.json["cache"] == "disconnected"
        assert seconds < 0.3
    state = {"database": "connected", "cache": "disconnected"}
    shows(client, "/health", 200, {"status": "degraded", **state})
    shows(client, "/health/ready", 200, {"status": "ready", **state, "schema_applied": True})


@pytest.mark.parametrize("where", ["nobody listens", "silent"])
def test_the_metrics_are_there_without_database_and_cache(
    client: FlaskClient, rebind: Rebind, silent_port: int, where: str
) -> None:
    port = free_port() if where == "nobody listens" else silent_port
    rebind(
        database_url=f"postgresql://127.0.0.1:{port}/holdfast",
        redis_url=f"redis://127.0.0.1:{port}/0",
    )
    response, seconds = timed(client, "/metrics")
    assert response.status_code == 200
    assert "http_requests_total" in response.text
    assert "active_urls" not in response.text
    assert "click_backlog" not in response.text
    assert seconds < 5


def _stand_still(seconds: float) -> None:
    """No thread of this process runs meanwhile: a PyDLL keeps the interpreter's lock while it
    calls.
    """
    ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))


def test_what_a_machine_that_stands_still_delays_is_not_called_gone() -> None:
    def answer() -> str:
        threading.Thread(target=_stand_still, args=(2,)).start()
        for _ in range(10):
            time.sleep(0.002)
        return "connected"

    assert health.ask([health.Probe(answer, "disconnected")], 1) == ["connected"]


def test_what_does_not_answer_in_time_is_called_gone_and_is_not_asked_twice() -> None:
    asked, over = [], threading.Event()

    def answer() -> str:
        asked.append(over.wait(HANGS_SECONDS))
        return "connected"

    probe = health.Probe(answer, "disconnected")
    assert [health.ask([probe], 0.05) for _ in range(2)] == [["disconnected"]] * 2
    over.set()
    assert health.ask([probe], HANGS_SECONDS) == ["connected"]
    assert asked == [True]


def test_a_database_without_our_tables_is_no_reason_to_fail(
    client: FlaskClient, rebind: Rebind, tmp_path: Any
) -> None:
    rebind(database_url=f"sqlite:///{tmp_path}/holdfast.db", redis_url="")
    schema.ready = True  # somebody dropped the tables behind our back
    # The tables are made meanwhile, which may take longer than /health waits.
    wait_for(lambda: client.get("/health").json["status"] == "ok", what="the tables")
    assert client.get("/metrics").status_code == 200


def test_counting_links_is_done_again_only_after_many_times_as_long_as_it_took(api: Api) -> None:
    times = iter(
        [0.0, 1.0, 49.0, 50.9, 51.1, 51.2]
    )  # asked for before and after a count, and once where there is none
    counter = health.ActiveUrls(clock=lambda: next(times))
    api.url()
    assert counter.count() == 1
    api.url()
    assert (counter.count(), counter.count()) == (1, 1)
    assert counter.count() == 2


@pytest.mark.services
def test_a_postgresql_without_our_tables_is_no_reason_to_fail(
    client: FlaskClient, rebind: Rebind, postgres_server: Postgres
) -> None:
    rebind(database_url=postgres_server.url, redis_url="")
    db.execute_sql("CREATE DATABASE nothing")
    rebind(database_url=postgres_server.url.removesuffix("holdfast") + "nothing", redis_url="")
    schema.ready = True
    wait_for(lambda: health.alive()["database"] == "connected", what="the database")
    assert client.get("/metrics").status_code == 200


@pytest.mark.services
def test_a_database_that_is_killed_and_comes_back_shows_at_once(
    client: FlaskClient, rebind: Rebind
) -> None:
    server = Postgres()
    try:
        server.start()
        rebind(database_url=server.url, redis_url="")
        wait_for(lambda: health.alive()["database"] == "connected", what="the database")
        server.kill()
        assert client.get("/health").json["database"] == "disconnected"
        server.start()
        wait_for(lambda: bool(client.get("/health/ready").status_code == 200), what="readiness")
    finally:
        server.destroy()


@pytest.mark.services
def test_a_redis_that_stops_answering_shows_within_the_time_that_health_may_take(
    client: FlaskClient, rebind: Rebind
) -> None:
    server = Redis()
    try:
        server.start()
        rebind(redis_url=server.url)
        schema.ensure()
        wait_for(lambda: health.alive()["cache"] == "connected", what="the cache")
        server.send(signal.SIGSTOP)
        response, seconds = timed(client, "/health")
        assert (response.json["cache"], seconds < 0.3) == ("disconnected", True)
        server.send(signal.SIGCONT)
        wait_for(
            lambda: bool(client.get("/health").json["cache"] == "connected"),
            what="the cache's return",
        )
    finally:
        server.destroy()
