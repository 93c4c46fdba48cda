"""The drill that restores from an archive in S3: what a moment and a lost disk cost.

`python -m tests.drills.archiving`, `make drill-archive`: real processes, no containers.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import Any

import psycopg2

from testkit.archive import ArchivedPostgres, ObjectStore
from testkit.machine import HANGS_SECONDS
from testkit.servers import ROOT, App, ClickWorker, Missing, Redis, wait_for
from tests.drills.archived_load import Load
from tests.drills.archived_outcome import HEAD, Result, expect, judge
from tests.drills.standstill import standstill

ROUNDS = int(os.environ.get("ROUNDS", "3"))
TIMEOUT = int(os.environ.get("ARCHIVE_TIMEOUT", "10"))
_SEGMENT = "SELECT pg_walfile_name(pg_current_wal_lsn()), last_archived_wal FROM pg_stat_archiver"


class Service:
    """One replica and the worker on a PostgreSQL with an archive, and a Redis."""

    def __init__(self, cleanup: ExitStack) -> None:
        self.store = ObjectStore()
        cleanup.callback(self.store.destroy)
        self.store.start()
        self.postgres, self.redis = ArchivedPostgres(self.store, TIMEOUT), Redis()
        self.postgres.take_scripts()
        self._start(cleanup, self.postgres, self.redis)
        self.environ = {"DATABASE_URL": self.postgres.url, "REDIS_URL": self.redis.url}
        self.app, self.worker = App(**self.environ), ClickWorker(**self.environ)
        self._start(cleanup, self.app, self.worker)

    def _start(self, cleanup: ExitStack, *servers: Any) -> None:
        for server in servers:
            cleanup.callback(server.destroy)
            server.start()

    def query(self, sql: str) -> list[Any]:
        address = self.postgres.url.replace("+pool", "")
        with closing(psycopg2.connect(address)) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute(sql)
            return list(cursor.fetchall()) if cursor.description else []

    def restore(self, moment: str) -> dict[str, float]:
        """As deploy/restore-to.sh does it; the seconds of each step."""
        steps = {
            "restore": lambda: self.postgres.restore(moment),
            "replay": self._replay,
            "settle": self._settle,
            "start": self._serve,
        }
        return {name: _timed(step) for name, step in steps.items()}

    def stop(self) -> None:
        self.app.stop()
        self.worker.stop()
        self.postgres.stop()

    def _replay(self) -> None:
        self.postgres.start()
        recovers = "SELECT pg_is_in_recovery()"
        wait_for(lambda: self.query(recovers) == [(False,)], what="the end of the replay")
        # Else PostgreSQL thinks of archive_timeout only at its next checkpoint.
        self.query("CHECKPOINT")
        self.query("SELECT pg_switch_wal()")

    def _settle(self) -> None:
        command = [sys.executable, "-m", "app", "settle"]
        environ = {**os.environ, **self.environ}
        done = subprocess.run(
            command, check=False, cwd=ROOT, env=environ, capture_output=True, text=True
        )
        assert done.returncode == 0, f"settle: {done.stdout}{done.stderr}"[-2000:]

    def _serve(self) -> None:
        before = self._warmed()
        self.app.start()
        self.worker.start()
        wait_for(lambda: self._warmed() > before, what="the worker")

    def _warmed(self) -> int:
        return (self.worker.folder / "holdfast.log").read_text().count("warmed the cache up")


def _timed(step: Callable[[], None]) -> float:
    began = time.monotonic()
    step()
    return time.monotonic() - began


def wrong_change(service: Service) -> Result:
    """A table is dropped; the database goes back to the moment before."""
    with Load(service.app.port, service.redis.url) as load:
        load.go_on(TIMEOUT)
        moment = time.time()
        load.go_on(3)
        service.query("DROP TABLE events CASCADE")
        dropped = time.time()  # afterwards: until then a drain may have stored clicks
        load.go_on(3)
    service.stop()
    result = Result("a table dropped, back to the second before", moment, dropped)
    result.steps = service.restore(datetime.fromtimestamp(moment, UTC).isoformat(" "))
    judge(service.query, load, result)
    newer = {url for url, at in load.begun.items() if at > moment}
    there = {url for (url,) in service.query("SELECT original_url FROM urls")}
    expect(result, {"links of after the moment are there": not newer & there})
    result.rpo = max(0.0, moment - max(at for url, at in load.links.items() if url in there))
    return result


def archived_until(service: Service, until: float) -> float:
    """Until then PostgreSQL said that its changes were archived; returns after `until`.

    It waits for at least one segment: how long that takes is the machine's, and the table's RPO.
    """
    written, kept_until, deadline = [], 0.0, until + HANGS_SECONDS
    while time.time() < until or not kept_until:
        assert time.time() < deadline, "no segment was archived"
        now = time.time()
        [(segment, archived)] = service.query(_SEGMENT)
        written.append((now, segment))
        kept_until = max((at for at, name in written if name <= (archived or "")), default=0.0)
        time.sleep(0.2)
    return kept_until


def lost_disk(service: Service) -> Result:
    """The data directory is gone; the database goes back to the archive's end."""
    with Load(service.app.port, service.redis.url) as load:
        kept_until = archived_until(service, time.time() + 2.5 * TIMEOUT)
        service.postgres.lose_data()
        lost_at = time.time()
        load.go_on(3)
    service.stop()
    result = Result("data directory deleted, back to the archive's end", kept_until, lost_at)
    result.steps = service.restore("latest")
    judge(service.query, load, result)
    return result


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))
    wrong = False
    with ExitStack() as cleanup:
        try:
            service = Service(cleanup)
        except Missing as missing:
            print(missing, file=sys.stderr)
            return 1
        seconds = _timed(lambda: print(service.postgres.script("backup.sh", "full")))
        print(f"archive_timeout {TIMEOUT} s; the first full backup took {seconds:.1f} s\n\n{HEAD}")
        for _ in range(ROUNDS):
            for disaster in (wrong_change, lost_disk):
                result = disaster(service)
                print(result.line(), flush=True)
                wrong |= bool(result.wrong)
        wrong |= standstill(service.store, service.query)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
