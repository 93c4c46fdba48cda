"""/urls and /shorten over HTTP."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from app.imports import exporting, importing
from app.imports.columns import URLS
from app.routes.downloads import csv_file
from app.routes.inputs import Answer, base_url, created, declares, listing
from app.routes.tags import precondition, tagged, unless_known, url_tag
from app.routes.uploads import uploaded
from app.schemas import (
    Event,
    ImportedFile,
    ImportQuery,
    ImportRefusal,
    ListQuery,
    ShortenUrl,
    StatsQuery,
    Url,
    UrlCreate,
    UrlFilters,
    UrlQuery,
    UrlStats,
    UrlUpdate,
    show_url,
)
from app.services import events, finding, paging, stats, urls

bp = Blueprint("urls", __name__)


@bp.post("/urls")
@declares(
    body=UrlCreate,
    answer=Url,
    status=201,
    errors=(404, 409),
    headers=("Location",),
    tagged=True,
    scope="create",
    keyless=True,
)
def create_url(body: UrlCreate) -> Answer:
    """Make a short link; the same URL twice makes two."""
    return _make(body)


@bp.post("/shorten")
@declares(
    body=ShortenUrl,
    answer=Url,
    status=201,
    errors=(409,),
    headers=("Location",),
    tagged=True,
    scope="create",
    keyless=True,
)
def shorten_url(body: ShortenUrl) -> Answer:
    """Make a short link from nothing but a URL."""
    given = dict(body)
    return _make(UrlCreate.model_construct(original_url=given.pop("url"), **given))


def _make(data: UrlCreate) -> Answer:
    url = urls.create(data)
    return created(show_url(url, base_url()), f"/urls/{url.id}", url_tag(url))


@bp.get("/urls")
@declares(query=UrlQuery, answer=list[Url], errors=(404,), scope="see")
def list_urls(query: UrlQuery) -> Answer:
    """All links by id; filters combine, and `sort` orders them otherwise."""
    base = base_url()
    return listing(paging.shown(finding.page(query), lambda url: show_url(url, base)), query)


@bp.get("/urls.csv")
@declares(
    query=UrlFilters,
    answer=str,
    media="text/csv",
    errors=(400,),
    headers=("Content-Disposition",),
    scope="see",
)
def export_urls(query: UrlFilters) -> Response:
    """All links by id, or those of the filters, as the import takes them."""
    return csv_file("urls.csv", exporting.pieces(URLS, finding.searched(query)))


@bp.post("/urls/import")
@declares(
    query=ImportQuery,
    answer=ImportedFile,
    status=201,
    upload=True,
    refusal=ImportRefusal,
    scope="write",
)
def import_file(query: ImportQuery) -> ImportedFile:
    """Import a CSV file of links, users or events, or another system's links."""
    with uploaded("file") as stream:
        return importing.import_file(stream, query)


@bp.get("/urls/<id:url_id>")
@declares(answer=Url, errors=(404,), tagged=True, scope="see")
def get_url(url_id: int) -> Answer | Response:
    """One link, with its exact number of clicks."""
    url = urls.get(url_id)
    return unless_known(show_url(url, base_url()), url_tag(url))


@bp.put("/urls/<id:url_id>")
@declares(body=UrlUpdate, answer=Url, errors=(404,), tagged=True, scope="write")
def update_url(url_id: int, body: UrlUpdate) -> Answer:
    """Change the title, the target, or whether the link works."""
    url = urls.update(url_id, body, precondition(url_tag))
    return tagged(show_url(url, base_url()), url_tag(url))


@bp.delete("/urls/<id:url_id>")
@declares(status=204, errors=(404,), tagged=True, scope="write")
def delete_url(url_id: int) -> None:
    """Delete a link for good; its events stay, its code is never given out again."""
    urls.delete(url_id, precondition(url_tag))


@bp.get("/urls/<id:url_id>/stats")
@declares(query=StatsQuery, answer=UrlStats, errors=(400, 404), scope="see")
def get_url_stats(url_id: int, query: StatsQuery) -> dict[str, Any]:
    """How often a link was followed, by whom, by day or hour."""
    found = stats.of_url(url_id, query)
    return {**found, "url": show_url(found["url"], base_url())}


@bp.get("/urls/<id:url_id>/events")
@declares(query=ListQuery, answer=list[Event], errors=(404,), scope="read")
def list_url_events(url_id: int, query: ListQuery) -> Answer:
    """What happened to a link, newest first."""
    return listing(paging.shown(events.page_of_url(url_id, query), events.show), query)
