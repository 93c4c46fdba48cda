"""A load on the Service, and whether each click that it was answered is stored."""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any

import psycopg2

from tests.kubernetes.cluster import Cluster
from tests.stack import links
from tests.stack.clicks import compare, sent_twice
from tests.stack.load import Steady
from tests.stack.pace import wait_for
from tests.stack.report import require

HEAD = ("what", "time", "requests", "failed", "answered clicks", "stored", "as expected?", "")


@dataclass
class Line:
    """`seconds` is how long it took until all was as before."""

    name: str
    seconds: float = 0.0
    requests: int = 0
    failed: str = "0"
    answered: int = 0
    stored: int = 0
    wrong: str = ""
    more: str = ""

    def cells(self) -> tuple[str, ...]:
        loaded = [str(self.requests), self.failed, str(self.answered), str(self.stored)]
        return (
            self.name,
            f"{self.seconds:.0f} s",
            *(loaded if self.requests else [""] * 4),
            f"no: {self.wrong}" if self.wrong else "yes",
            self.more,
        )


def table(lines: Sequence[Line]) -> str:
    """In Markdown."""
    rows = [HEAD, ("---",) * len(HEAD), *(line.cells() for line in lines)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


@dataclass
class Watched:
    """A load of `rate` requests a second; as a context manager, which fills `line`."""

    cluster: Cluster
    codes: list[str]
    line: Line
    rate: float
    reads: bool = True
    cleanup: ExitStack = field(default_factory=ExitStack)
    began: float = 0.0

    def __enter__(self) -> Watched:
        self.mark = self._newest()
        self.logs = [self._follow(name) for name in self.cluster.ready("nginx")]
        paths = links.mixed(self.codes) if self.reads else [f"/{code}" for code in self.codes]
        self.load = self.cleanup.enter_context(
            Steady(self.cluster.url(), paths, self.rate, label="kubernetes")
        )
        wait_for(lambda: len(self.load.answers) > 2 * self.rate, 60, "the load")
        self.began = time.monotonic()
        return self

    def __exit__(self, *error: object) -> None:
        self.line.seconds = time.monotonic() - self.began
        time.sleep(2)
        self.cleanup.close()
        self.line.requests = len(self.load.answers)
        failed = self.load.failed()
        self.line.failed = ", ".join(failed) or "0"
        self.line.answered = len(self.load.clicks())
        stored = self._stored()
        self.line.stored = stored.total()
        if error[0] is None:
            require(not failed, f"failed: {failed}")
            compare(self.load.clicks(), stored, sent_twice(self._log()))

    def _follow(self, pod: str) -> subprocess.Popen[str]:
        command = ["kubectl", "-n", self.cluster.namespace, "logs", "-f", "--since=5s", pod]
        file = self.cluster.folder / f"{pod}.{time.monotonic_ns()}.log"
        with file.open("w") as log:
            return subprocess.Popen(command, stdout=log, stderr=subprocess.DEVNULL, text=True)

    def _log(self) -> str:
        """What those Nginx said that were there at the beginning, and those of now."""
        for follower in self.logs:
            follower.terminate()
            follower.wait()
        files = list(self.cluster.folder.glob("*.log"))
        text = "".join(file.read_text() for file in files)
        for file in files:
            file.unlink()
        since = f"--since={time.monotonic() - self.began + 30:.0f}s"
        now = [self.cluster.ask("logs", since, name) for name in self.cluster.ready("nginx")]
        return "\n".join([text, *now])

    def upstreams(self, seconds: int) -> list[str]:
        """Which replica answered each request of the last seconds."""
        since = f"--since={seconds}s"
        texts = [self.cluster.ask("logs", since, name) for name in self.cluster.ready("nginx")]
        found = (line for text in texts for line in text.splitlines() if line.startswith("{"))
        return [json.loads(line)["upstream"] for line in found]

    def _sql(self, statement: str) -> list[Any]:
        url = self.cluster.test_servers()["TEST_DATABASE_URL"].replace("+pool", "")
        with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def _newest(self) -> int:
        return int(self._sql("SELECT coalesce(max(id), 0) FROM events")[0][0])

    def _stored(self) -> Counter[str]:
        """How often each request is a click; the worker has a moment for the last ones."""
        sql = (
            "SELECT details::json->>'user_agent' FROM events"
            f" WHERE id > {self.mark} AND event_type = 'clicked'"
        )

        def found() -> Counter[str]:
            return Counter(
                agent for (agent,) in self._sql(sql) if agent.startswith(f"{self.load.label}-")
            )

        wait_for(lambda: not self.load.clicks() - found().keys(), 60, "every click in the database")
        return found()
