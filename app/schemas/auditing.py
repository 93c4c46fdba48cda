"""What endpoints accept and answer about changes: the audit trail, and versions of a link."""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field

from app.schemas.inputs import ListQuery, Query
from app.schemas.linkrules import Moment
from app.schemas.outputs import Out, reader
from app.schemas.rules import QueryInteger, Timestamp

_State = dict[str, Any]


class AuditFilters(Query):
    """Which rows of the audit trail: all filters that are given hold."""

    kind: str | None = Field(
        None, description="what changed: url, user, key, host, settings, import"
    )
    subject_id: QueryInteger | None = Field(None, description="the id of what changed")
    key: str | None = Field(None, description="by the API key of this name")
    action: str | None = Field(None, description="such as create, update, delete, restore")
    after_time: Moment | None = Field(None, description="at this moment or later")
    before_time: Moment | None = Field(None, description="before this moment")


class AuditQuery(ListQuery, AuditFilters):
    pass


class RestoreQuery(Query):
    version: QueryInteger = Field(description="the version that the link becomes; 1 is the first")


class AuditEntry(Out):
    """`before`: what differed, as it was. `after`: the whole state, null when it is gone."""

    id: int
    at: Timestamp
    key_id: int | None
    key: str
    address: str
    request_id: str
    action: str
    kind: str
    subject_id: int | None
    version: int | None
    before: _State | None
    after: _State | None


class UrlVersion(Out):
    """A state of a link; `at` and `action` are null when only its end is known."""

    version: int
    at: Timestamp | None
    action: str | None
    original_url: str
    title: str | None
    is_active: bool
    expires_at: Timestamp | None
    expired_url: str | None
    max_clicks: int | None
    redirect_status: int
    forward_query: bool
    tags: list[str]


_columns_of_entry = reader(AuditEntry)


def show_audit(row: Any) -> dict[str, Any]:
    about = {name: _state(getattr(row, name)) for name in ("before", "after")}
    return _columns_of_entry(row) | about


def _state(stored: str | None) -> _State | None:
    return None if stored is None else json.loads(stored)
