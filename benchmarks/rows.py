"""Fills the tables of a PostgreSQL with millions of rows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing

import psycopg2

_INDEXES = (
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename IN ('urls',"
    " 'events') AND indexname NOT LIKE '%_pkey'"
)
ROWS = (
    """INSERT INTO users (username, email, created_at)
       SELECT 'user' || n, 'user' || n || '@example.com', now()
       FROM generate_series(1, {users}) AS n""",
    """INSERT INTO urls (user_id, short_code, original_url, title, is_active,
           created_at, updated_at, click_count)
       SELECT 1 + n % {users}, 'g' || lpad(n::text, 9, '0'), 'https://example.com/page/' || n,
           'Page ' || n, n % 6 <> 0, now(), now(), {clicks}
       FROM generate_series(1, {links}) AS n""",
    """INSERT INTO events (url_id, user_id, event_type, timestamp, details)
       SELECT 1 + n % {links}, 1 + n % {links} % {users},
           CASE WHEN n % 10 = 0 THEN 'created' ELSE 'clicked' END, now(),
       '{{"short_code": "g", "original_url": "https://example.com/page", '
       '"ip": "127.0.0.1", "user_agent": "probe", "referrer": ""}}'
       FROM generate_series(1, {events}::bigint) AS n""",
)
DIMENSIONS = "ARRAY['browser', 'system', 'device', 'referrer', 'campaign']"


def fill(dsn: str, links: int, events: int, rows: Sequence[str]) -> float:
    """Makes the rows without indexes and the indexes afterwards, as a restore does.

    Returns the seconds that it took.
    """
    began = time.monotonic()
    with psycopg2.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SET maintenance_work_mem = '1GB'; SET synchronous_commit = off; SET"
            " session_replication_role = replica"
        )
        cursor.execute(_INDEXES)
        definitions = [row[0] for row in cursor.fetchall()]
        for definition in definitions:
            cursor.execute(f"DROP INDEX {definition.split(' INDEX ')[1].split(' ON ')[0]}")
        for statement in rows:
            cursor.execute(
                statement.format(
                    links=links,
                    events=events,
                    users=max(1, links // 10),
                    clicks=events // links,
                    dimensions=DIMENSIONS,
                )
            )
        for definition in definitions:
            cursor.execute(definition)
    with closing(psycopg2.connect(dsn)) as connection:
        connection.autocommit = True  # as the with of a connection is a transaction
        connection.cursor().execute("VACUUM ANALYZE")
    return time.monotonic() - began
