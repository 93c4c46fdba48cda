"""/events over HTTP."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from app.imports import exporting
from app.imports.columns import EVENTS
from app.routes.downloads import csv_file
from app.routes.inputs import Answer, created, declares, listing
from app.schemas import Event, EventCreate, EventFilters, EventQuery
from app.services import events, paging

bp = Blueprint("events", __name__)


@bp.get("/events")
@declares(query=EventQuery, answer=list[Event], errors=(404,), scope="read")
def list_events(query: EventQuery) -> Answer:
    """All events, newest first, every click answered so far among them."""
    return listing(paging.shown(events.page(query), events.show), query)


@bp.get("/events.csv")
@declares(
    query=EventFilters,
    answer=str,
    media="text/csv",
    errors=(400,),
    headers=("Content-Disposition",),
    scope="admin",
)
def export_events(query: EventFilters) -> Response:
    """All events by id, or those of the filters, as the import takes them."""
    return csv_file("events.csv", exporting.pieces(EVENTS, events.conditions(query)))


@bp.post("/events")
@declares(
    body=EventCreate,
    answer=Event,
    status=201,
    errors=(404, 409),
    headers=("Location",),
    scope="write",
)
def create_event(body: EventCreate) -> Answer:
    """Record an event of the client's own."""
    event = events.create(body)
    return created(events.show(event), f"/events/{event.id}")


@bp.get("/events/<id:event_id>")
@declares(answer=Event, errors=(404,), scope="read")
def get_event(event_id: int) -> dict[str, Any]:
    """One event."""
    return events.show(events.get(event_id))


@bp.delete("/events/<id:event_id>")
@declares(status=204, errors=(404,), scope="write")
def delete_event(event_id: int) -> None:
    """Delete an event."""
    events.delete(event_id)
