"""API keys, and which of them made which links."""

from typing import Any

from app.database import dialect

STATEMENTS = """
CREATE TABLE api_keys (
    id {identity},
    name VARCHAR(100) {text} NOT NULL UNIQUE,
    scope VARCHAR(10) {text} NOT NULL CHECK (scope IN ('create', 'read', 'write', 'admin')),
    user_id BIGINT REFERENCES users (id) ON DELETE CASCADE,
    hash VARCHAR(64) {text} NOT NULL UNIQUE,
    old_hash VARCHAR(64) {text} UNIQUE,
    old_until TIMESTAMP,
    created_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP,
    revoked_at TIMESTAMP,
    used_at TIMESTAMP
);
CREATE INDEX api_keys_user ON api_keys (user_id);
CREATE TABLE url_keys (
    key_id BIGINT NOT NULL,
    url_id BIGINT NOT NULL,
    PRIMARY KEY (key_id, url_id)
)
"""


def up(_migrator: Any, db: Any) -> None:
    for statement in STATEMENTS.split(";"):
        db.execute_sql(statement.format(identity=dialect().identity, text=dialect().text))


def down(_migrator: Any, db: Any) -> None:
    db.execute_sql("DROP TABLE url_keys")
    db.execute_sql("DROP TABLE api_keys")
