"""What a canary stands among, as processes: Nginx, three replicas, stores, Prometheus, Discord."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from testkit.beside import Beside
from testkit.load import Client
from testkit.servers import ROOT, App, ClickWorker, Postgres, Redis, Server, wait_for
from testkit.stack import need
from tests.alert_relay.programs import Relay
from tests.discord import Discord
from tests.front_door import Replica, ask
from tests.test_front_door_canary import Canaried

VISITORS = int(os.environ.get("VISITORS", "2000"))
RATE = int(os.environ.get("RATE", "400"))
_THREADS, _LINKS = 32, 200
_PROMETHEUS = """
global: {{scrape_interval: 2s, scrape_timeout: 2s}}
scrape_configs:
  - job_name: holdfast
    static_configs: [{{targets: {stable}}}]
    file_sd_configs: [{{files: [{targets}], refresh_interval: 1s}}]
    relabel_configs:
      - {{source_labels: [track], regex: "", target_label: track, replacement: stable}}
"""


class Served(App):
    """A replica where nginx/start.sh looks for one; with a fault, when `environ` has FAULT."""

    def __init__(self, number: int, **environ: str) -> None:
        self.host = Replica(number, None).address
        super().__init__(**environ, APP_HOST=self.host, TRUSTED_PROXIES="1")
        metrics = self.folder / "metrics"
        metrics.mkdir()
        self.port = 8000
        self.environ |= {"APP_PORT": "8000", "PROMETHEUS_MULTIPROC_DIR": str(metrics)}

    def command(self) -> list[str]:
        faulty = ["tests.drills.faulty:create()"] if "FAULT" in self.environ else []
        return [*super().command(), *faulty]

    def answers(self) -> bool:
        try:
            return ask((self.host, self.port), "GET", "/health/ready")[0] == 200
        except OSError:
            return False


class Prometheus(Server):
    """Scrapes every two seconds; `targets` is the file with the canary."""

    def __init__(self, stable: list[str]) -> None:
        super().__init__()
        self.targets = self.folder / "canary.json"
        settings = _PROMETHEUS.format(stable=json.dumps(stable), targets=self.targets)
        (self.folder / "prometheus.yml").write_text(settings)
        shutil.chown(self.folder, "nobody", "nogroup")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        where = "--config.file=prometheus.yml", "--storage.tsdb.path=data"
        listen = f"--web.listen-address=127.0.0.1:{self.port}"
        return [need("prometheus", "prometheus"), *where, listen]

    def answers(self) -> bool:
        try:
            return ask(("127.0.0.1", self.port), "GET", "/-/ready")[0] == 200
        except OSError:
            return False


class Visitors(Beside):
    """Follow links at RATE per second until the block ends, each request as one of VISITORS."""

    def __init__(self, port: int, codes: list[str]) -> None:
        self._port, self._codes, self._period = port, codes, _THREADS / RATE
        super().__init__(*[self._follow] * _THREADS)

    def _follow(self) -> None:
        due = time.monotonic() + random.random() * self._period
        with closing(Client(self._port)) as client:
            while not self.over.wait(max(0.0, due - time.monotonic())):
                due = max(due + self._period, time.monotonic() - 1)  # a pause is not made up for
                agent = f"visitor {random.randrange(VISITORS)}"
                client.request("GET", f"/{random.choice(self._codes)}", **{"User-Agent": agent})


class Ground:
    """All of it, without a canary."""

    def __init__(self, cleanup: ExitStack) -> None:
        self._cleanup = cleanup
        self.discord = cleanup.enter_context(Discord())
        stores = [self._start(server()) for server in (Postgres, Redis)]
        self.shared = {"DATABASE_URL": stores[0].url, "REDIS_URL": stores[1].url}
        stable = [self._start(Served(number, **self.shared)) for number in (1, 2, 3)]
        self._start(ClickWorker(**self.shared))
        self.prometheus = self._start(Prometheus([f"{each.host}:8000" for each in stable]))
        self.relay = self._start(Relay(DISCORD_WEBHOOK_URL=self.discord.url))
        self.canary = Replica(4, None)
        self.door = self._start(
            Canaried(self.canary, *(Replica(number, None) for number in (1, 2, 3)))
        )
        with closing(Client(self.door.port)) as client:
            body = {"original_url": "https://example.com/"}
            made = [client.json("POST", "/urls", body) for _ in range(_LINKS)]
        self.codes = [link["short_code"] for link in made]

    def _start(self, server: Any) -> Any:
        self._cleanup.callback(server.destroy)
        server.start()
        return server

    def start_canary(self, fault: str) -> Served:
        canary = Served(4, **self.shared, TRACK="canary", FAULT=fault)
        self._cleanup.callback(canary.destroy)
        canary.start()
        return canary

    def roll_out(self, image: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """deploy/canary.sh as an operator runs it."""
        told = {
            "CANARY_PLATFORM": str(ROOT / "tests" / "drills" / "canary.sh"),
            "DRILL_PROMETHEUS": self.prometheus.url,
            "DRILL_RELAY": self.relay.url,
            "DRILL_PYTHON": sys.executable,
            "DRILL_TARGETS": str(self.prometheus.targets),
            "DRILL_CANARY": f"{self.canary.address}:8000",
            "DRILL_DOOR": str(self.door.folder),
        }
        return subprocess.run(
            [str(ROOT / "deploy" / "canary.sh"), image, str(self.door.folder)],
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, **told, **settings},
        )

    def met(self, log: Path, since: int) -> tuple[set[str], set[str]]:
        """Who got an answer of the canary, by Nginx' log from there on, and who got a 5xx of it."""
        mark = f'"upstream":"{self.canary.address}:8000"'
        lines = log.read_text()[since:].splitlines()
        answers = [json.loads(line) for line in lines if mark in line]
        failed = {each["user_agent"] for each in answers if each["status"] >= 500}
        return {each["user_agent"] for each in answers}, failed

    def wait_untouched(self) -> None:
        """Until Nginx gives the canary nobody."""
        wait_for(
            lambda: "canary" not in (self.door.folder / "replicas.conf").read_text(),
            what="the end of the canary",
        )
