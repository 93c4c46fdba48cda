"""The worker: drains clicks, delivers pending updates, warms the cache, outlives both stores."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from app.models import Event
from app.redirects.connection import redis_connection
from app.redirects.links import cache, count_pending
from app.worker import Worker
from testkit.servers import Postgres, Redis, free_port, wait_for
from tests.conftest import Api

Bound = Callable[..., Api]


def clicks_stored() -> int:
    return Event.select().where(Event.event_type == "clicked").count()


def follow(api: Api, url: dict[str, Any]) -> None:
    assert api.client.get(f"/{url['short_code']}").status_code == 302


@pytest.mark.services
def test_a_round_moves_the_clicks_that_wait(shared: Api) -> None:
    follow(shared, shared.url())
    worker = Worker()
    assert (worker.turn(), clicks_stored()) == (1, 1)
    assert worker.turn() == 0


@pytest.mark.services
def test_a_round_delivers_what_redis_missed(shared: Api, redis_server: Redis) -> None:
    url = shared.url()
    redis_server.kill()
    shared.client.put(f"/urls/{url['id']}", json={"is_active": False})
    redis_server.start()
    assert Worker().turn() == 1
    assert count_pending() == 0
    held = cache.get_link(url["short_code"])
    assert held is not None
    assert held.state == "i"


@pytest.mark.services
def test_the_first_round_warms_the_cache_up_as_soon_as_redis_is_there(
    shared: Api, redis_server: Redis
) -> None:
    code = shared.url()["short_code"]
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    worker = Worker()
    redis_server.kill()
    worker.turn()
    assert not worker.warm
    redis_server.start()
    worker.turn()
    redis_connection.breaker.answered()  # as if a second had passed
    worker.turn()
    assert worker.warm
    assert shared.client.get(f"/{code}").headers["X-Cache"] == "HIT"


@pytest.mark.services
def test_an_unavailable_database_stops_no_worker(
    bound: Bound, redis_server: Redis, postgres_server: Postgres
) -> None:
    api = bound(database_url=postgres_server.url, redis_url=redis_server.url)
    follow(api, api.url())
    worker = Worker()
    worker.stopping.wait = lambda _seconds: True  # type: ignore[assignment,misc]  # nobody waits in this test
    postgres_server.kill()
    assert worker.turn() == 0
    postgres_server.start()
    wait_for(lambda: worker.turn() > 0)
    assert clicks_stored() == 1


@pytest.mark.services
def test_a_round_without_any_server_does_nothing(bound: Bound) -> None:
    nowhere = free_port()
    bound(
        database_url=f"postgresql+pool://x@127.0.0.1:{nowhere}/x",
        redis_url=f"redis://127.0.0.1:{nowhere}/0",
    )
    worker = Worker()
    worker.stopping.set()
    assert worker.turn() == 0


@pytest.fixture
def signals() -> Iterator[None]:
    before = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}
    yield
    for name, handler in before.items():
        signal.signal(name, handler)


@pytest.mark.services
@pytest.mark.usefixtures("signals")
def test_a_worker_that_is_stopped_moves_what_waits_first(shared: Api) -> None:
    follow(shared, shared.url())
    worker = Worker()
    worker.stop(signal.SIGTERM, None)
    worker.run()
    assert clicks_stored() == 1
