"""The answers to POST requests that came with an Idempotency-Key."""

from typing import Any

from app.database import dialect

TABLE = """
CREATE TABLE idempotency_keys (
    name VARCHAR(255) {text} PRIMARY KEY,
    fingerprint VARCHAR(64) {text} NOT NULL,
    status SMALLINT NOT NULL,
    headers TEXT NOT NULL,
    answer TEXT NOT NULL,
    forget_at TIMESTAMP NOT NULL
);
CREATE INDEX idempotency_keys_forget_at ON idempotency_keys (forget_at)
"""


def up(_migrator: Any, db: Any) -> None:
    for statement in TABLE.split(";"):
        db.execute_sql(statement.format(text=dialect().text))


def down(_migrator: Any, db: Any) -> None:
    db.execute_sql("DROP TABLE idempotency_keys")
