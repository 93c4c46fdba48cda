"""Transactions whose statements share round trips: app/postgres.py, app/services/tables.py."""

from __future__ import annotations

from typing import Any

import pytest
from peewee import IntegrityError

from app import database
from app.database import db, released
from app.models import Event
from app.services import tables

pytestmark = pytest.mark.usefixtures("app")


def an_event(details: str = "{}", **changed: Any) -> dict[str, Any]:
    values = {"event_type": "shared", "timestamp": database.now(), "details": details}
    return {**values, **changed}


def write(
    first: dict[str, Any] | None, later: dict[str, Any], error: type[Exception] | None = None
) -> None:
    """One transaction: `first` at once, then `later` with what follows, then `error`."""
    with db.atomic():
        if first:
            tables.insert(Event, first)
        tables.insert_later(Event, [later])
        if error:
            raise error


def stored() -> list[str]:
    with released():
        return [event.details for event in tables.read(Event, {}, "ORDER BY id")]


def test_a_later_statement_is_done_when_the_transaction_ends() -> None:
    with released(), db.atomic():
        tables.insert_later(Event, [an_event("first"), an_event("second")])
    assert stored() == ["first", "second"]


def test_later_statements_run_before_the_next_one() -> None:
    with released(), db.atomic():
        tables.insert_later(Event, [an_event("first")])
        tables.insert(Event, an_event("second"))
        assert [event.details for event in tables.read(Event, {}, "")] == ["first", "second"]


@pytest.mark.parametrize("text", ["100 % of ? and %s", "'; DROP TABLE events; --", "a\\'b\nü"])
def test_a_later_statement_keeps_every_character(text: str) -> None:
    with released(), db.atomic():
        tables.insert_later(Event, [an_event(text)])
    assert stored() == [text]


def test_an_error_of_a_later_statement_undoes_the_transaction() -> None:
    with released(), pytest.raises(IntegrityError):
        write(an_event("first"), an_event(url_id=999))
    assert stored() == []


@pytest.mark.parametrize("first", [True, False])
def test_an_exception_undoes_what_was_sent_and_what_was_not(first: bool) -> None:
    with released():
        with pytest.raises(KeyError):
            write(an_event("first") if first else None, an_event("second"), KeyError)
        tables.insert(Event, an_event("after"))
    assert stored() == ["after"]


def test_a_transaction_without_statements_leaves_none_behind() -> None:
    with released():
        with db.atomic():
            pass
        tables.insert(Event, an_event("after"))
    assert stored() == ["after"]


def test_a_savepoint_undoes_only_its_own_statements() -> None:
    with released(), db.atomic():
        tables.insert_later(Event, [an_event("kept")])
        with pytest.raises(KeyError):
            write(None, an_event("undone"), KeyError)
    assert stored() == ["kept"]


def test_a_transaction_has_the_isolation_that_it_asked_for() -> None:
    if not database.dialect().locks_rows:
        return  # SQLite has one isolation for all
    with released(), db.atomic(database.dialect().snapshot):
        found = db.execute_sql("SHOW transaction_isolation").fetchone()
    assert found == ("repeatable read",)
