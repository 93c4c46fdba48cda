"""The audit trail: who changed what, from what to what. Its rows are added, and never changed."""

from typing import Any

from app.database import dialect

# The database's own clock, so that whoever adds a row cannot say when.
TABLE = """
CREATE TABLE audit (
    id {identity},
    at TIMESTAMP DEFAULT {now} NOT NULL,
    key_id BIGINT,
    key VARCHAR(100) {text} NOT NULL,
    address VARCHAR(64) NOT NULL,
    request_id VARCHAR(64) NOT NULL,
    action VARCHAR(20) {text} NOT NULL,
    kind VARCHAR(20) {text} NOT NULL,
    subject_id BIGINT,
    version BIGINT,
    before TEXT,
    after TEXT
);
CREATE INDEX audit_subject ON audit (kind, subject_id, id);
CREATE INDEX audit_versions ON audit (subject_id, version) WHERE kind = 'url';
CREATE INDEX audit_at ON audit (at, id);
CREATE INDEX audit_key ON audit (key, id) WHERE key <> '';
CREATE INDEX audit_action ON audit (action, id) WHERE action NOT IN ('create', 'update')
"""

# A role that owns the table could give itself any right again, so that no REVOKE helps here;
# postgres/audit.sql gives it to another one. ALWAYS: session_replication_role turns others off.
POSTGRES = (
    """CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail can only be added to';
END $$""",
    """CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()""",
    "ALTER TABLE audit ENABLE ALWAYS TRIGGER audit_append_only",
)
# REPLACE deletes a row without asking the trigger of DELETE.
SQLITE = tuple(
    f"CREATE TRIGGER audit_no_{name} BEFORE {when} "
    "BEGIN SELECT RAISE(ABORT, 'the audit trail can only be added to'); END"
    for name, when in (
        ("update", "UPDATE ON audit"),
        ("delete", "DELETE ON audit"),
        ("replace", "INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)"),
    )
)
NOW = "date_trunc('second', CURRENT_TIMESTAMP AT TIME ZONE 'UTC')"


def up(_migrator: Any, db: Any) -> None:
    kinds = dialect()
    now = NOW if kinds.typed else "CURRENT_TIMESTAMP"
    for statement in TABLE.split(";"):
        db.execute_sql(statement.format(identity=kinds.identity, text=kinds.text, now=now))
    for statement in POSTGRES if kinds.typed else SQLITE:
        db.execute_sql(statement)


def down(_migrator: Any, db: Any) -> None:
    db.execute_sql("DROP TABLE audit")
    if dialect().typed:
        db.execute_sql("DROP FUNCTION audit_append_only()")
