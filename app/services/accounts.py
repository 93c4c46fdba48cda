"""Writes users together with their audit rows: on PostgreSQL in one statement, one round trip.

SQLite, which locks the whole database instead of rows, has no round trip to save.
"""

from __future__ import annotations

from typing import Any

from app.access import caller
from app.database import db, dialect
from app.models import ApiKey, User
from app.services import audit, tables
from app.services.audit import Change, differing
from app.services.states import key_state, user_state

_INSERT = """
WITH made AS (INSERT INTO users ({columns}) VALUES ({values}) RETURNING *),
noted AS (INSERT INTO audit (subject_id, {noted}) SELECT id, {marks} FROM made)
SELECT {shown} FROM made"""

_UPDATE = """
WITH old AS (SELECT * FROM users WHERE id = ? FOR NO KEY UPDATE),
made AS (
    UPDATE users SET {changes}, version = users.version + CASE WHEN {differ} THEN 1 ELSE 0 END
    FROM old WHERE users.id = old.id RETURNING users.*
),
noted AS (
    INSERT INTO audit (subject_id, version, before, after, {noted})
    SELECT made.id, made.version, {before}, {after}, {marks} FROM old, made
    WHERE made.version > old.version
)
SELECT {shown} FROM made"""
_BEFORE = """jsonb_strip_nulls(jsonb_build_object(
    'username', nullif(old.username, made.username), 'email', nullif(old.email, made.email)))"""
# A short code has no character that JSON would escape.
_LINKS = """
INSERT INTO audit (subject_id, version, before, {noted})
SELECT id, version + 1, '{{"short_code": "' || short_code || '"}}', {marks} FROM urls
WHERE user_id = ? AND deleted_at IS NULL ORDER BY id"""
_AFTER = "jsonb_build_object('username', made.username, 'email', made.email)"


def insert(values: dict[str, Any]) -> Any:
    """The new user."""
    if not dialect().locks_rows:
        with db.atomic():
            user = tables.insert(User, values)
            audit.note_all(
                [Change("create", "user", user.id, None, user_state(user), user.version)]
            )
            return user
    after = {name: values[name] for name in ("username", "email")}
    noted = _noted(Change("create", "user", None, None, after, 1), "subject_id")
    sql = _INSERT.format(columns=", ".join(values), values=tables.marks(values), **_parts(noted))
    return _first(sql, [*values.values(), *noted.values()])


def update(user_id: int, values: dict[str, Any]) -> Any:
    """The user with `values`, or None when there is none; with them already, nothing changes."""
    if not dialect().locks_rows:
        return _update_step_by_step(user_id, values)
    noted = _noted(Change("update", "user"), "subject_id", "version", "before", "after")
    sql = _UPDATE.format(
        changes=", ".join(f"{name} = ?" for name in values),
        differ=" OR ".join(f"users.{name} <> ?" for name in values),
        before=f"{_BEFORE}::text",
        after=f"{_AFTER}::text",
        **_parts(noted),
    )
    return _first(sql, [user_id, *values.values(), *values.values(), *noted.values()])


def _update_step_by_step(user_id: int, values: dict[str, Any]) -> Any:
    with db.atomic():
        old, user = tables.find(User, user_id), tables.update(User, user_id, values)
        if user is not None and user.version > old.version:
            was, becomes = user_state(old), user_state(user)
            before = differing(was, becomes)
            audit.note_all([Change("update", "user", user_id, before, becomes, user.version)])
        return user


def _noted(change: Change, *without: str) -> dict[str, Any]:
    """The columns of the audit row that the statement does not find itself."""
    row = audit.row_of(change, audit.by(caller()))
    return {name: value for name, value in row.items() if name not in without}


def _parts(noted: dict[str, Any]) -> dict[str, str]:
    shown = tables.columns_of(User)
    return {"noted": ", ".join(noted), "marks": tables.marks(noted), "shown": shown}


def _first(sql: str, values: list[Any]) -> Any:
    rows = tables.rows_of(User, tables.execute(sql, values))
    return rows[0] if rows else None


def note_deletion(user: Any, action: str) -> None:
    """Adds rows for the user, its keys and its links, before they are deleted."""
    before = user_state(user) if action == "delete" else None
    keys = tables.read(ApiKey, {"user_id = ?": (user.id,)}, "ORDER BY id")
    of_keys = [Change("delete", "key", key.id, key_state(key)) for key in keys]
    audit.note_all([Change(action, "user", user.id, before), *of_keys])
    noted = _noted(Change(action, "url"), "subject_id", "version", "before")
    tables.later(_LINKS.format(**_parts(noted)), [*noted.values(), user.id])
