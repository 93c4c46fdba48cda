"""Links with rules over three replicas: each way of a redirect, and what dies meanwhile."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from testkit.load import LOST, Client, Load, click_events
from testkit.servers import LONG_LOCKS, App, Postgres, Redis, wait_for
from testkit.service import front_door
from testkit.stack import Stack

pytestmark = pytest.mark.services

TARGET = "https://example.com/a?b=1#c"
FORWARDED = "https://example.com/a?b=1&d=2#c"
OVER = "https://example.com/over"
LIMIT, FOLLOWED = 100, 500


@dataclass
class Replicas:
    postgres: Postgres
    redis: Redis
    apps: list[App]
    client: Client

    def url(self, **rules: Any) -> dict[str, Any]:
        made: dict[str, Any] = self.client.json("POST", "/urls", {"original_url": TARGET, **rules})
        return made

    def follow(self, url: dict[str, Any], number: int = 0) -> tuple[int, str]:
        client = Client(self.apps[number].port, patient=False)
        try:
            return client.request("GET", f"/{url['short_code']}?d=2")[:2]
        finally:
            client.close()


@pytest.fixture
def replicas(postgres_server: Postgres) -> Iterator[Replicas]:
    with _replicas(postgres_server) as started:
        yield started


@contextmanager
def _replicas(postgres_server: Postgres, **more: str) -> Iterator[Replicas]:
    with ExitStack() as stack:
        redis = Redis()
        environ = {
            "DATABASE_URL": postgres_server.another_database() + LONG_LOCKS,
            "REDIS_URL": redis.url,
            "WEB_WORKERS": "1",
            **more,
        }
        apps = [App(**environ) for _ in range(3)]
        for server in (redis, *apps):
            stack.callback(server.destroy)
            server.start()
        client = Client(apps[0].port, patient=True)
        stack.callback(client.close)
        yield Replicas(postgres_server, redis, apps, client)


RULES: dict[str, dict[str, Any]] = {
    "plain": {},
    "status": {"redirect_status": 308},
    "end": {"expires_at": "2099-01-02T03:04:05Z", "expired_url": OVER},
    "query": {"forward_query": True, "redirect_status": 307},
    "limit": {"max_clicks": 100, "forward_query": True},
    "words": {"tags": ["a"], "title": "b"},
}
LEADS = {
    "plain": (302, TARGET),
    "status": (308, TARGET),
    "end": (302, TARGET),
    "query": (307, FORWARDED),
    "limit": (302, FORWARDED),
    "words": (302, TARGET),
}


def test_every_rule_holds_on_every_way(replicas: Replicas) -> None:
    urls = {name: replicas.url(**rules) for name, rules in RULES.items()}

    def led() -> dict[str, tuple[int, str]]:
        return {name: replicas.follow(url) for name, url in urls.items()}

    assert led() == LEADS, "cached as it was made"
    replicas.redis.stop()
    assert led() == LEADS, "without Redis"
    replicas.redis.start()
    wait_for(
        lambda: replicas.client.json("GET", "/health")["cache"] == "connected", what="the cache"
    )
    assert led() == LEADS, "cached again by a miss, or as before"
    assert led() == LEADS, "cached"
    replicas.postgres.stop()
    try:
        without = led()
    finally:
        replicas.postgres.start()
    assert without.pop("limit")[0] == 503, "only the database knows the limit"
    assert without == {name: LEADS[name] for name in without}, "without PostgreSQL"
    wait_for(lambda: replicas.client.json("GET", "/health")["status"] == "ok", what="the database")
    followed = dict.fromkeys(urls, 5) | {"limit": 4}
    counts = {name: replicas.client.json("GET", f"/urls/{url['id']}") for name, url in urls.items()}
    assert {name: url["click_count"] for name, url in counts.items()} == followed


@pytest.mark.parametrize("agents", [("",), ("", "Slackbot ")], ids=["people", "previews between"])
def test_a_limit_holds_over_three_replicas_of_which_one_is_killed(
    replicas: Replicas, agents: tuple[str, ...]
) -> None:
    url = replicas.url(max_clicks=LIMIT)
    codes = [url["short_code"]]
    share = FOLLOWED * len(agents) // 3 + 1
    loads = [Load(app.port, codes, share, agents=agents) for app in replicas.apps]
    with ExitStack() as stack:
        for load in loads:
            stack.enter_context(load)
        # One of the first: the limit is not reached yet.
        loads[2].when(0.02, lambda: os.kill(replicas.apps[2].children()[0], signal.SIGKILL))
    statuses = {name: status for load in loads for name, status in _named(load).items()}
    assert set(statuses.values()) <= {302, 410, LOST}
    people = {name for name in statuses if "Slackbot" not in name}
    events = [event["details"]["user_agent"] for event in click_events(replicas.client)]
    stored = [name for name in events if "Slackbot" not in name]
    assert len(stored) == LIMIT
    answered = [name for name in people if statuses[name] == 302]
    lost = sum(statuses[name] == LOST for name in people)
    assert LIMIT - lost <= len(answered) <= LIMIT
    shown = replicas.client.json("GET", f"/urls/{url['id']}")
    assert (shown["people_count"], shown["click_count"]) == (LIMIT, len(events))
    assert shown["robot_count"] >= sum(statuses[name] == 302 for name in statuses.keys() - people)


class Dying:
    """Before a replica: lets each request arrive there and be answered, then breaks the connection.

    So does a replica that dies between a commit and its answer, each time.
    """

    def __init__(self, port: int) -> None:
        self._behind, self._server = port, socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port, self.times = int(self._server.getsockname()[1]), 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):  # closed
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._work, args=(connection,), daemon=True).start()

    def _work(self, connection: socket.socket) -> None:
        with connection, socket.create_connection(("127.0.0.1", self._behind)) as replica:
            if request := connection.recv(65_536):
                replica.sendall(request)
                self.times += replica.recv(65_536).startswith(b"HTTP/1.1 302")

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@pytest.mark.parametrize("dies", ["once", "each time"])
def test_behind_nginx_as_many_are_answered_as_the_limit_says(
    postgres_server: Postgres, dies: str
) -> None:
    with ExitStack() as cleanup, _replicas(postgres_server, TRUSTED_PROXIES="1") as replicas:
        stack, dying = Stack(cleanup), Dying(replicas.apps[2].port)
        cleanup.callback(dying.close)
        ports = [app.port for app in replicas.apps]
        stack.replica_ports = ports if dies == "once" else [ports[0], dying.port]
        front_door(stack)
        url = replicas.url(max_clicks=LIMIT)
        with Load(stack.port, [url["short_code"]], FOLLOWED) as load:
            if dies == "once":
                load.when(0.02, lambda: os.kill(replicas.apps[2].children()[0], signal.SIGKILL))
        assert load.counts() == {302: LIMIT, 410: FOLLOWED - LIMIT}
        assert bool(dying.times) is (dies == "each time")
        answered = {name for name, status in load.statuses.items() if status == 302}
        events = [event["details"]["user_agent"] for event in click_events(replicas.client)]
        assert sorted(events) == sorted(answered)


def _named(load: Load) -> dict[str, int]:
    return {f"{load.port} {name}": status for name, status in load.statuses.items()}


@pytest.mark.parametrize("expired_url", [None, OVER])
def test_no_replica_follows_a_link_beyond_its_second(
    replicas: Replicas, expired_url: str | None
) -> None:
    end = int(time.time()) + 3
    moment = datetime.fromtimestamp(end, UTC).isoformat()
    url = replicas.url(expires_at=moment, expired_url=expired_url)
    seen: list[tuple[float, float, int, str]] = []

    def follow(port: int) -> None:
        client = Client(port)
        while time.time() < end + 1:
            began = time.time()
            status, leads_to, _ = client.request("GET", f"/{url['short_code']}")
            seen.append((began, time.time(), status, leads_to))
            time.sleep(0.03)
        client.close()

    threads = [threading.Thread(target=follow, args=(app.port,)) for app in replicas.apps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    before = {each[2:] for each in seen if each[1] < end}
    after = {each[2:] for each in seen if each[0] >= end}
    assert before == {(302, TARGET)}
    assert after == {(302, OVER) if expired_url else (410, "")}
    clicks = replicas.client.json("GET", f"/urls/{url['id']}")["click_count"]
    assert clicks == sum(each[2:] == (302, TARGET) for each in seen)
