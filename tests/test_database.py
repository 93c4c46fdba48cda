"""The database handle: lost connections, an empty pool, a silent server, many writers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from peewee import IntegrityError

from app import bulk, database
from app import watch as watching
from app.database import db, released
from app.models import Event
from testkit.machine import Stopwatch
from testkit.servers import LONG_LOCKS, Postgres, Redis, Silent, wait_for
from tests.conftest import Api, pause_over

Bound = Callable[..., Api]


def at_once(times: int, work: Callable[[int], Any]) -> list[Any]:
    """What `work` returns, called on so many threads at the same time."""
    results: list[Any] = [None] * times
    barrier = threading.Barrier(times)

    def run(number: int) -> None:
        barrier.wait()
        results[number] = work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def assert_unavailable(response: Any) -> None:
    assert (response.status_code, response.headers["Retry-After"], response.json["message"]) == (
        503,
        "1",
        "Database is unavailable",
    )


# ---- PostgreSQL comes and goes ----


@pytest.mark.services
def test_idle_connections_of_a_server_that_was_restarted_are_not_used(
    bound: Bound, postgres_server: Postgres
) -> None:
    api = bound(database_url=postgres_server.url, redis_url="")
    assert (
        at_once(5, lambda _: api.client.application.test_client().get("/users").status_code)
        == [200] * 5
    )
    postgres_server.stop()
    postgres_server.start()
    assert [api.client.get("/users").status_code for _ in range(6)] == [200] * 6


@pytest.mark.services
def test_a_server_that_is_gone_is_a_503_at_once_and_noticed_when_it_is_back(
    bound: Bound, postgres_server: Postgres
) -> None:
    api = bound(database_url=postgres_server.url, redis_url="")
    postgres_server.kill()
    watch = Stopwatch()
    for _ in range(5):
        assert_unavailable(api.client.get("/users"))
    assert watch.seconds < 2
    postgres_server.start()
    pause_over()
    assert api.client.get("/users").status_code == 200


@pytest.mark.services
def test_a_replica_that_starts_without_the_database_works_when_it_is_back(
    bound: Bound, postgres_server: Postgres
) -> None:
    postgres_server.kill()
    api = bound(database_url=postgres_server.url, redis_url="")
    assert_unavailable(api.client.get("/users"))
    assert api.client.get("/health/ready").status_code == 503
    assert api.get("/health")["database"] == "disconnected"
    postgres_server.start()
    pause_over()
    assert api.client.get("/users").status_code == 200
    wait_for(lambda: api.client.get("/health/ready").status_code == 200, what="readiness")


@pytest.mark.services
def test_a_transaction_whose_server_dies_changes_nothing_and_is_a_503(
    bound: Bound, postgres_server: Postgres
) -> None:
    api = bound(database_url=postgres_server.url + LONG_LOCKS, redis_url="")
    user = api.user()
    with released(), ExitStack() as stack:
        stack.enter_context(db.atomic())
        Event.select().for_update().execute()
        db.execute_sql("LOCK TABLE events")
        waiting = threading.Thread(
            target=lambda: answers.append(
                api.client.application.test_client().post("/urls", json=body)
            )
        )
        answers: list[Any] = []
        body = {"original_url": "https://example.com/", "user_id": user["id"]}
        waiting.start()
        held_up = "SELECT 1 FROM pg_locks WHERE NOT granted"
        wait_for(lambda: db.execute_sql(held_up).fetchone() is not None)
        postgres_server.kill()
        waiting.join()
        assert_unavailable(answers[0])
        with pytest.raises(database.DatabaseUnavailable):
            stack.close()
    postgres_server.start()
    pause_over()
    assert api.get("/urls") == []


@pytest.mark.services
def test_a_pool_that_is_empty_is_a_503(bound: Bound, postgres_server: Postgres) -> None:
    api = bound(database_url=f"{postgres_server.url}?max_connections=1&timeout=1", redis_url="")
    with released():
        db.execute_sql("SELECT 1")
        answers = at_once(1, lambda _: api.client.application.test_client().get("/users"))
    assert_unavailable(answers[0])
    assert api.client.get("/users").status_code == 200


# ---- PostgreSQL is silent ----


@pytest.mark.services
def test_health_is_answered_in_time_while_the_database_is_frozen(
    bound: Bound, postgres_server: Postgres
) -> None:
    api = bound(database_url=postgres_server.url, redis_url="")
    wait_for(lambda: api.get("/health")["database"] == "connected", what="the database")
    with postgres_server.frozen():
        watch = Stopwatch()
        health = api.get("/health")
        assert watch.seconds - watch.delay < 0.5  # awake too late, it waits as long again
        assert (health["status"], health["database"]) == ("degraded", "disconnected")
    wait_for(lambda: api.get("/health")["database"] == "connected")


@pytest.mark.services
def test_health_is_answered_in_time_while_redis_is_frozen(
    bound: Bound, redis_server: Redis
) -> None:
    api = bound(redis_url=redis_server.url)
    wait_for(lambda: api.get("/health")["cache"] == "connected", what="the cache")
    with redis_server.frozen():
        watch = Stopwatch()
        health = api.get("/health")
        assert watch.seconds - watch.delay < 0.5
        assert (health["status"], health["cache"]) == ("degraded", "disconnected")
    wait_for(lambda: api.get("/health")["cache"] == "connected")


@pytest.mark.services
@pytest.mark.parametrize("opened", [1, 3])
def test_a_statement_that_a_frozen_server_never_answers_ends_and_the_next_are_refused_at_once(
    bound: Bound, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch, opened: int
) -> None:
    """With one connection the second request opens another, and fails later than the first."""
    monkeypatch.setattr(watching, "_TIMEOUT_SECONDS", 0.5)
    api = bound(database_url=postgres_server.url, redis_url="")
    at_once(opened, lambda _: api.client.application.test_client().get("/users"))
    with postgres_server.frozen():
        for answer in at_once(2, lambda _: api.client.application.test_client().get("/users")):
            assert_unavailable(answer)
        watch = Stopwatch()
        assert_unavailable(api.client.get("/users"))
        assert watch.seconds < 0.5
    wait_for(lambda: api.client.get("/users").status_code == 200)


@pytest.mark.services
def test_long_work_is_not_taken_for_a_timeout(
    bound: Bound, postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_TIMEOUT_SECONDS", 0.2)
    bound(database_url=postgres_server.url, redis_url="")
    with released(), database.without_timeouts():
        db.execute_sql("SELECT pg_sleep(1)")


@pytest.mark.services
def test_a_statement_that_takes_too_long_is_ended_by_the_server(
    bound: Bound, postgres_server: Postgres
) -> None:
    bound(database_url=f"{postgres_server.url}?options=-c%20statement_timeout%3D200", redis_url="")
    with released(), pytest.raises(database.DatabaseUnavailable):
        db.execute_sql("SELECT pg_sleep(5)")


@pytest.mark.services
def test_a_server_that_accepts_and_never_answers_keeps_only_one_request_waiting(
    bound: Bound,
) -> None:
    with Silent() as silent:
        api = bound(database_url=f"postgresql+pool://x@127.0.0.1:{silent.port}/x", redis_url="")
        pause_over()  # its circuit breaker is open

        def ask(_number: int) -> tuple[Any, float, float]:
            watch = Stopwatch()
            answer = api.client.application.test_client().get("/users")
            return answer, watch.wall, watch.seconds

        answers = at_once(6, ask)
    for answer, _, _ in answers:
        assert_unavailable(answer)
    assert max(wall for _, wall, _ in answers) > 1
    assert sum(seconds > 1 for _, _, seconds in answers) <= 1


# ---- both engines ----


def test_many_writers_at_once_are_all_served(bound: Bound, tmp_path: Path) -> None:
    api = bound(database_url=f"sqlite:///{tmp_path}/holdfast.db", redis_url="")
    url = api.url()

    def write(number: int) -> set[int]:
        client = api.client.application.test_client()
        made = {
            client.post(
                "/urls", json={"original_url": f"https://example.com/{number}/{i}"}
            ).status_code
            for i in range(10)
        }
        changed = {
            client.put(f"/urls/{url['id']}", json={"title": f"{number}/{i}"}).status_code
            for i in range(10)
        }
        return made | changed | {client.get(f"/{url['short_code']}").status_code for _ in range(10)}

    assert set.union(*at_once(8, write)) == {201, 200, 302}
    assert api.get(f"/urls/{url['id']}")["click_count"] == 80
    assert len(api.get("/urls?per_page=100")) == 81


AWKWARD = [
    " ",
    "\\",
    "\\N",
    "\\.",
    "a\tb",
    "a\nb\r\nc",
    '"quoted", and more',
    "NULL",
    "žluťoučký 🐎",
    "'",
]


@pytest.mark.usefixtures("app")
def test_bulk_insert_keeps_every_character() -> None:
    with db.atomic():
        count = bulk.insert(
            "events",
            ("event_type", "timestamp", "details", "url_id"),
            (("x", database.now(), text, None) for text in AWKWARD),
        )
    assert count == len(AWKWARD)
    assert [event.details for event in Event.select().order_by(Event.id)] == AWKWARD
    assert {event.url_id for event in Event.select()} == {None}


@pytest.mark.usefixtures("app")
def test_a_bulk_insert_that_fails_is_one_of_our_errors() -> None:
    with pytest.raises(IntegrityError), db.atomic():
        bulk.insert("events", ("event_type", "timestamp", "details"), [("", database.now(), "{}")])
    assert Event.select().count() == 0


def test_a_sqlite_file_is_made_with_its_folder(bound: Bound, tmp_path: Path) -> None:
    api = bound(database_url=f"sqlite:///{tmp_path}/a/b/holdfast.db", redis_url="")
    assert api.get("/users") == []
    assert (tmp_path / "a/b/holdfast.db").exists()


@pytest.mark.services
def test_a_password_with_odd_characters_reaches_the_server(
    bound: Bound, postgres_server: Postgres
) -> None:
    api = bound(
        database_url=postgres_server.url.replace("holdfast@", "holdfast:p%40ss%2Fw%25rd@"),
        redis_url="",
    )
    assert db.obj.connect_params["password"] == "p@ss/w%rd"
    assert api.get("/users") == []


def test_a_host_that_says_nothing_is_refused_within_a_second() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        callers = [socket.socket() for _ in range(4)]
        for caller in callers:  # whoever calls after them gets no answer at all
            caller.setblocking(False)
            caller.connect_ex(("127.0.0.1", port))
        handle = database.connect(f"postgresql+pool://nobody@127.0.0.1:{port}/nothing")
        watch = Stopwatch()
        with pytest.raises(database.DatabaseUnavailable, match="no connection to"):
            handle.connect()
        assert watch.seconds < 1
        for caller in callers:
            caller.close()
