"""Prints the plan of every query on a million rows; fails on a sequential scan."""

from __future__ import annotations

import itertools
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from flask.testing import FlaskClient

from app import create_app
from app.config import Settings
from app.database import db, now, released, without_timeouts

USERS, URLS, EVENTS = 10_000, 300_000, 690_000

ROWS = f"""
INSERT INTO users (username, email, created_at)
SELECT 'user' || n, 'user' || n || '@example.com', now() FROM generate_series(1, {USERS}) AS n;

INSERT INTO urls (user_id, short_code, original_url, title, is_active,
    created_at, updated_at, deleted_at)
SELECT CASE WHEN n % 10 = 0 THEN 1 WHEN n % 10 = 1 THEN NULL ELSE 2 + n % {USERS - 1} END,
    lpad(to_hex(n), 6, 'x'), 'https://example.com/' || n,
    'Link ' || n, n % 5 > 0, now() - ({URLS} - n) * interval '1 minute', now(),
    CASE WHEN n % 50 = 0 THEN now() END
FROM generate_series(1, {URLS}) AS n;

INSERT INTO events (url_id, user_id, event_type, timestamp, details)
SELECT 1 + n % url_count, 1 + n % {USERS}, type, now() - ({EVENTS} - n) * interval '1 second',
    '{{"a": 1}}'
FROM generate_series(1, {EVENTS}) AS n,
    LATERAL (SELECT CASE WHEN n % 3 = 0 THEN 100 ELSE {URLS} END AS url_count,
        CASE WHEN n % 10 < 8 THEN 'clicked' WHEN n % 10 = 8 THEN 'created'
            WHEN n % 1000 = 9 THEN 'shared' ELSE 'updated' END AS type) AS varied;

INSERT INTO url_tags (url_id, tag)
SELECT n, 'few' FROM generate_series(1, {URLS}, 1000) AS n
UNION ALL SELECT n, 'many' FROM generate_series(1, {URLS}, 3) AS n
"""
"""User 1 has a tenth of all links, links 1 to 100 a third of all events; most others have a few."""

TABLES = ("users", "urls", "events", "url_tags")
DAYS = (-300, -200, -1, 1)
PAGES = ("page=1", "page=30", "after=5000", "count=true")


class Captured(logging.Handler):
    """Every statement that is executed, with its values."""

    def __init__(self) -> None:
        super().__init__()
        self.statements: list[tuple[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if isinstance(record.msg, tuple):
            self.statements.append((record.msg[0], record.msg[1]))

    def taken(self) -> list[tuple[str, Any]]:
        statements, self.statements = self.statements, []
        return [
            (sql, values)
            for sql, values in statements
            if any(f'"{table}"' in sql or f" {table} " in sql for table in TABLES)
        ]


def addresses() -> Iterator[tuple[str, str]]:
    """Every request that reads, with the method."""
    for path, filters in (
        ("/users", [()]),
        ("/urls", combinations({"user_id": (1, 77, 9_999_999), "is_active": ("true", "false")})),
        ("/users/1/urls", [()]),
        ("/users/77/urls", [()]),
        ("/urls/7/events", [()]),
        ("/urls/7777/events", [()]),
        (
            "/events",
            combinations(
                {
                    "url_id": (7, 7777, 9_999_999),
                    "user_id": (1, 9_999_999),
                    "event_type": ("clicked", "created", "shared", "nosuch"),
                }
            ),
        ),
    ):
        for chosen, page in itertools.product(filters, PAGES):
            yield "GET", f"{path}?{'&'.join((*chosen, page))}"
    yield from (("GET", path) for path in searches())
    yield from (
        ("GET", path)
        for path in (
            "/users/77",
            "/urls/77",
            "/urls/77/stats",
            "/events/77",
            "/xxxx4d",
            "/nosuch",
            "/metrics",
        )
    )
    yield "HEAD", "/xxxx4d"


def searches() -> Iterator[str]:
    """Lists by their other filters, in their other orders."""
    yield from ("/users?username=user77", "/users?email=USER77@example.com")
    yield from ("/urls?short_code=xxxx4d", "/urls?short_code=nosuch")
    texts = ("q=nk+777", "q=nosuch", "q=example", "q=Link+12345", "q=x", "q=777&user_id=77")
    tags = ("tag=few", "tag=many", "tag=nosuch", "tag=many&user_id=1", "tag=few&q=999")
    for chosen in (*texts, *tags):
        yield from (f"/urls?{chosen}{more}" for more in ("", "&after=200000", "&sort=-created_at"))
    orders = ("clicks", "-clicks", "title", "id", "-id", "created_at", "-created_at")
    for order, chosen in itertools.product(orders, ("", "&user_id=1", "&user_id=77", "&tag=few")):
        yield from (f"/urls?sort={order}{chosen}{more}" for more in ("", "&page=9"))
    for first, last in itertools.combinations(map(day, DAYS), 2):
        for more in ("", "&user_id=77", "&user_id=1", "&sort=-created_at", "&sort=id", "&tag=few"):
            yield f"/urls?created_after={first}&created_before={last}{more}"
    for moment, more in itertools.product(map(day, DAYS), ("", "&url_id=7", "&url_id=7777")):
        yield from (f"/events?{name}={moment}{more}" for name in ("after_time", "before_time"))
    yield f"/events?before_time={day(1)}&after=5000"
    yield "/urls?sort=-created_at&after=5000"


def day(number: int) -> str:
    return (now() + timedelta(days=number)).isoformat()


def combinations(values: dict[str, tuple[Any, ...]]) -> list[tuple[str, ...]]:
    choices = [
        ("", *(f"{name}={value}" for value in possible)) for name, possible in values.items()
    ]
    return [tuple(filter(None, chosen)) for chosen in itertools.product(*choices)]


def fill() -> None:
    with released(), without_timeouts():
        for statement in ROWS.split(";"):
            db.execute_sql(statement.replace("%", "%%"))
        db.execute_sql("VACUUM ANALYZE")


def plan_of(sql: str, values: Any) -> list[str]:
    """The lines of the plan that name a table or an index, without their costs."""
    with released():
        lines = [row[0] for row in db.execute_sql(f"EXPLAIN {sql}", values).fetchall()]
    return [
        re.sub(r"\s+\(cost.*", "", line).strip("-> ")
        for line in lines
        if re.search(r"Scan|Insert|Update|Sort", line)
    ]


def verdict(sql: str, values: Any, plan: list[str]) -> str:
    if not any("Seq Scan" in line for line in plan):
        return "ok"
    if re.search(r"LIMIT 10000[01]\)", sql):  # so many rows at most, whichever way
        return "bounded"
    return "counts most rows" if counts_most_rows(sql, values) else "SEQUENTIAL SCAN"


def counts_most_rows(sql: str, values: Any) -> bool:
    """Whether the statement is a count of more rows than an index could spare it the reading of."""
    if not sql.lower().startswith(("select count(1) from", "select count(*) from")):
        return False
    table = next(table for table in TABLES if re.search(rf'FROM "?{table}\b', sql))
    with released():
        counted = db.execute_sql(sql, values).fetchone()[0]
        return bool(counted > db.execute_sql(f"SELECT count(*) / 5 FROM {table}").fetchone()[0])


def explain(client: FlaskClient, captured: Captured) -> list[str]:
    """Prints the plans; returns the statements that are not as they must be."""
    bad = []
    for method, path in addresses():
        captured.taken()
        status = client.open(path, method=method).status_code
        print(f"\n{method} {path}  {status}")
        for sql, values in captured.taken():
            plan = plan_of(sql, values)
            said = verdict(sql, values, plan)
            print(f"  {said:4} {'; '.join(plan)}")
            if said == "SEQUENTIAL SCAN" or status >= 500:
                bad.append(f"{method} {path}  {status}\n    {sql % tuple(map(repr, values or ()))}")
    return bad


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        address, cache = os.environ["TEST_DATABASE_URL"], os.environ.get("TEST_REDIS_URL", "")
        app = create_app(
            Settings(
                database_url=address, redis_url=cache, log_file=f"{folder}/log", log_level="WARNING"
            )
        )
        fill()
        captured = Captured()
        logger = logging.getLogger("peewee")
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        logger.addHandler(captured)
        bad = explain(app.test_client(), captured)
    print(
        "\n`counts most rows`: ?count=true and active_urls visit every row that they count, by"
        " whichever scan is cheapest; no list waits for it."
    )
    print(
        f"{len(bad)} statements scan a table from end to end"
        + "".join(f"\n  {line}" for line in bad)
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
