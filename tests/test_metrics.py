"""GET /metrics: what is counted, under which names and labels, by one process and by many."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from testkit.servers import wait_for
from testkit.webserver import ROOT, WebServer
from tests.conftest import Api

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples_of(text: str) -> Samples:
    families = text_string_to_metric_families(text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def scrape(client: FlaskClient) -> Samples:
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain")
    return samples_of(response.text)


def scrape_stores(client: FlaskClient) -> Samples:
    """With what both stores say, which is left out while one does not answer in time."""
    wanted, found = {plain("clicks_drained_total"), plain("click_backlog")}, dict[Any, float]()

    def is_whole() -> bool:
        found.update(scrape(client))
        return wanted <= found.keys()

    wait_for(is_whole, what="the figures of both stores")
    return found


def requests(method: str, endpoint: str, status: int) -> tuple[str, tuple[tuple[str, str], ...]]:
    return "http_requests_total", (
        ("endpoint", endpoint),
        ("method", method),
        ("status", str(status)),
    )


def plain(name: str) -> tuple[str, tuple[()]]:
    return name, ()


def test_requests_are_counted_by_method_endpoint_and_status(client: FlaskClient) -> None:
    before = scrape(client)
    client.get("/users")
    client.get("/users/1")
    client.get("/users/2")
    after = scrape(client)
    assert (
        after[requests("GET", "users.list_users", 200)]
        - before.get(requests("GET", "users.list_users", 200), 0)
        == 1
    )
    assert (
        after[requests("GET", "users.get_user", 404)]
        - before.get(requests("GET", "users.get_user", 404), 0)
        == 2
    )


def test_durations_have_buckets_from_half_a_millisecond_to_ten_seconds(client: FlaskClient) -> None:
    client.get("/users")
    labels = (("endpoint", "users.list_users"), ("method", "GET"))
    buckets = [
        dict(key[1])["le"]
        for key in scrape(client)
        if key[0] == "http_request_duration_seconds_bucket" and set(labels) <= set(key[1])
    ]
    assert (buckets[0], buckets[-2], buckets[-1]) == ("0.0005", "10.0", "+Inf")


def test_links_and_redirects_are_counted(client: FlaskClient, api: Api) -> None:
    before = scrape(client)
    url = api.url()
    client.get(f"/{url['short_code']}")
    client.get(f"/{url['short_code']}")
    client.head(f"/{url['short_code']}")
    after = scrape(client)
    assert after[plain("urls_created_total")] - before[plain("urls_created_total")] == 1
    assert after[plain("redirects_total")] - before[plain("redirects_total")] == 2
    looked_up = [
        after[plain(name)] - before[plain(name)]
        for name in ("cache_hits_total", "cache_misses_total")
    ]
    assert sum(looked_up) >= 2


def test_active_urls_follows_what_is_made_deactivated_and_deleted(
    client: FlaskClient, api: Api
) -> None:
    urls = [api.url() for _ in range(4)]
    client.put(f"/urls/{urls[0]['id']}", json={"is_active": False})
    client.delete(f"/urls/{urls[1]['id']}")
    wait_for(lambda: scrape(client).get(plain("active_urls")) == 2, what="the count")


def test_labels_hold_no_path_no_code_no_id_and_no_method_of_the_clients_making(
    client: FlaskClient, api: Api
) -> None:
    url = api.url()
    for path in (
        f"/{url['short_code']}",
        f"/urls/{url['id']}",
        "/no/such/place",
        "/nosuch",
        "/users/x",
    ):
        client.get(path)
    client.open("/users", method="BREW")
    after = scrape(client)
    assert not [
        key
        for key in after
        if "nosuch" in str(key)
        or url["short_code"] in str(key)
        or "/" in str(key[1])
        or "BREW" in str(key)
    ]
    assert after[requests("OTHER", "unknown", 405)] >= 1
    assert after[requests("GET", "unknown", 404)] >= 2


def test_the_process_is_described(client: FlaskClient) -> None:
    found = scrape(client)
    assert found[plain("process_cpu_seconds_total")] > 0
    assert found[plain("process_resident_memory_bytes")] > 10_000_000
    assert found[plain("process_start_time_seconds")] > 1_700_000_000


def test_the_names_that_dashboards_use_are_all_there(client: FlaskClient) -> None:
    client.get("/users")
    names = {key[0] for key in scrape(client)}
    assert names >= {
        "http_requests_total", "http_request_duration_seconds_bucket",
        "http_request_duration_seconds_count", "http_request_duration_seconds_sum",
        "urls_created_total", "redirects_total", "cache_hits_total", "cache_misses_total",
        "cache_failures_total", "active_urls",
        "cache_updates_due", "clicks_drained_total", "clicks_unreadable_total",
        "database_connections_in_use",
        "process_resident_memory_bytes", "process_cpu_seconds_total",
    }  # fmt: skip


@pytest.mark.services
def test_the_click_stream_is_described(client: FlaskClient, api: Api) -> None:
    drained = scrape_stores(client)[plain("clicks_drained_total")]
    url = api.url()
    client.get(f"/{url['short_code']}")
    found = scrape_stores(client)
    assert found[plain("click_backlog")] == 1
    assert 0 <= found[plain("click_backlog_age_seconds")] < 60
    api.get("/events")
    found = scrape_stores(client)
    assert (found[plain("click_backlog")], found[plain("clicks_drained_total")] - drained) == (0, 1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with WebServer(tmp_path_factory.mktemp("server")) as started:
        yield started


def scraped(server: WebServer) -> Samples:
    reply = server.get("/metrics")
    assert reply.status == 200, reply.text
    return samples_of(reply.text)


def counters_of(samples: Samples) -> Samples:
    return {
        key: value
        for key, value in samples.items()
        if key[0].endswith(("_total", "_count", "_sum", "_bucket"))
    }


def kill_a_worker(server: WebServer, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_for(
        lambda: pid not in server.workers() and len(server.workers()) == 2, what="a new worker"
    )


def workers_that_counted(server: WebServer) -> list[int]:
    files = Path(server.environment["PROMETHEUS_MULTIPROC_DIR"]).glob("histogram_*.db")
    return [int(file.stem.partition("_")[2]) for file in files]


def test_over_several_workers_one_of_which_is_killed_sums_are_right_and_nothing_goes_backwards(
    server: WebServer,
) -> None:
    last: Samples = {}
    for turn in range(60):
        assert server.get("/users").status == 200
        if turn == 30:
            kill_a_worker(server, workers_that_counted(server)[0])
        now = counters_of(scraped(server))
        assert not [(key, last[key], now.get(key)) for key in last if now.get(key, -1) < last[key]]
        last = now
    assert last[requests("GET", "users.list_users", 200)] == 60
    assert (
        last["http_request_duration_seconds_count", requests("GET", "users.list_users", 200)[1]]
        == 60
    )
    assert len(workers_that_counted(server)) >= 2


def test_a_worker_that_died_no_longer_counts_as_alive_and_its_processor_time_stays(
    server: WebServer,
) -> None:
    before = scraped(server)
    kill_a_worker(server, server.workers()[0])
    after = scraped(server)
    assert before[plain("process_workers")] == after[plain("process_workers")] == 2
    assert (
        after[plain("process_cpu_seconds_total")] >= before[plain("process_cpu_seconds_total")] > 0
    )
    assert after[plain("process_start_time_seconds")] == before[plain("process_start_time_seconds")]


def test_a_worker_that_died_while_it_began_its_file_does_not_break_the_metrics(
    server: WebServer,
) -> None:
    Path(server.environment["PROMETHEUS_MULTIPROC_DIR"], "counter_1.db").touch()
    assert plain("urls_created_total") in scraped(server)


def test_a_restart_begins_anew_and_touches_only_its_own_files(tmp_path: Path) -> None:
    with WebServer(tmp_path) as server:
        server.get("/users")
        Path(server.environment["PROMETHEUS_MULTIPROC_DIR"], "notes.txt").touch()
    with WebServer(tmp_path) as server:
        assert requests("GET", "users.list_users", 200) not in scraped(server)
        assert Path(server.environment["PROMETHEUS_MULTIPROC_DIR"], "notes.txt").exists()


@pytest.mark.parametrize("directory", ["", None], ids=["blank", "unset"])
def test_without_a_directory_the_only_worker_counts_by_itself(
    tmp_path: Path, directory: str | None
) -> None:
    server = WebServer(tmp_path, WEB_WORKERS="1", PROMETHEUS_MULTIPROC_DIR=directory or "")
    if directory is None:
        del server.environment["PROMETHEUS_MULTIPROC_DIR"]
    with server:
        server.get("/users")
        assert scraped(server)[requests("GET", "users.list_users", 200)] == 1
        assert not list(
            ROOT.glob("*_*.db")
        )  # which a library that took blank for here would have made
