"""Links that were imported with a count of clicks, whose events may be imported later."""

from typing import Any

TABLE = """
CREATE TABLE imported_counts (
    url_id BIGINT PRIMARY KEY REFERENCES urls (id) ON DELETE CASCADE,
    clicks BIGINT NOT NULL
)
"""


def up(_migrator: Any, db: Any) -> None:
    db.execute_sql(TABLE)


def down(_migrator: Any, db: Any) -> None:
    db.execute_sql("DROP TABLE imported_counts")
