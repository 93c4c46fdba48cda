"""/urls over HTTP, for many links at once: more routes of the blueprint in urls.py."""

from __future__ import annotations

from typing import Any

from flask import request

from app.errors import ApiError, InvalidInput, phrase
from app.routes.inputs import base_url, declares, own_address, wants_strictness
from app.routes.urls import bp
from app.schemas import (
    OwnAddress,
    UrlCreate,
    UrlsChange,
    UrlsChanged,
    UrlsCreate,
    UrlsCreated,
    UrlSelection,
    UrlsQuery,
    UrlsRefusal,
    check,
    show_url,
    unknown_names,
)
from app.services import changing, creating

_MOST_ERRORS = 100


@bp.post("/urls/bulk")
@declares(
    query=UrlsQuery,
    body=UrlsCreate,
    answer=UrlsCreated,
    status=201,
    refusal=UrlsRefusal,
    scope="create",
)
def create_urls(query: UrlsQuery, body: UrlsCreate) -> dict[str, Any]:
    """Make up to 1,000 short links, with an outcome for each, or with `atomic` all or none."""
    links = _checked(body.urls)
    try:
        outcomes = creating.create(links, query.atomic)
    except creating.Refused as refused:
        raise _refusal(refused.outcomes) from None
    if all(isinstance(outcome, ApiError) for outcome in outcomes):
        raise _refusal(outcomes)
    return _report(outcomes)


def _checked(given: list[Any]) -> list[UrlCreate | InvalidInput]:
    """Each link, or the error that says why it is none."""
    strictly, own = wants_strictness(), own_address(base_url())
    return [_checked_or_error(values, strictly, own) for values in given]


def _checked_or_error(values: Any, strictly: bool, own: OwnAddress) -> UrlCreate | InvalidInput:
    if not isinstance(values, dict):
        return InvalidInput("A link must be a JSON object")
    unknown = unknown_names(UrlCreate, values) if strictly else None
    try:
        return check(UrlCreate, values, unknown, own=own)
    except InvalidInput as error:
        return error


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
@declares(query=UrlSelection, body=UrlsChange, answer=UrlsChanged, strict=True, scope="write")
def update_urls(query: UrlSelection, body: UrlsChange) -> UrlsChanged:
    """Activate, deactivate, tag, untag or delete the selected links, all or none of them."""
    _refuse_repeated()
    return changing.apply(query, body)


def _refuse_repeated() -> None:
    """Refuses parameters that are there twice, of which the first alone would count."""
    repeated = [name for name, values in request.args.lists() if len(values) > 1]
    if repeated:
        errors = {ascii(name)[1:-1][:100]: "is given more than once" for name in repeated}
        raise InvalidInput("; ".join(f"{name}: {errors[name]}" for name in errors), errors=errors)
