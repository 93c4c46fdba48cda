"""Builds the indexes that only lists use, on large tables without locking writers out."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

from peewee import PeeweeException

from app.database import DatabaseUnavailable, db, dialect, released, without_timeouts

log = logging.getLogger(__name__)

INDEXES = {
    "urls_created": "urls (created_at, id) WHERE deleted_at IS NULL",
    "events_time": "events (timestamp)",
    "urls_search": "urls USING gin (title gin_trgm_ops, original_url gin_trgm_ops) "
    "WHERE deleted_at IS NULL",
}
_MANY = "SELECT 1 FROM {} OFFSET 10000 LIMIT 1"
_KEY = "hashtext('holdfast indexes')"
_IS_VALID = "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass('{}') AND indisvalid"
_HAS_TRIGRAMS = (
    "SELECT 1 FROM pg_opclass WHERE opcname = 'gin_trgm_ops' AND pg_opclass_is_visible(oid)"
)
# Asked first: a refusal would count as a fault of the database.
_MAY_HAVE_TRIGRAMS = """
SELECT 1 FROM pg_available_extension_versions WHERE name = 'pg_trgm' AND (
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
    OR trusted AND has_database_privilege(current_database(), 'CREATE')
        AND has_schema_privilege(current_schema(), 'CREATE'))
"""


def build() -> list[str]:
    """Builds what is missing, one process at a time; returns the names.

    Readers and writers go on meanwhile. It waits for transactions that began before.
    """
    if not missing():
        return []
    # A lock of this transaction, and no transaction for the work: PostgreSQL refuses one.
    with ThreadPoolExecutor(1) as beside, released(), without_timeouts(), db.atomic():
        if not _found(f"SELECT 1 WHERE pg_try_advisory_xact_lock({_KEY})"):
            return []
        return beside.submit(_build_missing).result()


def _build_missing() -> list[str]:
    with released(), without_timeouts():
        names = missing()
        for name in names:
            db.execute_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")  # was interrupted
            db.execute_sql(f"CREATE INDEX CONCURRENTLY {name} ON {INDEXES[name]}")
        return names


def build_in_background() -> None:
    """As `build`, with its outcome in the log."""
    try:
        names = build()
        log.info("built the indexes %s", ", ".join(names) or "by another process")
    except (PeeweeException, DatabaseUnavailable) as error:
        log.warning("indexes of lists are not built, the next start tries again: %s", error)


def is_there(name: str) -> bool:
    """Whether PostgreSQL has the index; SQLite has none for a search."""
    return dialect().typed and _found(_IS_VALID.format(name))


def missing() -> list[str]:
    """The names of indexes that can be built here and are not there, or not whole."""
    if not dialect().typed:
        return []  # SQLite gets them by the migration
    names = [name for name in INDEXES if not is_there(name)]
    return [name for name in names if name != "urls_search" or _found(_HAS_TRIGRAMS)]


def build_small() -> None:
    """Builds in the running transaction what takes no time; on PostgreSQL few rows, or `build`."""
    if not dialect().typed:
        for name in ("urls_created", "events_time"):
            db.execute_sql(f"CREATE INDEX {name} ON {INDEXES[name]}")
        return
    _add_trigrams()
    for name in missing():
        if not _found(_MANY.format(INDEXES[name].split()[0])):
            db.execute_sql(f"CREATE INDEX {name} ON {INDEXES[name]}")


def _add_trigrams() -> None:
    """Adds the extension where this role may; a search works without it."""
    if not _found(_HAS_TRIGRAMS) and _found(_MAY_HAVE_TRIGRAMS):
        try:
            with db.atomic():
                db.execute_sql("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        except (PeeweeException, DatabaseUnavailable) as error:
            log.warning("a search has no index, as pg_trgm cannot be added: %s", error)


def _found(sql: str) -> bool:
    return db.execute_sql(sql).fetchone() is not None
