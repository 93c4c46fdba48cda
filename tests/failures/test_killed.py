"""kill -9 of each part in the middle of 5,000 redirects: every 302 that a client received is one
click, none is two.
"""

from __future__ import annotations

import os
import signal
import time

import pytest

from testkit.load import LOST, Load, assert_exact, slow_redis
from testkit.servers import HANGS_SECONDS, wait_for
from tests.failures.conftest import Installation

pytestmark = pytest.mark.services


FEWER = 2000  # for what need not be in the middle of 5,000


def run(installation: Installation, total: int = 5000) -> tuple[Load, list[dict[str, object]]]:
    urls = installation.urls(50)
    return Load(installation.app.port, [url["short_code"] for url in urls], total), urls


def test_a_server_process_is_killed(installation: Installation) -> None:
    load, urls = run(installation)
    with load:
        for share in (0.3, 0.6):
            load.when(share, lambda: os.kill(installation.app.children()[0], signal.SIGKILL))
    assert 0 < load.count(LOST) < load.total / 2
    assert load.count(302) + load.count(LOST) == load.total
    assert_exact(load, urls, installation.client)


def test_the_whole_server_is_killed_and_started_again(installation: Installation) -> None:
    load, urls = run(installation)
    with load:
        load.when(0.5, installation.app.kill)
        installation.app.start()
    assert load.count(LOST) > 0
    assert load.count(302) + load.count(LOST) == load.total
    assert_exact(load, urls, installation.client)


def test_the_worker_is_killed_and_started_again(installation: Installation) -> None:
    load, urls = run(installation)
    with load:
        for share in (0.2, 0.4, 0.6):
            load.when(share, installation.worker.kill)
            installation.worker.start()
        load.when(0.8, installation.worker.kill)
    assert load.counts() == {302: load.total}
    assert_exact(load, urls, installation.client)


def test_redis_is_killed_and_started_again(installation: Installation) -> None:
    load, urls = run(installation)
    with load:
        load.when(0.3, installation.redis.kill)
        load.when(0.5, installation.redis.start)
    assert load.counts() == {302: load.total}
    assert_exact(load, urls, installation.client)


def test_redis_is_killed_and_comes_back_at_once(installation: Installation) -> None:
    load, urls = run(installation, FEWER)
    with load:
        for share in (0.2, 0.5, 0.8):
            load.when(share, installation.redis.kill)
            installation.redis.start()
    assert load.counts() == {302: load.total}
    assert_exact(load, urls, installation.client)


def test_redis_hangs_for_two_seconds(installation: Installation) -> None:
    load, urls = run(installation, FEWER)
    with load:
        load.when(0.3, lambda: None)
        with installation.redis.frozen():
            time.sleep(2)
    assert load.counts() == {302: load.total}
    assert_exact(load, urls, installation.client)


def test_redis_hangs_again_and_again_for_about_as_long_as_a_call_may_take(
    installation: Installation,
) -> None:
    load, urls = run(installation, FEWER)
    with load:
        for step in range(1, 5):
            load.when(step / 6, lambda: None)
            with installation.redis.frozen():
                time.sleep(0.2 + 0.02 * step)
    assert load.counts() == {302: load.total}
    assert_exact(load, urls, installation.client)


def test_postgresql_is_killed_and_no_cached_redirect_fails(installation: Installation) -> None:
    load, urls = run(installation)
    with load, slow_redis(installation.redis) as slow:
        load.when(0.3, installation.postgres.kill)
        load.when(0.7, installation.postgres.start)
    refused = load.count(503)
    assert load.counts()[302] == load.total - refused
    assert refused <= load.clients * slow.times  # none, where Redis is asked in time
    wait_for(lambda: installation.client.request("GET", "/events")[0] == 200)
    assert_exact(load, urls, installation.client)


def test_a_worker_that_is_stopped_ends_well(installation: Installation) -> None:
    installation.worker.send(signal.SIGTERM)
    assert installation.worker.process is not None
    assert installation.worker.process.wait(HANGS_SECONDS) == 0
