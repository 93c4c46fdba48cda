"""PostgreSQL on several hosts: the pool finds the one that takes writes, forgets the last one."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any, NamedTuple

import psycopg2
import pytest
import redis

from app import database
from app import watch as watching
from app.database import db, released
from app.redirects.drain import drain
from app.worker import Worker
from testkit.poolers import Standby
from testkit.servers import Postgres, Redis, Silent, wait_for
from tests.conftest import Api, pause_over
from tests.refusals import sql
from tests.test_database import assert_unavailable, at_once
from tests.test_database_refusing import read_only

Bound = Callable[..., Api]
pytestmark = pytest.mark.services


class Pair(NamedTuple):
    primary: Postgres
    standby: Standby

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in reversed(self))
        return f"postgresql://holdfast@{hosts}/holdfast"


@pytest.fixture
def pair() -> Iterator[Pair]:
    with ExitStack() as cleanup:
        primary = Postgres()
        cleanup.callback(primary.destroy)
        primary.start()
        standby = Standby(primary)
        cleanup.callback(standby.destroy)
        standby.start()
        sql(primary.url, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        sql(primary.url, "SELECT pg_reload_conf()")
        wait_for(lambda: is_synchronous(primary.url), what="the synchronous standby")
        yield Pair(primary, standby)


def is_synchronous(url: str) -> bool:
    with closing(psycopg2.connect(url.replace("+pool", ""))) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'")
        return cursor.fetchone() is not None


def create(api: Api, number: int = 1) -> int:
    body = {"original_url": f"https://example.com/{number}"}
    return int(api.client.application.test_client().post("/urls", json=body).status_code)


def test_the_host_that_takes_writes_is_found_and_after_its_death_the_promoted_one(
    bound: Bound, pair: Pair, redis_server: Redis, held: redis.Redis
) -> None:
    api = bound(database_url=pair.url, redis_url=redis_server.url)
    assert set(at_once(5, lambda number: create(api, number))) == {201}
    url = api.url("https://example.com/cached")
    api.follow(url, 2)
    assert drain.run() == 2
    worker = Worker()
    pair.primary.kill()
    api.follow(url, 3)  # redirects never notice
    assert_unavailable(api.client.get("/users"))
    assert worker.turn() == 0
    pair.standby.promote()
    pause_over()
    wait_for(lambda: create(api) == 201, what="writes")
    assert set(at_once(5, lambda number: create(api, number))) == {201}
    wait_for(lambda: worker.turn() > 0, what="the worker")
    assert api.clicks(url) == 5
    assert held.xlen("clicks") == 0


def test_a_host_that_hangs_up_and_one_that_is_silent_are_passed_over(
    bound: Bound, postgres_server: Postgres
) -> None:
    with (
        Silent() as silent,
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), HangsUp) as proxy,
    ):
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        hosts = [f"127.0.0.1:{port}" for port in (proxy.server_address[1], silent.port)]
        hosts.append(f"127.0.0.1:{postgres_server.port}")
        api = bound(database_url=f"postgresql://holdfast@{','.join(hosts)}/holdfast", redis_url="")
        assert create(api) == 201
        proxy.shutdown()


class HangsUp(socketserver.BaseRequestHandler):
    """A proxy before a server that is dead: it accepts each connection, and closes it."""


def test_connections_to_a_frozen_server_are_not_used_once_another_one_takes_writes(
    bound: Bound, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_TIMEOUT_SECONDS", 0.5)
    api = bound(database_url=pair.url, redis_url="")
    assert set(at_once(5, lambda number: create(api, number))) == {201}
    with pair.primary.frozen():
        assert_unavailable(api.client.get("/users"))
        pair.standby.promote()
        wait_for(lambda: create(api) == 201, what="writes")
        assert set(at_once(5, lambda number: create(api, number))) == {201}


def test_work_without_timeouts_ends_when_writes_go_to_another_server_though_nobody_else_asks(
    bound: Bound, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(watching, "_LEADER_SECONDS", 0.5)
    api = bound(database_url=pair.url, redis_url="")
    ended: list[Exception] = []

    def work() -> None:
        with released(), database.without_timeouts():
            try:
                db.execute_sql("SELECT pg_sleep(60)")
            except database.DatabaseUnavailable as error:
                ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    asleep = "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"
    with released():
        wait_for(lambda: db.execute_sql(asleep).fetchone() is not None, what="the long work")
    with pair.primary.frozen():
        pair.standby.promote()
        thread.join(30)
        assert len(ended) == 1
        assert create(api) == 201


def test_a_connection_that_refused_a_write_is_not_used_again(
    bound: Bound, postgres_server: Postgres
) -> None:
    url = postgres_server.another_database()
    api = bound(database_url=url, redis_url="")
    with read_only(url):
        db.obj.close_all()
        assert create(api) == 503
        assert api.client.get("/health/ready").status_code == 503
    assert create(api) == 201


def test_one_session_that_ends_takes_all_idle_ones_with_it(
    bound: Bound, postgres_server: Postgres
) -> None:
    api = bound(database_url=postgres_server.url, redis_url="")
    at_once(3, lambda number: create(api, number))
    before = db.obj.age
    with released():
        pid = db.execute_sql("SELECT pg_backend_pid()").fetchone()[0]
        sql(postgres_server.url, f"SELECT pg_terminate_backend({pid})")
        with pytest.raises(database.DatabaseUnavailable):
            db.execute_sql("SELECT 1")
    assert db.obj.age == before + 1
    assert create(api) == 201


def test_backups_are_taken_from_the_host_that_takes_writes(
    bound: Bound, pair: Pair, tmp_path: Any, holdfast: Callable[..., Any]
) -> None:
    bound(database_url=pair.url, redis_url="").url("https://example.com/kept")
    result = holdfast("backup", tmp_path / "dump", database_url=pair.url, redis_url="")
    assert (result.exit_code, (tmp_path / "dump").exists()) == (0, True), result.output
