"""Watches a service while it changes: redirects at a steady rate, and the locks on its tables."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, NamedTuple

import psycopg2

from testkit.beside import Beside
from testkit.load import Client

_THREADS = 8
_SECONDS_BETWEEN_WRITES = 0.2
_SECONDS_BETWEEN_SAMPLES = 0.004
_STRONG = """
SELECT c.relname, l.mode, l.granted FROM pg_locks l
JOIN pg_class c ON c.oid = l.relation JOIN pg_stat_activity a ON a.pid = l.pid
WHERE c.relnamespace = 'public'::regnamespace AND c.relname IN ('users', 'urls', 'events',
    'cache_updates') AND a.backend_type = 'client backend' AND l.locktype = 'relation'
AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')
"""


class Followed(NamedTuple):
    """One redirect: when it began (monotonic), how long it took, and what was wrong with it."""

    began: float
    seconds: float
    wrong: str


class Visitors(Beside):
    """Follow links at `rate` per second until the block ends; one makes and changes links.

    `pick` returns a path and where it leads.
    """

    def __init__(self, port: int, rate: int, pick: Callable[[], tuple[str, str]]) -> None:
        self.answers: list[Followed] = []
        self.writes: list[str] = []  # what was wrong with each, or ""
        self._port, self._period, self._pick = port, _THREADS / rate, pick
        super().__init__(*[self._follow] * _THREADS, self._write)

    def _follow(self) -> None:
        due = time.monotonic() + random.random() * self._period
        with closing(Client(self._port)) as client:
            while not self.over.wait(max(0.0, due - time.monotonic())):
                due += self._period
                self._ask(client, *self._pick())

    def _ask(self, client: Client, path: str, leads_to: str) -> None:
        began = time.monotonic()
        status, location, _ = client.request("GET", path)
        took = time.monotonic() - began
        right = (status, location) == (302, leads_to)
        wrong = "" if right else f"{path}: {status} {location}"
        self.answers.append(Followed(began, took, wrong))

    def _write(self) -> None:
        with closing(Client(self._port)) as client:
            while not self.over.wait(_SECONDS_BETWEEN_WRITES):
                link = {"original_url": "https://example.com/new"}
                made = self._change(client, "POST", "/urls", link, 201)
                if made is not None:
                    path, link = (
                        f"/urls/{made['id']}",
                        {"original_url": "https://example.com/newer"},
                    )
                    if self._change(client, "PUT", path, link, 200) is not None:
                        self._ask(client, f"/{made['short_code']}", link["original_url"])

    def _change(self, client: Client, method: str, path: str, body: Any, expected: int) -> Any:
        """The answer; None for another status."""
        status, _, content = client.request(method, path, body)
        right = status == expected
        self.writes.append("" if right else f"{method} {path}: {status} {content[:200]!r}")
        return json.loads(content) if right else None

    def between(self, began: float, ended: float) -> list[Followed]:
        return [each for each in self.answers if began <= each.began <= ended]

    def under_way(self, began: float, ended: float) -> list[Followed]:
        """Those of which any part was between the two moments."""
        return [a for a in self.answers if a.began <= ended and a.began + a.seconds >= began]

    def failed(self) -> list[str]:
        return [each.wrong for each in self.answers if each.wrong]


class Locks(Beside):
    """Samples the locks that keep writers out of the large tables, until the block ends."""

    def __init__(self, address: dict[str, Any]) -> None:
        self.closed: list[float] = []  # moments when nobody else could read one of the tables
        self._address = address
        self._seconds: dict[tuple[str, str, str], float] = {}
        super().__init__(self._sample)

    def _sample(self) -> None:
        with closing(psycopg2.connect(**self._address)) as connection:
            connection.autocommit = True
            cursor, last = connection.cursor(), time.monotonic()
            while not self.over.wait(_SECONDS_BETWEEN_SAMPLES):
                cursor.execute(_STRONG)
                held = {(table, mode, _how(granted)) for table, mode, granted in cursor}
                now = time.monotonic()
                if any(mode == "AccessExclusiveLock" for _, mode, _ in held):
                    self.closed += [last, now]
                for key in held:
                    self._seconds[key] = self._seconds.get(key, 0.0) + now - last
                last = now

    def lines(self) -> list[str]:
        return [
            f"{table:16}{mode:28}{how:10}{seconds * 1000:10,.0f} ms"
            for (table, mode, how), seconds in sorted(self._seconds.items())
        ]


def _how(granted: bool) -> str:
    return "held" if granted else "waited"
