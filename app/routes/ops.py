"""For operators and their tools: health, metrics, chaos, the index and the OpenAPI document."""

from __future__ import annotations

import hmac
from typing import Any

from flask import Blueprint, Response, current_app, request

from app import metrics, openapi
from app.errors import Unauthorized, Unavailable
from app.process import replica
from app.proxies import is_inside
from app.routes.inputs import Answer, base_url, declares, empty
from app.schemas import Health, Index, Readiness
from app.services import health
from app.version import VERSION

bp = Blueprint("ops", __name__)


@bp.get("/health")
@declares(answer=Health, scope="public")
def show_health() -> dict[str, str]:
    """Whether this process lives; 200 as long as it can say so."""
    return health.alive()


@bp.get("/health/ready")
@declares(answer=Readiness, errors=(503,), scope="public")
def show_readiness() -> Response | dict[str, Any]:
    """Whether this replica can serve traffic; why not, and its parts, only from inside."""
    state = health.ready()
    tells = current_app.config["AUTH"] == "off" or is_inside(request.environ)
    if state.able:
        return state.report if tells else {"status": state.report["status"]}
    raise Unavailable(f"This replica is not ready{f': {state.trouble}' if tells else ''}")


@bp.get("/ready")
@declares(answer=Readiness, errors=(503,), scope="public")
def show_ready() -> Response | dict[str, Any]:
    """The same as GET /health/ready."""
    return show_readiness()


@bp.get("/metrics")
@declares(answer=str, media="text/plain", scope="public")
def show_metrics() -> Response:
    """Prometheus' text format, over all worker processes of this replica."""
    health.note_connections()
    text = metrics.exposition(health.readings(), current_app.config["METRICS_DIRECTORY"])
    return Response(text, content_type=metrics.CONTENT_TYPE)


@bp.get("/chaos")
@declares(status=204, errors=(401,), secured=True, scope="admin")
def stop_replica() -> Response:
    """End this replica, to see it come back: needs the header X-Chaos-Token."""
    offered = request.headers.get("X-Chaos-Token", "").encode("utf-8", "replace")
    token = current_app.config["CHAOS_TOKEN"].encode()
    if not token or not hmac.compare_digest(offered, token):
        raise Unauthorized("X-Chaos-Token is missing or wrong")
    response = empty(204)
    response.call_on_close(replica.stop)
    return response


@bp.get("/openapi.json")
@declares(answer=dict[str, Any], scope="public")
def show_openapi() -> dict[str, Any]:
    """This interface as an OpenAPI 3.1 document."""
    return openapi.document(current_app, current_app.config["BASE_URL"] or "/")


@bp.get("/")
@declares(answer=Index, page=True, headers=("Vary",), scope="public")
def show_index() -> Answer:
    """What this is and where to go from here."""
    index = {
        "name": "Holdfast",
        "version": VERSION,
        "documentation": f"{base_url()}/openapi.json",
        "endpoints": openapi.endpoints(current_app),
    }
    return Answer(index, {"Vary": "Accept"})
