"""/urls over HTTP, for many links at once: more routes of the blueprint in urls.py."""

from __future__ import annotations

from typing import Any

from app.errors import ApiError, InvalidInput, phrase
from app.routes.inputs import base_url, declares, each_checked
from app.routes.urls import bp
from app.schemas import (
    UrlCreate,
    UrlsChange,
    UrlsChanged,
    UrlsCreate,
    UrlsCreated,
    UrlSelection,
    UrlsQuery,
    UrlsRefusal,
    show_url,
)
from app.services import changing, creating

_MOST_ERRORS = 100


@bp.post("/urls/bulk")
@declares(query=UrlsQuery, body=UrlsCreate, answer=UrlsCreated, status=201, refusal=UrlsRefusal)
def create_urls(query: UrlsQuery, body: UrlsCreate) -> dict[str, Any]:
    """Make up to 1,000 short links, with an outcome for each, or with `atomic` all or none."""
    links = each_checked(UrlCreate, body.urls)
    try:
        outcomes = creating.create(links, query.atomic)
    except creating.Refused as refused:
        raise _refusal(refused.outcomes) from None
    if all(isinstance(outcome, ApiError) for outcome in outcomes):
        raise _refusal(outcomes)
    return _report(outcomes)


def _report(outcomes: list[Any]) -> dict[str, Any]:
    base = base_url()
    results = [
        _failed(outcome)
        if isinstance(outcome, ApiError)
        else {"status": 201, "url": show_url(outcome, base)}
        for outcome in outcomes
    ]
    failed = sum(result["status"] != 201 for result in results)
    return {"created": len(results) - failed, "failed": failed, "results": results}


def _failed(error: ApiError) -> dict[str, Any]:
    shown = {"status": error.status, "error": phrase(error.status), "message": error.message}
    return {**shown, "errors": error.errors} if error.errors else shown


def _refusal(outcomes: list[Any]) -> InvalidInput:
    """The 400 when no link was made. A good one has 424: it depended on the others."""
    errors: dict[str, str] = {}
    for place, outcome in enumerate(outcomes):
        if isinstance(outcome, ApiError):
            named = {f"urls[{place}].{name}": why for name, why in (outcome.errors or {}).items()}
            errors |= named or {f"urls[{place}]": outcome.message}
    first, why = next(iter(errors.items()))
    failed = [outcome for outcome in outcomes if isinstance(outcome, ApiError)]
    message = f"No link was made, {len(failed)} of {len(outcomes)} are bad; {first}: {why}"
    refusal = InvalidInput(message, errors=dict(list(errors.items())[:_MOST_ERRORS]))
    results = [_failed(each if isinstance(each, ApiError) else _Undone()) for each in outcomes]
    refusal.more = {"created": 0, "failed": len(failed), "results": results}
    return refusal


class _Undone(ApiError):
    status = 424

    def __init__(self) -> None:
        super().__init__("Not made, because other links are bad")


@bp.patch("/urls")
@declares(query=UrlSelection, body=UrlsChange, answer=UrlsChanged, strict=True)
def update_urls(query: UrlSelection, body: UrlsChange) -> UrlsChanged:
    """Activate, deactivate, tag, untag or delete the selected links, all or none of them."""
    return changing.apply(query, body)
