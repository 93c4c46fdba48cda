"""Statistics: how often links were followed, by day, by hour and by who followed them."""

from typing import Any

from app.database import dialect

# Link 0 stands for all links, -1 for codes that no link has. Days and hours count from 1970, UTC.
TABLES = """
CREATE TABLE click_journal (
    id {identity},
    entry TEXT NOT NULL
);
CREATE TABLE click_days (
    url_id BIGINT NOT NULL,
    day INTEGER NOT NULL,
    people BIGINT NOT NULL,
    robots BIGINT NOT NULL,
    PRIMARY KEY (url_id, day)
);
CREATE TABLE click_hours (
    url_id BIGINT NOT NULL,
    hour INTEGER NOT NULL,
    people BIGINT NOT NULL,
    robots BIGINT NOT NULL,
    PRIMARY KEY (url_id, hour)
);
CREATE INDEX click_hours_hour ON click_hours (hour);
CREATE TABLE click_values (
    url_id BIGINT NOT NULL,
    dimension VARCHAR(10) {text} NOT NULL,
    value VARCHAR(100) {text} NOT NULL,
    people BIGINT NOT NULL,
    robots BIGINT NOT NULL,
    PRIMARY KEY (url_id, dimension, value)
)
"""
# Clicks that are stored by now are not counted, and deleting one takes nothing away.
LAST_UNCOUNTED = (
    "INSERT INTO facts (name, value) SELECT 'uncounted', max(id) FROM events HAVING max(id) > 0"
)


def up(_migrator: Any, db: Any) -> None:
    kinds = dialect()
    for statement in TABLES.split(";"):
        db.execute_sql(statement.format(identity=kinds.identity, text=kinds.text))
    db.execute_sql(LAST_UNCOUNTED)


def down(_migrator: Any, db: Any) -> None:
    db.execute_sql("DELETE FROM facts WHERE name = 'uncounted'")
    for table in ("click_values", "click_hours", "click_days", "click_journal"):
        db.execute_sql(f"DROP TABLE {table}")
