"""Drills on the replicas: one killed, a process within one killed, and all of them replaced under
load while the schema changes.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
from collections import Counter
from http.client import HTTPException
from pathlib import Path

from tests.drills.drill import Drill, Ground, Hit
from tests.stack.compose import REPLICAS, Stack, docker, fetch
from tests.stack.pace import wait_for
from tests.stack.report import require

INSTANCE = (  # Docker may be faster than the 5 s that InstanceDown waits
    "InstanceDown|InstanceRestarted"
)


def kill(hit: Hit, service: str) -> None:
    """kill -9 from the host, as the kernel would when memory ends: Docker takes its own kill for a
    wish. Waits for the next process.
    """
    stack = hit.ground.stack
    before = stack.pid(service)
    os.kill(before, signal.SIGKILL)
    hit.mended()
    wait_for(lambda: stack.pid(service) not in (0, before), what=f"another process of {service}")


def _killed(ground: Ground) -> None:
    with ground.strike("replica-killed") as hit, hit.fault((INSTANCE, "any", 30)):
        kill(hit, "app1")


# ---- the process that serves, below Gunicorn's own ----


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _process_killed(ground: Ground) -> None:
    """Gunicorn starts another one; nobody is told, because its own process lives on."""
    with ground.strike("replica-process-killed") as hit, hit.fault():
        master = ground.stack.pid("app2")
        (before,) = children(master)
        os.kill(before, signal.SIGKILL)
        hit.mended()
        wait_for(lambda: children(master) not in ([], [before]), what="another child of Gunicorn")


# ---- a new version with a migration ----

_MIGRATION = """
def up(migrator, db):
    db.execute_sql("ALTER TABLE urls ADD COLUMN drill VARCHAR(20)")
    db.execute_sql("CREATE INDEX urls_drill ON urls (updated_at, id)")
"""
_DOCKERFILE = (
    "ARG BEFORE\nFROM $BEFORE\nCOPY --chown=root:root 0900_drill.py app/migrations/0900_drill.py\n"
)


class Writer:
    """Makes links all the time, as somebody who does not expect the update."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.statuses: Counter[int] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        body = json.dumps({"url": "https://example.com/written"}).encode()
        while not self._stop.wait(0.1):
            try:
                self.statuses[
                    fetch(f"{self.base}/shorten", "POST", body, Content_Type="application/json")[0]
                ] += 1
            except (OSError, HTTPException):
                self.statuses[0] += 1


def next_image(stack: Stack) -> str:
    return f"{stack.image}-next"


def build_next(stack: Stack) -> None:
    """The same image with one migration more; the stack uses it from now on."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Dockerfile").write_text(_DOCKERFILE)
        Path(folder, "0900_drill.py").write_text(f'"""A harmless change."""\n{_MIGRATION}')
        docker(
            "build",
            "-q",
            "--build-arg",
            f"BEFORE={stack.image}",
            "-t",
            next_image(stack),
            folder,
            timeout=120,
        )
    stack.environ["HOLDFAST_IMAGE"] = next_image(stack)


def _rolling_update(ground: Ground) -> None:
    stack = ground.stack
    build_next(stack)
    before = {replica: stack.inspect(replica)["Image"] for replica in REPLICAS}
    with ground.strike("rolling-update") as hit, Writer(stack.url()) as writer, hit.fault():
        stack.compose("run", "--rm", "--no-deps", "-T", "migrate")
        for service in (*REPLICAS, "worker"):
            stack.compose("up", "-d", "--no-deps", "--wait", service)
    require(
        not any(stack.inspect(replica)["Image"] == image for replica, image in before.items()),
        "a replica runs the old image",
    )
    require(
        stack.sql("SELECT count(*) FROM schema_migration WHERE name = '0900_drill'") == "1",
        "the migration was not applied",
    )
    require(writer.statuses.keys() == {201}, f"writes meanwhile: {dict(writer.statuses)}")


DRILLS = [
    Drill("replica-killed", _killed, short=True),
    Drill("replica-process-killed", _process_killed, short=True),
    Drill("rolling-update", _rolling_update, short=True),
]
