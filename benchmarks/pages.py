"""Server time and size of the pages with 100,000 links, on SQLite and PostgreSQL: `make
bench-pages`.
"""

from __future__ import annotations

import http.client
import os
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from statistics import median
from typing import NamedTuple

import psycopg2

from app.services.keysecrets import new_secret
from testkit.servers import Missing, Postgres, Redis
from testkit.stack import Stack

LINKS = int(os.environ.get("LINKS", "100000"))
ROUNDS = int(os.environ.get("ROUNDS", "7"))
ONLY = os.environ.get("ONLY", "")
_NUMBERS = (
    "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {})"
)
# Link n has the tag all, every tenth link tenth, every thousandth few. User 1 has a tenth of them.
_ROWS = """
INSERT INTO users (username, email, created_at) VALUES ('one', 'one@example.com', {now}),
    ('two', 'two@example.com', {now});
INSERT INTO urls (user_id, short_code, original_url, title, is_active, created_at, updated_at,
    click_count, people_count, robot_count, tags)
{numbers} SELECT CASE WHEN n % 10 = 1 THEN 1 ELSE 2 END, 'p' || n,
    'https://example.com/page/' || n, 'Page ' || n, n % 6 <> 0, {now}, {now}, 60, 40, 20,
    '["all"]' FROM numbers;
INSERT INTO url_tags (url_id, tag) {numbers} SELECT n, 'all' FROM numbers;
INSERT INTO url_tags (url_id, tag) {numbers} SELECT n, 'tenth' FROM numbers WHERE n % 10 = 0;
INSERT INTO url_tags (url_id, tag) {numbers} SELECT n, 'few' FROM numbers WHERE n % 1000 = 0;
INSERT INTO click_hours (url_id, hour, people, robots)
{numbers}, times(k) AS ({ten}) SELECT n, {hour} - (n * 37 + k * 31) % 320, 2, 1
    FROM numbers, times;
INSERT INTO click_days (url_id, day, people, robots)
{numbers}, times(k) AS ({ten}) SELECT n, {hour} / 24 - 15 - (n * 7 + k * 29) % 300, 2, 1
    FROM numbers, times;
INSERT INTO click_values (url_id, dimension, value, people, robots)
{numbers}, kinds(dimension, k, most) AS ({kinds})
    SELECT n, dimension, dimension || ' ' || ((n + k) % most), 9, 4 FROM numbers, kinds;
INSERT INTO click_hours SELECT 0, hour, sum(people), sum(robots) FROM click_hours GROUP BY hour;
INSERT INTO click_days SELECT 0, day, sum(people), sum(robots) FROM click_days GROUP BY day;
INSERT INTO click_values SELECT 0, dimension, value, sum(people), sum(robots) FROM click_values
    GROUP BY dimension, value;
INSERT INTO events (url_id, event_type, timestamp, details)
{numbers} SELECT n, 'clicked', {now}, '{{"short_code": "p", "original_url": "https://example.com/",
    "ip": "127.0.0.0", "user_agent": "Mozilla/5.0", "referrer": ""}}' FROM numbers;
INSERT INTO api_keys (name, scope, hash, created_at) VALUES ('bench', 'admin', '{secret}', {now})
"""
_KINDS = {"browser": (3, 8), "system": (2, 6), "device": (1, 3), "referrer": (3, 40)}


class Page(NamedTuple):
    name: str
    path: str
    is_signed_in: bool = True


PAGES = [
    Page("/, signed out", "/", is_signed_in=False),
    Page("/", "/"),
    Page("/?q=, many match", "/?q=page"),
    Page("/?q=, one matches", "/?q=page/7777"),
    Page("/?q=, none matches", "/?q=no+such"),
    Page("/?page=, the last", f"/?page={-(-LINKS // 50)}"),
    Page("/?tag=, 1/10", "/?tag=tenth"),
    Page("/urls/<id>/view", f"/urls/{LINKS // 2}/view"),
    Page("/urls/<id>/view?days=all", f"/urls/{LINKS // 2}/view?days=all"),
    Page("/overview", "/overview"),
    Page("/overview?days=all", "/overview?days=all"),
    Page("/overview?by=hour&days=7", "/overview?by=hour&days=7"),
    Page("/overview?tag=, 1/1000", "/overview?tag=few"),
    Page("/overview?tag=, 1/10", "/overview?tag=tenth"),
    Page("/overview?tag=, all", "/overview?tag=all"),
    Page("/overview?tag=, all, days=all", "/overview?tag=all&days=all"),
    Page("/overview?user_id=, 1/10", "/overview?user_id=1"),
    Page("/overview?user_id=, 9/10", "/overview?user_id=2"),
    Page("/audit", "/audit"),
    Page("/keys", "/keys"),
    Page("/import", "/import"),
    Page("/status", "/status"),
    Page("/docs", "/docs"),
]


def _statements(secret: str) -> list[str]:
    kinds = [
        f"SELECT '{name}', {k}, {most}"
        for name, (number, most) in {**_KINDS, "campaign": (1, 12)}.items()
        for k in range(number)
    ]
    text = _ROWS.format(
        now=f"'{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())}'",
        hour=int(time.time()) // 3600,
        numbers=_NUMBERS.format(LINKS),
        ten=" UNION ALL ".join(f"SELECT {k}" for k in range(10)),
        kinds=" UNION ALL ".join(kinds),
        secret=secret,
    )
    return [statement for statement in text.split(";\n") if statement.strip()]


class Service:
    """One replica on a database with LINKS links, their clicks, and an API key."""

    def __init__(
        self, cleanup: ExitStack, fill: _Fill, database_url: str = "", redis_url: str = ""
    ) -> None:
        self._stack = Stack(cleanup)
        environment = {
            "DATABASE_URL": database_url or f"sqlite:///{self._stack.folder}/pages.db",
            "REDIS_URL": redis_url,
            "LOG_FILE": "",
            "AUTH": "on",
            "LIMITS": "off",
        }
        self._stack.replicas(["-c", "python:app.serving"], [environment])
        secret = new_secret()
        fill(str(self._stack.folder), _statements(secret.hash))
        self._client = http.client.HTTPConnection("127.0.0.1", self._stack.replica_ports[0])
        self._session = self._sign_in(secret.text)
        self.hang_up()

    def hang_up(self) -> None:
        """The next request connects anew; the server ends a connection that is idle for long."""
        self._client.close()

    def _sign_in(self, secret: str) -> str:
        """The cookie of a session."""
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        self._client.request("POST", "/keys/session", f"key={secret}", form)
        response = self._client.getresponse()
        response.read()
        return response.headers["Set-Cookie"].split(";")[0]

    def watch(self, postgres: Postgres) -> None:
        if postgres.process:
            self._stack.watch("postgres", postgres.process.pid)

    def cpu_seconds(self) -> float:
        """Of the replica and its PostgreSQL."""
        return sum(self._stack.cpu_seconds().values())

    def get(self, path: str, is_signed_in: bool = True) -> tuple[float, float, bytes]:
        """Milliseconds until its first byte and its last one, and the page."""
        headers = {"Accept": "text/html"} | ({"Cookie": self._session} if is_signed_in else {})
        began = time.perf_counter()
        self._client.request("GET", path, headers=headers)
        response = self._client.getresponse()
        body = response.read(1)
        first = time.perf_counter() - began
        body += response.read()
        took = time.perf_counter() - began
        if response.status != 200:
            sys.exit(f"{path}: {response.status} {body[:300]!r}")
        return first * 1e3, took * 1e3, body


_Fill = Callable[[str, Sequence[str]], None]


def _fill_sqlite(folder: str, statements: Sequence[str]) -> None:
    with closing(sqlite3.connect(f"{folder}/pages.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def _fill_postgres(postgres: Postgres, _folder: str, statements: Sequence[str]) -> None:
    dsn = f"host=127.0.0.1 port={postgres.port} user=holdfast dbname=holdfast"
    with closing(psycopg2.connect(dsn)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        for statement in (*statements, "VACUUM ANALYZE"):
            cursor.execute(statement)


class Measured(NamedTuple):
    """Milliseconds: medians, and the mean of `cpu`. `size` of all that a page loads, in bytes."""

    first: float
    whole: float
    cpu: float
    size: int
    requests: int


def _measure(service: Service, page: Page, assets: dict[str, int]) -> Measured:
    service.hang_up()
    service.get(page.path, page.is_signed_in)
    before = service.cpu_seconds()
    found = [service.get(page.path, page.is_signed_in) for _ in range(ROUNDS)]
    cpu = (service.cpu_seconds() - before) / ROUNDS * 1e3
    body = found[-1][2]
    loaded = re.findall(r'(?:src|<link [^>]*href)="(/[^"]*)"', body.decode())
    for path in loaded:
        assets.setdefault(path, len(service.get(path)[2]))
    first, whole = median(run[0] for run in found), median(run[1] for run in found)
    size = len(body) + sum(assets[path] for path in loaded)
    return Measured(first, whole, cpu, size, 1 + len(loaded))


def _line(name: str, found: Sequence[Measured]) -> str:
    times = "".join(f"{each.first:8,.0f}{each.whole:7,.0f}{each.cpu:6,.0f}" for each in found)
    size = max(each.size for each in found) / 1000
    return f"{name:31}{times}{size:7.1f}{found[0].requests:6}"


def main() -> int:
    with ExitStack() as cleanup:
        try:
            postgres, redis = Postgres(), Redis()
            for server in (postgres, redis):
                cleanup.callback(server.destroy)
                server.start()
            fill = partial(_fill_postgres, postgres)
            services = [
                Service(cleanup, _fill_sqlite),
                Service(cleanup, fill, postgres.url, redis.url),
            ]
            services[1].watch(postgres)
        except Missing as missing:
            print(missing, file=sys.stderr)
            return 1
        print(f"{LINKS:,} links; milliseconds until the first and the last byte, and of CPU")
        print(f"{'':31}{'SQLite':>10}{'PostgreSQL':>24}{'kB':>16}{'requests':>9}")
        assets: dict[str, int] = {}
        for page in PAGES:
            if ONLY in page.name:
                print(_line(page.name, [_measure(each, page, assets) for each in services]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
