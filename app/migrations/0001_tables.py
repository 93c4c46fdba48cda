"""The first schema: users, urls, events, products, and what clicks and cache need."""

from typing import Any

from app.database import dialect

TABLES = """
CREATE TABLE users (
    id {identity},
    username VARCHAR(100) {text} NOT NULL CHECK (length(username) BETWEEN 1 AND 100),
    email VARCHAR(255) {text} NOT NULL CHECK (length(email) BETWEEN 3 AND 255),
    created_at TIMESTAMP NOT NULL
);
CREATE UNIQUE INDEX users_username ON users (username);
CREATE UNIQUE INDEX users_email ON users (lower(email));

CREATE TABLE urls (
    id {identity},
    user_id BIGINT REFERENCES users (id) ON DELETE CASCADE,
    short_code VARCHAR(32) {text} NOT NULL CHECK (length(short_code) BETWEEN 1 AND 32),
    original_url TEXT NOT NULL CHECK (length(original_url) BETWEEN 8 AND 2048),
    title VARCHAR(255) CHECK (length(title) BETWEEN 1 AND 255),
    is_active BOOLEAN NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    deleted_at TIMESTAMP,
    version BIGINT DEFAULT 1 NOT NULL,
    click_count BIGINT DEFAULT 0 NOT NULL
);
CREATE UNIQUE INDEX urls_short_code ON urls (short_code);
CREATE INDEX urls_user ON urls (user_id, id);
CREATE INDEX urls_live ON urls (id) WHERE deleted_at IS NULL;
CREATE INDEX urls_active ON urls (is_active, id) WHERE deleted_at IS NULL;

CREATE TABLE events (
    id {identity},
    url_id BIGINT REFERENCES urls (id) ON DELETE CASCADE,
    user_id BIGINT REFERENCES users (id) ON DELETE SET NULL,
    event_type VARCHAR(50) {text} NOT NULL CHECK (length(event_type) BETWEEN 1 AND 50),
    timestamp TIMESTAMP NOT NULL,
    details TEXT NOT NULL
);
CREATE INDEX events_url ON events (url_id, id);
CREATE INDEX events_user ON events (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX events_type ON events (event_type, id)
    WHERE event_type NOT IN ('clicked', 'click', 'redirect');
CREATE INDEX events_url_type ON events (url_id, event_type, id)
    WHERE event_type NOT IN ('clicked', 'click', 'redirect');
CREATE INDEX events_clicks ON events (id) WHERE event_type IN ('clicked', 'click', 'redirect');

CREATE TABLE products (
    id {identity},
    name VARCHAR(255) NOT NULL,
    category VARCHAR(100) NOT NULL,
    price NUMERIC(12, 2) NOT NULL,
    stock BIGINT NOT NULL
);

CREATE TABLE facts (
    name VARCHAR(50) PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE click_claims (
    id {identity},
    sender VARCHAR(40) {text} NOT NULL,
    lowest BIGINT NOT NULL,
    highest BIGINT NOT NULL,
    numbers TEXT NOT NULL,
    forget_at TIMESTAMP NOT NULL
);
CREATE INDEX click_claims_sender ON click_claims (sender, highest);

CREATE TABLE cache_updates (
    id {identity},
    short_code VARCHAR(32) {text} NOT NULL,
    entry TEXT NOT NULL
)
"""


def up(_migrator: Any, db: Any) -> None:
    kinds = dialect()
    for statement in TABLES.split(";"):
        db.execute_sql(statement.format(identity=kinds.identity, text=kinds.text))


def down(_migrator: Any, db: Any) -> None:
    for table in ("cache_updates", "click_claims", "facts", "products", "events", "urls", "users"):
        db.execute_sql(f"DROP TABLE {table}")
