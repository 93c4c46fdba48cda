"""/audit over HTTP, for those who watch over changes."""

from __future__ import annotations

from flask import Blueprint, Response

from app.imports import exporting
from app.routes.downloads import csv_file
from app.routes.inputs import Answer, declares, listing
from app.schemas import AuditEntry, AuditFilters, AuditQuery, show_audit
from app.services import audit, paging

bp = Blueprint("audit", __name__)


@bp.get("/audit")
@declares(query=AuditQuery, answer=list[AuditEntry], errors=(404,), scope="admin")
def list_audit(query: AuditQuery) -> Answer:
    """Who changed what, from what to what, newest first."""
    return listing(paging.shown(audit.page(query), show_audit), query)


@bp.get("/audit.csv")
@declares(
    query=AuditFilters,
    answer=str,
    media="text/csv",
    errors=(400,),
    headers=("Content-Disposition",),
    scope="admin",
)
def export_audit(query: AuditFilters) -> Response:
    """The whole audit trail by id, or the rows of the filters."""
    return csv_file("audit.csv", exporting.pieces(exporting.AUDIT, audit.conditions(query)))
