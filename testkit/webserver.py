"""Holdfast under a real Gunicorn with several worker processes, on SQLite and a free port."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from werkzeug.datastructures import Headers

from testkit.servers import HANGS_SECONDS, free_port, wait_for

ROOT = Path(__file__).parents[1]


class Reply(NamedTuple):
    status: int
    headers: Headers
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


class WebServer:
    """One replica; `folder` keeps its data, logs and metrics, so that another one can go on with
    them.
    """

    command: tuple[str, ...] = (sys.executable, "-m", "gunicorn", "-c", "python:app.serving")

    host = "127.0.0.1"

    def __init__(self, folder: Path, **settings: str) -> None:
        self.port = free_port()
        self.log_file, self.output_file = folder / "holdfast.log", folder / "output"
        self.environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": f"sqlite:///{folder}/holdfast.db",
            "LOG_FILE": str(self.log_file),
            "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
            "APP_PORT": str(self.port),
            "WEB_WORKERS": "2",
            "WEB_THREADS": "4",
            **settings,
        }

    def __enter__(self) -> WebServer:
        with self.output_file.open("ab") as output:
            self.process = subprocess.Popen(
                self.command,
                stdout=output,
                stderr=output,
                cwd=ROOT,
                env=self.environment,
                start_new_session=True,
            )
        wait_for(
            lambda: self.answers() or self.process.poll() is not None,
            what=f"an answer (output in {self.output_file})",
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self, name: signal.Signals = signal.SIGINT) -> int:
        """Tells the whole process group, as Ctrl-C does; returns the exit code."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, name)
        return self.process.wait(HANGS_SECONDS)

    def answers(self) -> bool:
        try:
            return self.get("/health").status == 200
        except OSError:
            return False

    def get(
        self,
        path: str,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: Any = None,
    ) -> Reply:
        """One request on a connection of its own, so that any worker may take it."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=HANGS_SECONDS)
        try:
            content = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(
                method,
                path,
                json.dumps(body) if body is not None else None,
                {**content, **(headers or {})},
            )
            response = connection.getresponse()
            text = response.read().decode(errors="replace")  # a picture is none
            return Reply(response.status, Headers(response.getheaders()), text)
        finally:
            connection.close()

    def workers(self) -> list[int]:
        return [
            int(pid)
            for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
            .read_text()
            .split()
        ]

    def output(self) -> str:
        return self.output_file.read_text()
