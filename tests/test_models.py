"""The database guards its own rules, on both engines, whoever writes to it."""

from __future__ import annotations

import pytest
from peewee import DatabaseError, IntegrityError

from app.database import db
from app.models import Event, Url, User
from tests.conftest import Api

NOW = "'2026-01-01 00:00:00'"
USER = "INSERT INTO users (username, email, created_at) VALUES ({}, {}, " + NOW + ")"
URL = (
    "INSERT INTO urls (short_code, original_url, title, user_id, is_active, created_at, updated_at)"
    " VALUES ({}, {}, {}, {}, true, " + f"{NOW}, {NOW})"
)
EVENT = (
    "INSERT INTO events (event_type, url_id, user_id, details, timestamp) VALUES ({}, {}, {},"
    " '{{}}', " + NOW + ")"
)
LONG = "'" + "x" * 3000 + "'"
ADDRESS = "'https://example.com/'"

BROKEN = {
    "a taken username": USER.format("'ada'", "'other@example.com'"),
    "a taken email in another case": USER.format("'other'", "'ADA@example.com'"),
    "no username": USER.format("NULL", "'a@example.com'"),
    "an empty username": USER.format("''", "'a@example.com'"),
    "a long username": USER.format(LONG, "'a@example.com'"),
    "no email": USER.format("'other'", "NULL"),
    "a long email": USER.format("'other'", LONG),
    "a taken code": URL.format("'taken'", ADDRESS, "NULL", "NULL"),
    "no code": URL.format("NULL", ADDRESS, "NULL", "NULL"),
    "an empty code": URL.format("''", ADDRESS, "NULL", "NULL"),
    "a long code": URL.format(LONG, ADDRESS, "NULL", "NULL"),
    "no address": URL.format("'free'", "NULL", "NULL", "NULL"),
    "a short address": URL.format("'free'", "'http:'", "NULL", "NULL"),
    "a long address": URL.format("'free'", LONG, "NULL", "NULL"),
    "an empty title": URL.format("'free'", ADDRESS, "''", "NULL"),
    "a long title": URL.format("'free'", ADDRESS, LONG, "NULL"),
    "an owner that does not exist": URL.format("'free'", ADDRESS, "NULL", "4711"),
    "no event type": EVENT.format("NULL", "NULL", "NULL"),
    "an empty event type": EVENT.format("''", "NULL", "NULL"),
    "a long event type": EVENT.format(LONG, "NULL", "NULL"),
    "an event of a link that does not exist": EVENT.format("'x'", "4711", "NULL"),
    "an event of a user that does not exist": EVENT.format("'x'", "NULL", "4711"),
}


@pytest.mark.parametrize("statement", BROKEN.values(), ids=BROKEN)
def test_the_database_refuses(api: Api, statement: str) -> None:
    api.user("ada")
    Url.create(short_code="taken", original_url="https://example.com/")
    with pytest.raises(DatabaseError) as refused:
        db.execute_sql(statement)
    assert "transaction" not in str(refused.value)


@pytest.mark.parametrize(
    "statement",
    [
        USER.format("'Ada'", "'b@example.com'"),
        URL.format("'TAKEN'", ADDRESS, "'t'", "NULL"),
        EVENT.format("'x'", "NULL", "NULL"),
    ],
)
def test_the_database_accepts_what_is_right(api: Api, statement: str) -> None:
    api.user("ada")
    Url.create(short_code="taken", original_url="https://example.com/")
    db.execute_sql(statement)


def test_a_deleted_users_links_and_their_events_go_and_its_events_elsewhere_stay(api: Api) -> None:
    user = api.user()
    mine, other = api.url(user_id=user["id"]), api.url()
    api.event("shared", url_id=other["id"], user_id=user["id"])
    User.delete().where(User.id == user["id"]).execute()
    assert [url.id for url in Url.select()] == [other["id"]]
    assert not Event.select().where(Event.url == mine["id"]).exists()
    assert [event.user_id for event in Event.select().where(Event.event_type == "shared")] == [None]


def test_ids_go_on_after_rows_were_deleted(api: Api) -> None:
    first = api.user("ada")["id"]
    User.delete().execute()
    assert api.user("ada")["id"] > first


def test_a_taken_code_is_an_integrity_error(api: Api) -> None:
    Url.create(short_code="taken", original_url="https://example.com/")
    with pytest.raises(IntegrityError):
        Url.create(short_code="taken", original_url="https://example.com/")
