"""The page of imports: a file is checked first, then imported, and an import is undone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, request

from app.access import caller
from app.errors import InvalidInput
from app.imports import importing, undoing
from app.imports.report import MOST_ERRORS, NothingImported
from app.pages.declaring import page
from app.pages.showing import go, show
from app.routes.uploads import uploaded_with
from app.schemas import SOURCES, ImportQuery, check
from app.services import access

_FIELDS = ("source", "dry_run")
_NAMES = {"yourls": "YOURLS", "shortio": "Short.io"}
_NOUNS = {"urls": "links"}
_ROWS, _IMPORTS = 50, 10

bp = Blueprint("files", __name__)


@bp.get("/import")
@page(scope="write")
def ask() -> Response:
    """The form, and the newest imports."""
    done = request.args.get("undone", "")
    return _shown({}, undone=int(done[:9]) if done.isascii() and done.isdigit() else None)


@bp.post("/import")
@page(scope="write", upload=True)
def load() -> Response:
    """Checks the file of the form, or imports it; shows what became of its rows."""
    given: Mapping[str, str] = {}
    try:
        with uploaded_with("file", _FIELDS) as (stream, given):
            query = check(ImportQuery, {name: value for name, value in given.items() if value})
            report = importing.import_file(stream, query)
    except NothingImported as error:
        return _shown(given, 400, report=error.report)
    except InvalidInput as error:
        wrong = error.errors or {}
        errors = {"source": wrong["source"]} if "source" in wrong else {"file": error.message}
        return _shown(given, 400, errors=errors)
    return _shown(given, report=report)


@bp.post("/import/<id:import_id>/undo")
@page(scope="write")
def undo(import_id: int) -> Response:
    """Deletes the links that an import has made."""
    return go(f"/import?undone={undoing.undo(import_id)}")


def _shown(
    given: Mapping[str, str],
    status: int = 200,
    report: Any = None,
    errors: Mapping[str, str] | None = None,
    undone: int | None = None,
) -> Response:
    imports = [] if access.is_bound() else undoing.newest(_IMPORTS)
    own = [each for each in imports if each.request_id == caller().request_id]
    return show(
        "import.html",
        status,
        values=given,
        errors=errors or {},
        sources={name: _NAMES.get(name, name.capitalize()) for name in SOURCES},
        bound=access.is_bound(),
        report=report,
        rows=_ROWS,
        kept=MOST_ERRORS,
        imports=imports,
        mine=own[0] if own and report and not report.dry_run else None,
        nouns=_NOUNS,
        most=undoing.MOST_UNDONE,
        undone=undone,
    )
