"""Indexes for the filters and orders of lists; large tables get them later, without a lock."""

from typing import Any

from app.migrations import indexes


def up(_migrator: Any, _db: Any) -> None:
    indexes.build_small()


def down(_migrator: Any, db: Any) -> None:
    for name in indexes.INDEXES:
        db.execute_sql(f"DROP INDEX IF EXISTS {name}")
