"""Makes many links in one transaction and with few statements."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from app import database, metrics
from app.database import db
from app.errors import ApiError, NotFound, Unavailable
from app.models import Url, UrlTag, User
from app.redirects.links import cache
from app.schemas import UrlCreate, is_reserved
from app.services import access, audit, events, states, tables, urls

Outcome = Any
"""Of one link: its row, or the ApiError that says why there is none."""
_TRIES = 10
_BATCH = 500


class Refused(Exception):
    """Some links could not be made, and so none was; `outcomes` says why."""

    def __init__(self, outcomes: list[Outcome]) -> None:
        super().__init__("not all links can be made")
        self.outcomes = outcomes


def create(given: Sequence[UrlCreate | ApiError], all_or_nothing: bool = False) -> list[Outcome]:
    """The outcome of each link, in order; those that are errors already stay so.

    Raises Refused when `all_or_nothing` and one of them is an error.
    """
    outcomes: list[Outcome] = [_owned(each) for each in given]
    with db.atomic():
        database.share_lock("hosts")  # as for a single link
        _refuse_unknown_users(outcomes)
        _insert_all(outcomes)
        rows = [outcome for outcome in outcomes if not isinstance(outcome, ApiError)]
        if all_or_nothing and len(rows) < len(outcomes):
            raise Refused(outcomes)
        _add_events_and_tags(rows)
    metrics.urls_created.inc(len(rows))
    cache.put_new(rows)
    return outcomes


def _owned(given: UrlCreate | ApiError) -> Outcome:
    try:
        return given if isinstance(given, ApiError) else access.owned(given)
    except ApiError as error:
        return error


def _refuse_unknown_users(outcomes: list[Outcome]) -> None:
    """The known users cannot be deleted until the transaction ends."""
    named = {data.user_id for data in outcomes if isinstance(data, UrlCreate)}
    known = _locked_users([each for each in named if each is not None and tables.possible(each)])
    for place, data in enumerate(outcomes):
        if isinstance(data, UrlCreate) and data.user_id not in known:
            outcomes[place] = NotFound(f"User {data.user_id} not found")


def _locked_users(ids: list[int]) -> set[int | None]:
    if not ids:
        return {None}
    lock = "FOR SHARE" if database.dialect().locks_rows else ""
    wanted: tables.Conditions = {f"id IN ({tables.marks(ids)})": tuple(ids)}
    found = tables.select("id", User, wanted, f"ORDER BY id {lock}")
    return {None, *(row[0] for row in found.fetchall())}


def _insert_all(outcomes: list[Outcome]) -> None:
    """Puts a row or an error in the place of each link; a new code that was taken is replaced."""
    for _ in range(_TRIES):
        waiting = [place for place, data in enumerate(outcomes) if isinstance(data, UrlCreate)]
        if not waiting:
            return
        _insert_some(outcomes, waiting)
    raise Unavailable("No free short code was found")


def _insert_some(outcomes: list[Outcome], places: Iterable[int]) -> None:
    """Tries each link once; those whose new code was taken stay as they are."""
    chosen = _codes(outcomes, places)
    own = {code for code, place in chosen.items() if outcomes[place].short_code}
    values = [urls.values_of(outcomes[place], code) for code, place in chosen.items()]
    made = tables.insert_free(Url, values, "short_code") if values else []
    # After the rows, as for a single link: a deleted user's codes are not given out again.
    retired = _retired(own)
    _take_back([row.id for row in made if row.short_code in retired])
    for row in made:
        if row.short_code not in retired:
            outcomes[chosen.pop(row.short_code)] = row
    for code in own & chosen.keys():
        outcomes[chosen[code]] = urls.taken(code)


def _codes(outcomes: list[Outcome], places: Iterable[int]) -> dict[str, int]:
    """The place of each code; of two links with the same own code, the second one is an error."""
    chosen: dict[str, int] = {}
    for place in places:
        own = outcomes[place].short_code
        if own in chosen:
            outcomes[place] = urls.taken(own)
        else:
            chosen[own or _new_code(chosen)] = place
    return chosen


def _new_code(but: Iterable[str]) -> str:
    while (code := urls.new_code()) in but or is_reserved(code):
        pass
    return code


def _retired(codes: Iterable[str]) -> set[str]:
    own = list(codes)
    if not own:
        return set()
    sql = ("SELECT short_code FROM retired_codes WHERE short_code IN (", tables.marks(own), ")")
    return {row[0] for row in tables.execute(" ".join(sql), own).fetchall()}


def _take_back(ids: list[int]) -> None:
    if ids:
        tables.later(" ".join(("DELETE FROM urls WHERE id IN (", tables.marks(ids), ")")), ids)


def _add_events_and_tags(rows: list[Any]) -> None:
    for batch in _batches(rows):
        about = ("short_code", "original_url")
        notes = [(row, "created", {name: getattr(row, name) for name in about}) for row in batch]
        events.note_later(notes)
        access.note_made(batch)
        audit.note_all([states.created(row) for row in batch])
        tags = [{"url_id": row.id, "tag": tag} for row in batch for tag in json.loads(row.tags)]
        if tags:
            tables.insert_later(UrlTag, tags)


def _batches(rows: list[Any]) -> Iterator[list[Any]]:
    return (rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH))
