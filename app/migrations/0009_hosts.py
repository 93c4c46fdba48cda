"""Hosts to which no link leads."""

from typing import Any

from app.database import dialect

TABLE = """
CREATE TABLE banned_hosts (
    host VARCHAR(253) {text} PRIMARY KEY,
    reason TEXT NOT NULL CHECK (length(reason) <= 500),
    created_at TIMESTAMP NOT NULL
)
"""


def up(_migrator: Any, db: Any) -> None:
    db.execute_sql(TABLE.format(text=dialect().text))


def down(_migrator: Any, db: Any) -> None:
    db.execute_sql("DROP TABLE banned_hosts")
