"""Breaks parts of the stack, each in its way, and looks at what clients saw and what was told."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg2

from tests.stack import links
from tests.stack.alerts import Alerts
from tests.stack.compose import REPLICAS, Stack, fetch
from tests.stack.load import Steady
from tests.stack.pace import fair, wait_for
from tests.stack.report import require

_INSTANCE = (  # Docker may be faster than the 5 s that InstanceDown waits
    "InstanceDown|InstanceRestarted"
)

_SLOW_USERS = (
    "ALTER TABLE users RENAME TO real_users; CREATE VIEW users AS SELECT real_users.* FROM"
    " real_users, pg_sleep(30)"
)
_FAST_USERS = "DROP VIEW users; ALTER TABLE real_users RENAME TO users"


class Faults:
    """One stack, its alerts, the links that the load follows, and the clicks that were answered."""

    def __init__(self, stack: Stack, alerts: Alerts) -> None:
        self.stack, self.alerts = stack, alerts
        self.codes = links.make(stack.url())
        self.loads: list[Steady] = []

    def load(self, label: str, rate: float = 100) -> Steady:
        self.loads.append(Steady(self.stack.url(), links.mixed(self.codes), rate, label=label))
        return self.loads[-1]

    @contextmanager
    def without(self, service: str, *alerts: tuple[str, str, float]) -> Iterator[None]:
        """Until its alerts were told."""
        try:
            with self.alerts.told_of(f"{service} stopped", *alerts):
                self.stack.stop(service)
                yield
        finally:
            self.stack.start(service)
            self.stack.wait_healthy(service)

    def kill(self, replica: str) -> str:
        """kill -9 from the host, as the kernel would when memory ends: Docker takes its own kill
        for a wish.
        """
        with self.load("kill") as load:
            wait_for(lambda: len(load.answers) > 200, 20, "the load")
            with self.alerts.told_of(f"kill -9 of {replica}", (_INSTANCE, "any", 15)):
                before = self.stack.pid(replica)
                os.kill(before, signal.SIGKILL)
                back = self._back({replica: before}, 10)
            time.sleep(2)
            require(not load.failed(), f"failed: {load.failed()}")
            return f"healthy after {back:.1f} s; {load.summary()}"

    def chaos(self) -> str:
        token = self.stack.secret("chaos_token")
        require(
            fetch(f"{self.stack.url()}/chaos", X_Chaos_Token=token + "x")[0] == 401,
            "another token is accepted",
        )
        with self.load("chaos") as load:
            wait_for(lambda: len(load.answers) > 200, 20, "the load")
            with self.alerts.told_of("GET /chaos", (_INSTANCE, "any", 60)):
                before = {replica: self.stack.pid(replica) for replica in REPLICAS}
                # Not the replica that was killed just before: of that one, Discord has been told.
                require(
                    fetch(f"http://{self.stack.address('app2')}:8000/chaos", X_Chaos_Token=token)[0]
                    == 204,
                    "the token is refused",
                )
                back = self._back(before, 15)
            require(not load.failed(), f"failed: {load.failed()}")
            return f"healthy after {back:.1f} s; {load.summary()}"

    def _back(self, before: dict[str, int], seconds: float) -> float:
        """After how many seconds one of these processes has been replaced, and all of them are
        healthy.
        """
        began, deadline = time.monotonic(), fair() + seconds
        wait_for(
            lambda: any(self.stack.pid(replica) not in (0, pid) for replica, pid in before.items()),
            seconds,
            "the restart",
        )
        self.stack.wait_healthy(*before, seconds=deadline - fair())
        return time.monotonic() - began

    def redis(self) -> str:
        with self.load("redis") as load:
            with self.without("redis", ("RedisDown", "critical", 30)):
                pass
            require(not load.failed(), f"failed: {load.failed()}")
            return f"every request was answered; {load.summary()}"

    def postgres(self) -> str:
        with self.load("postgres") as load:
            with self.without("postgres", ("PostgresDown", "critical", 30)):
                pass
            require(
                not load.failed(only_redirects=True), f"failed: {load.failed(only_redirects=True)}"
            )
            require(load.failed(), "nobody noticed")
            return (
                f"every cached redirect was answered; {load.summary()}; reads:"
                f" {', '.join(load.failed())}"
            )

    def slow_and_failing(self) -> str:
        """PostgreSQL takes its time over a table: who reads it waits for as long as a statement may
        take, and then gets 503.
        """
        connection = psycopg2.connect(
            self.stack.test_servers()["TEST_DATABASE_URL"].replace("+pool", "")
        )
        connection.autocommit = True
        fault = "PostgreSQL is slow, then 503"
        alerts = (
            ("HighErrorRate", "warning", 80.0),
            ("HighErrorRate", "critical", 110.0),
            ("HighLatency", "critical", 110.0),
        )
        with (
            closing(connection),
            self.load("beside-slow-reads", 5) as redirects,
            Steady(self.stack.url(), ["/users?per_page=5"], 20, 12) as reads,
        ):
            connection.cursor().execute(_SLOW_USERS)
            try:
                with self.alerts.told_of(fault, *alerts):
                    pass
            finally:
                connection.cursor().execute(_FAST_USERS)
            require(
                not redirects.failed(only_redirects=True),
                f"failed: {redirects.failed(only_redirects=True)}",
            )
            return f"redirects went on: {redirects.summary()}; reads: {reads.failed()}"

    def silence(self, meanwhile: Callable[[], None]) -> None:
        """No request for two minutes. First Nginx is away, too.

        The worker is all the time, so that the last clicks wait.
        """
        with self.without("worker", ("ClickBacklogOld", "warning", 90)):
            links.follow_each(self.stack.url(), self.codes)
            # The alert counts from the last request of what is done meanwhile: half a minute of
            # rate, two of silence, ten seconds of grouping.
            with self.alerts.told_of("no traffic", ("NoTraffic", "warning", 280)):
                with self.without("nginx", ("NginxDown", "critical", 30)):
                    pass
                meanwhile()
