"""The relay and Alertmanager as processes of their own."""

from __future__ import annotations

import json
import re
import shutil
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from testkit.servers import HANGS_SECONDS, ROOT, Missing, Program, Server, wait_for


class Relay(Program):
    """The relay as it is run in production; all it writes is in its folder."""

    module = "monitoring.alert_relay"

    def __init__(self, **environ: str) -> None:
        super().__init__(**environ)
        self.log, self.evidence, self.spool = (
            self.folder / "alerts.log",
            self.folder / "alerts.d",
            self.folder / "spool",
        )
        own = {"ALERT_RELAY_HOST": "127.0.0.1", "ALERT_RELAY_PORT": str(self.port)}
        folders = {
            "ALERTS_LOG": str(self.log),
            "EVIDENCE_DIRECTORY": str(self.evidence),
            "SPOOL_DIRECTORY": str(self.spool),
        }
        self.environ = {**self.environ, **own, **folders, **environ}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def destroy(self) -> None:
        if self.running:
            self.kill()  # quicker than a goodbye
        super().destroy()

    def answers(self) -> bool:
        assert self.running, (self.folder / "log").read_text()
        try:
            return self.call("/health")[0] == 200
        except OSError:
            return False

    def post(self, payload: Any) -> int:
        return self.call("/alerts", json.dumps(payload).encode())[0]

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.call("/")[1])
        return status

    def wait_until(self, **expected: Any) -> None:
        """Until GET / shows these."""
        wait_for(
            lambda: expected.items() <= self.status().items(), what=f"{expected} in {self.status()}"
        )

    def call(
        self, path: str, body: bytes | None = None, content_type: str = "application/json"
    ) -> tuple[int, bytes]:
        request = urllib.request.Request(self.url + path, body, {"Content-Type": content_type})
        try:
            with urllib.request.urlopen(request, timeout=HANGS_SECONDS) as response:
                return response.status, response.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()


class Alertmanager(Server):
    """Alertmanager with our own configuration.

    Only the address of the relay is another one, and its waits are shorter.
    """

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self.program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
        if self.program is None:
            raise Missing("Alertmanager is not installed: apt-get install prometheus-alertmanager")
        ours = (ROOT / "monitoring/alertmanager/alertmanager.yml").read_text()
        text = (
            ours.replace("http://alert-relay:9094", relay.url)
            .replace("group_wait: 10s", "group_wait: 2s")
            .replace("group_interval: 15s", "group_interval: 2s")
        )
        assert text.count(relay.url) == 1
        (self.folder / "alertmanager.yml").write_text(
            re.sub("group_interval: 5s", "group_interval: 1s", text)
        )
        self.folder.chmod(0o755)

    def options(self) -> dict[str, Any]:
        return {"cwd": self.folder}

    def command(self) -> list[str]:
        own = (
            f"--config.file={self.folder}/alertmanager.yml",
            f"--storage.path={Path(self.folder, 'data')}",
        )
        return [
            str(self.program),
            *own,
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
        ]

    def answers(self) -> bool:
        try:
            ready = f"http://127.0.0.1:{self.port}/-/ready"
            with urllib.request.urlopen(ready, timeout=HANGS_SECONDS) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def post(self, *alerts: dict[str, Any]) -> None:
        """Each alert as Prometheus sends it: labels, annotations, startsAt, endsAt."""
        address = f"http://127.0.0.1:{self.port}/api/v2/alerts"
        request = urllib.request.Request(
            address, json.dumps(alerts).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=HANGS_SECONDS) as response:
            assert response.status == 200
