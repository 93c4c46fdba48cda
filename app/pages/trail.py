"""The page of the audit trail: who changed what, as a difference that people can read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from flask import Response, request

from app.errors import ApiError, InvalidInput, NotFound
from app.pages import forms, zones
from app.pages.showing import show
from app.schemas import AuditFilters, AuditQuery, check, show_audit
from app.services import audit, paging
from app.services.paging import Page

_FILTERS = tuple(AuditFilters.model_fields)
_MOMENTS = ("after_time", "before_time")
_KINDS = ("url", "user", "key", "host", "import", "settings")
_PER_PAGE, _LINES, _LONGEST = 25, 8, 80


Strings = Mapping[str, str]


class Line(NamedTuple):
    """A field of what changed: as it was and as it is, None where it was not there."""

    name: str
    old: str | None
    new: str | None


def show_trail() -> Response:
    """GET /audit for browsers."""
    given = {name: value for name in _FILTERS if (value := request.args.get(name, "").strip())}
    found, filters, errors, values = _found(given)
    rows = [(row, _lines(row["before"], row["after"])) for row in found.rows]
    kept = urlencode(filters)
    last = {"after": found.rows[-1]["id"]} if found.more else {}
    return show(
        "audit.html",
        400 if errors else 200,
        rows=rows,
        most=_LINES,
        kinds=_KINDS,
        words={"url": "link"},
        values=values,
        errors=errors,
        is_filtered=bool(given),
        csv=f"/audit.csv?{kept}" if kept else "/audit.csv",
        newer="/audit?" + kept if request.args.get("after") else None,
        older="/audit?" + urlencode({**filters, **last}) if last else None,
    )


def _found(given: Strings) -> tuple[Page, Strings, Strings, Strings]:
    """The rows, the filters as the API takes them, what is wrong with them, and the fields."""
    filters = {
        name: zones.to_utc(value) if name in _MOMENTS else value for name, value in given.items()
    }
    after = {"after": request.args["after"]} if request.args.get("after") else {}
    try:
        query = check(AuditQuery, {**filters, **after, "per_page": _PER_PAGE})
        moments = {name: zones.to_form(getattr(query, name)) for name in _MOMENTS}
        return paging.shown(audit.page(query), show_audit), filters, {}, {**given, **moments}
    except (InvalidInput, NotFound) as error:
        return Page([], False, None), filters, _problems(error), given


def _problems(error: ApiError) -> Strings:
    known = forms.problems(error)
    return known if known.keys() <= set(_FILTERS) else {"": error.message}


def _lines(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[Line]:
    """What differed; of what was made or is gone, all that says something."""
    old, new = before or {}, after or {}
    if before is None or after is None:
        names = [name for name, value in {**old, **new}.items() if value not in (None, [], "")]
    else:
        names = list(old)
    return [Line(name, _text(old, name), _text(new, name)) for name in names]


def _text(state: Mapping[str, Any], name: str) -> str | None:
    """The value as people read it, cut to 80 characters."""
    if name not in state:
        return None
    value = state[name]
    text = value if isinstance(value, str) else _WORDS.get(str(value)) or json.dumps(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


_WORDS = {"None": "nothing", "True": "yes", "False": "no", "[]": "nothing"}
