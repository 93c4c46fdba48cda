"""Who waits for whom on PostgreSQL: changes that meet on the same rows wait for each other, never
in a circle.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app.database import db, released
from testkit.servers import LONG_LOCKS, Postgres, Redis, wait_for
from tests.conftest import Api

pytestmark = pytest.mark.services


@pytest.fixture
def shared(
    bound: Callable[..., Api],
    postgres_server: Postgres,
    redis_server: Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> Api:
    monkeypatch.setattr(sys.modules["app.redirects.drain"], "_LOCK_TIMEOUT_MS", 60_000)
    return bound(database_url=postgres_server.url + LONG_LOCKS, redis_url=redis_server.url)


class Request(threading.Thread):
    """A request that is under way; `status` once it is answered."""

    def __init__(self, api: Api, method: str, path: str, **options: Any) -> None:
        super().__init__()
        self._send = lambda: api.client.application.test_client().open(
            path, method=method, **options
        )
        self.start()

    def run(self) -> None:
        response = self._send()
        self.status, self.body = response.status_code, response.get_json(silent=True)


@contextmanager
def nobody_writes_events() -> Iterator[Callable[[int], None]]:
    """Holds everybody up in the middle of a transaction.

    Gives a function that waits until so many are.
    """
    with released(), db.atomic():
        db.execute_sql("LOCK TABLE events IN SHARE MODE")
        yield lambda count: wait_for(
            lambda: (
                db.execute_sql("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0]
                == count
            )
        )


def test_a_link_that_is_made_while_its_owner_is_deleted_is_dead_too(shared: Api) -> None:
    user = shared.user()
    with nobody_writes_events() as held_up:
        made = Request(
            shared,
            "POST",
            "/urls",
            json={"original_url": "https://example.com/", "user_id": user["id"]},
        )
        held_up(1)
        deleted = Request(shared, "DELETE", f"/users/{user['id']}")
        held_up(2)
    made.join()
    deleted.join()
    assert (made.status, deleted.status) == (201, 204)
    assert shared.client.get(f"/{made.body['short_code']}").status_code == 404


def test_a_link_that_is_changed_while_its_owner_is_deleted_is_changed_and_then_dead(
    shared: Api,
) -> None:
    user = shared.user()
    url = shared.url(user_id=user["id"])
    with nobody_writes_events() as held_up:
        changed = Request(shared, "PUT", f"/urls/{url['id']}", json={"title": "new"})
        held_up(1)
        deleted = Request(shared, "DELETE", f"/users/{user['id']}")
        held_up(2)
    changed.join()
    deleted.join()
    assert (changed.status, deleted.status) == (200, 204)
    assert shared.client.get(f"/{url['short_code']}").status_code == 404


def test_clicks_that_are_drained_while_their_owner_is_deleted_stop_neither(shared: Api) -> None:
    user = shared.user()
    url, other = shared.url(user_id=user["id"]), shared.url()
    for link in (url, other):
        assert shared.client.get(f"/{link['short_code']}").status_code == 302
    with nobody_writes_events() as held_up:
        drained = Request(shared, "GET", "/events")
        held_up(1)
        deleted = Request(shared, "DELETE", f"/users/{user['id']}")
        held_up(2)
    drained.join()
    deleted.join()
    assert (drained.status, deleted.status) == (200, 204)
    assert shared.get(f"/urls/{other['id']}")["click_count"] == 1
    assert len(shared.get("/events?type=clicked")) == 1
