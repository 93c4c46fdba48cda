"""Links get rules, tags and longer codes; users get a version, as links have one."""

from typing import Any

from app.database import dialect

COLUMNS = {
    "expires_at": "TIMESTAMP",
    "expired_url": "TEXT",
    "max_clicks": "BIGINT",
    "redirect_status": "SMALLINT DEFAULT 302 NOT NULL",
    "forward_query": "BOOLEAN DEFAULT FALSE NOT NULL",
    "tags": "TEXT DEFAULT '[]' NOT NULL",
    "people_count": "BIGINT DEFAULT 0 NOT NULL",
    "robot_count": "BIGINT DEFAULT 0 NOT NULL",
}
CHECKS = {
    "expired_url": "CHECK (length(expired_url) BETWEEN 8 AND 2048)",
    "max_clicks": "CHECK (max_clicks >= 1)",
    "redirect_status": "CHECK (redirect_status IN (301, 302, 307, 308))",
}

# A lock that waits makes all later statements wait, redirects too: each try is a short one.
LOCK = """
DO $$ BEGIN
    FOR attempt IN 1..600 LOOP
        BEGIN
            PERFORM set_config('lock_timeout', '150', true);
            LOCK TABLE urls, users, cache_updates IN ACCESS EXCLUSIVE MODE;
            PERFORM set_config('lock_timeout', '0', true);
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.5);
        END;
    END LOOP;
    RAISE lock_not_available USING MESSAGE = 'urls, users or cache_updates is in use'
        ' all the time, perhaps by a backup: migrate after it';
END $$
"""

TABLES = """
CREATE TABLE url_tags (
    url_id BIGINT NOT NULL REFERENCES urls (id) ON DELETE CASCADE,
    tag VARCHAR(50) {text} NOT NULL CHECK (length(tag) BETWEEN 1 AND 50),
    PRIMARY KEY (tag, url_id)
);
CREATE INDEX url_tags_url ON url_tags (url_id);

CREATE TABLE retired_codes (short_code VARCHAR(64) {text} PRIMARY KEY)
"""

# Neither rewrites the table: PostgreSQL widens a VARCHAR in place, and checks the rows later.
LONGER_CODES = {
    "PostgreSQL": """
ALTER TABLE urls DROP CONSTRAINT urls_short_code_check;
ALTER TABLE urls ALTER COLUMN short_code TYPE VARCHAR(64) COLLATE "C";
ALTER TABLE urls ADD CONSTRAINT urls_short_code_check
    CHECK (length(short_code) BETWEEN 1 AND 64) NOT VALID;
ALTER TABLE cache_updates ALTER COLUMN short_code TYPE VARCHAR(64) COLLATE "C"
""",
    # SQLite cannot change a check: another column takes the place of this one.
    "SQLite": """
ALTER TABLE urls ADD COLUMN longer_code VARCHAR(64) DEFAULT '-' NOT NULL
    CHECK (length(longer_code) BETWEEN 1 AND 64);
UPDATE urls SET longer_code = short_code;
DROP INDEX urls_short_code;
ALTER TABLE urls DROP COLUMN short_code;
ALTER TABLE urls RENAME COLUMN longer_code TO short_code;
CREATE UNIQUE INDEX urls_short_code ON urls (short_code)
""",
}
SHORTER_CODES = {
    "PostgreSQL": """
ALTER TABLE urls DROP CONSTRAINT urls_short_code_check;
ALTER TABLE urls ADD CONSTRAINT urls_short_code_check
    CHECK (length(short_code) BETWEEN 1 AND 32) NOT VALID
""",
    "SQLite": "SELECT 1",
}


def up(_migrator: Any, db: Any) -> None:
    typed = dialect().typed
    if typed:
        db.execute_sql(LOCK)
    for name, kind in COLUMNS.items():
        check = "" if typed else CHECKS.get(name, "")
        db.execute_sql(f"ALTER TABLE urls ADD COLUMN {name} {kind} {check}")
    # With its column, a check would read all rows while nobody else may.
    for name, check in CHECKS.items() if typed else ():
        db.execute_sql(f"ALTER TABLE urls ADD CONSTRAINT urls_{name}_check {check} NOT VALID")
    db.execute_sql("ALTER TABLE users ADD COLUMN version BIGINT DEFAULT 1 NOT NULL")
    _run(db, LONGER_CODES[_engine()])
    _run(db, TABLES)


def down(_migrator: Any, db: Any) -> None:
    for table in ("url_tags", "retired_codes"):
        db.execute_sql(f"DROP TABLE {table}")
    _run(db, SHORTER_CODES[_engine()])
    db.execute_sql("ALTER TABLE users DROP COLUMN version")
    for name in COLUMNS:
        db.execute_sql(f"ALTER TABLE urls DROP COLUMN {name}")


def _engine() -> str:
    return "PostgreSQL" if dialect().typed else "SQLite"


def _run(db: Any, statements: str) -> None:
    for statement in statements.split(";"):
        db.execute_sql(statement.format(text=dialect().text))
