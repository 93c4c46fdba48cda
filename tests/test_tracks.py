"""What /metrics says of a canary and of the replicas beside it: answered, recorded, restarted."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from app.redirects import clicks
from app.redirects.clicks import CANARY, Click
from testkit.load import Client
from testkit.servers import App, ClickWorker, Redis, wait_for
from testkit.webserver import WebServer
from tests.test_metrics import Samples, plain, samples_of


def scraped(client: Client) -> Samples:
    status, _, text = client.request("GET", "/metrics")
    assert status == 200
    return samples_of(text.decode())


def of(client: Client, *names: str) -> list[float]:
    found = scraped(client)
    return [found.get(plain(name), 0.0) for name in names]


@pytest.fixture
def clients(redis_server: Redis, tmp_path: Path) -> Iterator[dict[str, Client]]:
    """Of a stable replica and a canary, with one worker behind them."""
    shared = {"DATABASE_URL": f"sqlite:///{tmp_path}/db", "REDIS_URL": redis_server.url}
    with ExitStack() as cleanup:
        started = {track: App(**shared, TRACK=track) for track in ("stable", "canary")}
        for server in (*started.values(), ClickWorker(**shared)):
            cleanup.callback(server.destroy)
            server.start()
        opened = {track: Client(server.port) for track, server in started.items()}
        for client in opened.values():
            cleanup.callback(client.close)
        yield opened


def link(client: Client, **fields: Any) -> str:
    made = client.json("POST", "/urls", {"original_url": "https://example.com/", **fields})
    return str(made["short_code"])


@pytest.mark.services
def test_the_drain_counts_the_clicks_of_canaries_apart(clients: dict[str, Client]) -> None:
    stable, canary = clients["stable"], clients["canary"]
    code = link(stable)
    for client, times in ((stable, 3), (canary, 2)):
        assert {client.request("GET", f"/{code}")[0] for _ in range(times)} == {302}
    names = "clicks_drained_total", "clicks_drained_canary_total"
    wait_for(lambda: of(stable, *names) == [5, 2], what="both figures")
    assert of(canary, *names) == [5, 2]


@pytest.mark.services
@pytest.mark.parametrize(
    ("fields", "direct"), [({}, 0), ({"redirect_status": 301}, 0), ({"max_clicks": 9}, 3)]
)
def test_each_answered_click_is_counted_as_recorded_once(
    clients: dict[str, Client], fields: dict[str, Any], direct: int
) -> None:
    canary = clients["canary"]
    code = link(canary, **fields)
    for _ in range(3):
        assert canary.request("GET", f"/{code}")[0] == fields.get("redirect_status", 302)
    names = "redirects_total", "clicks_direct_total", "clicks_drained_canary_total"
    wait_for(lambda: of(canary, *names) == [3, direct, 3 - direct], what="all figures")


def newest_start(server: WebServer) -> float:
    return samples_of(server.get("/metrics").text)[plain("process_newest_start_seconds")]


def test_a_killed_worker_process_shows_as_a_newer_start(tmp_path: Path) -> None:
    with WebServer(tmp_path) as server:
        before = newest_start(server)
        assert newest_start(server) == before
        os.kill(server.workers()[0], signal.SIGKILL)
        wait_for(lambda: newest_start(server) > before, what="another worker process")


def test_only_ids_of_canaries_begin_as_theirs() -> None:
    try:
        for track in ("stable", "canary"):
            for _ in range(600):  # of random names two or three would begin so
                clicks.bind(track)
                assert Click("a", "{}").id.startswith(CANARY) == (track == "canary")
                assert clicks.CLICK_ID.fullmatch(Click("a", "{}").id)
    finally:
        clicks.bind("stable")
