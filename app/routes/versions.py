"""/urls/<id>/versions and /restore over HTTP: more routes of the blueprint in urls.py."""

from __future__ import annotations

from app.routes.inputs import Answer, base_url, declares, listing
from app.routes.tags import precondition, tagged, url_tag
from app.routes.urls import bp
from app.schemas import ListQuery, RestoreQuery, Url, UrlVersion, show_url
from app.services import versions


@bp.get("/urls/<id:url_id>/versions")
@declares(query=ListQuery, answer=list[UrlVersion], errors=(404,), scope="see")
def list_url_versions(url_id: int, query: ListQuery) -> Answer:
    """All that a link was, as far as it is known, newest first."""
    return listing(versions.page(url_id, query), query)


@bp.post("/urls/<id:url_id>/restore")
@declares(query=RestoreQuery, answer=Url, errors=(400, 404, 412), tagged=True, scope="write")
def restore_url(url_id: int, query: RestoreQuery) -> Answer:
    """Take a link back to what it was in an earlier version, as a new version."""
    url = versions.restore(url_id, query.version, precondition(url_tag))
    return tagged(show_url(url, base_url()), url_tag(url))
