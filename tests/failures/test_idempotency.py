"""kill -9 in the middle of requests with an Idempotency-Key: each is done once, and says so."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from testkit.load import LOST, Client
from testkit.servers import App, Postgres, wait_for
from tests.failures.conftest import Installation
from tests.holding import holding
from tests.test_idempotency_at_once import LOCKED

pytestmark = pytest.mark.services

CLIENTS, EACH = 8, 60


def link(key: str, **more: Any) -> dict[str, Any]:
    return {"original_url": "https://example.com/", "title": key, **more}


def post(client: Client, key: str, body: Any) -> tuple[int, bytes]:
    status, _, content = client.request("POST", "/urls", body, **{"Idempotency-Key": f'"{key}"'})
    return status, content


def until_done(client: Client, key: str, body: Any) -> Any:
    """The answer; sends the request again for as long as nobody knows what became of it."""
    while True:
        status, content = post(client, key, body)
        if status == 201:
            return json.loads(content)
        assert status in (LOST, 409, 503), content
        time.sleep(0.05)


def all_links(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while page := client.json("GET", f"/urls?per_page=100&after={found[-1]['id'] if found else 0}"):
        found += page
    return found


def kill_while(threads: list[threading.Thread], app: App) -> int:
    """Kills a server process after the other while the threads run; returns how many."""
    killed = 0
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.4)
        if children := app.children():
            os.kill(children[killed % len(children)], signal.SIGKILL)
            killed += 1
    return killed


@pytest.fixture(params=["sqlite", "postgresql"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[App]:
    """Two server processes on an empty database, without Redis."""
    url = f"sqlite:///{tmp_path}/holdfast.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_server").another_database()
    server = App(DATABASE_URL=url, WEB_WORKERS="2")
    server.start()
    yield server
    server.destroy()


def test_server_processes_are_killed_again_and_again(app: App) -> None:
    made: dict[str, list[Any]] = {}

    def send(number: int) -> None:
        client = Client(app.port)
        for step in range(EACH):
            key = f"{number}-{step}"
            made[key] = [until_done(client, key, link(key)) for _ in range(2)]
        client.close()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    assert kill_while(threads, app) > 2
    with closing(Client(app.port)) as client:
        found = all_links(client)
    links = {url["title"]: url for url in found}
    assert len(found) == len(links) == CLIENTS * EACH
    for key, answers in made.items():
        assert answers == [links[key]] * 2


def test_a_request_that_died_leaves_nothing(installation: Installation) -> None:
    client, database = installation.client, installation.app.environ["DATABASE_URL"]
    user = client.json("POST", "/users", {"username": "ada", "email": "ada@example.com"})
    body = link("k", user_id=user["id"])
    with ExitStack() as stack, holding(database, LOCKED) as waiting:
        other = Client(installation.app.port)
        stack.callback(other.close)
        first = threading.Thread(target=post, args=(other, "k", body))
        first.start()
        wait_for(lambda: waiting() == 1)
        installation.app.kill()
        first.join()
    installation.app.start()
    made = until_done(client, "k", body)
    assert all_links(client) == [made]


def test_another_replica_and_a_restarted_one_give_the_answer_again(
    postgres_server: Postgres,
) -> None:
    environ = {"DATABASE_URL": postgres_server.another_database()}
    with ExitStack() as stack:
        replicas = [App(**environ) for _ in range(2)]
        for replica in replicas:
            stack.callback(replica.destroy)
            replica.start()
        clients = [Client(replica.port) for replica in replicas]
        for client in clients:
            stack.callback(client.close)
        answers = [post(client, "k", link("k")) for client in clients]
        replicas[0].kill()
        replicas[0].start()
        clients[0].close()
        answers.append(post(clients[0], "k", link("k")))
        other = post(clients[1], "k", link("other"))
    assert [status for status, _ in answers] == [201] * 3
    assert len({content for _, content in answers}) == 1
    assert other[0] == 422
