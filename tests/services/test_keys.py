"""API keys: who has a secret, until when, how long an answer is remembered, and the last use."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from flask import Flask

from app.access import Caller
from app.database import DatabaseUnavailable, db, now, release, released
from app.errors import Conflict, InvalidInput, NotFound
from app.models import ApiKey
from app.schemas import KeyCreate, check
from app.services import keys
from app.services.keysecrets import Secret
from app.unavailable import LockedTooLong
from testkit.servers import Postgres, free_port, wait_for
from tests.conftest import Api

Bound = Callable[..., Api]


def made(name: str = "deploy", scope: str = "write", **more: Any) -> tuple[Any, Secret]:
    return keys.create(KeyCreate(name=name, scope=scope, **more))


def change(key: Any, **values: Any) -> None:
    """Behind the service's back, as another replica would."""
    ApiKey.update(**values).where(ApiKey.id == key.id).execute()


def forgotten() -> None:
    """The time for which an answer may be remembered, and no more than a key may live on."""
    time.sleep(0.75)


# ---- who has a secret ----


@pytest.mark.parametrize("scope", ["create", "read", "write", "admin"])
def test_who_has_a_secret_is_found_with_the_scope(app: Flask, scope: str) -> None:
    key, secret = made(scope=scope)
    assert keys.find(secret.text) == Caller(scope=scope, key_id=key.id, key="deploy")


def test_a_bound_key_is_found_with_its_user(api: Api) -> None:
    user = api.user()["id"]
    key, secret = made(user_id=user)
    assert keys.find(secret.text) == Caller("write", key.id, "deploy", user)


def test_the_database_has_the_hash_only(app: Flask) -> None:
    _, secret = made()
    for row in ApiKey.select().tuples():
        assert secret.hash in row
        assert not any(secret.text[9:20] in str(value) for value in row)


def test_a_key_of_a_deleted_user_is_dead(api: Api) -> None:
    user = api.user()["id"]
    _, secret = made(user_id=user)
    api.client.delete(f"/users/{user}")
    assert keys.find(secret.text) is None


def test_a_name_is_given_once_also_after_it_was_revoked(app: Flask) -> None:
    key, _ = made()
    for _ in range(2):
        with pytest.raises(Conflict, match="Key name already exists: deploy"):
            made()
        keys.revoke(key.id)
    assert made("Deploy")[0].name == "Deploy"


def test_a_key_of_an_unknown_user_is_refused(app: Flask) -> None:
    for user in (99, 0, 2**70):
        with pytest.raises(NotFound, match=f"User {user} not found"):
            made(user_id=user)
    assert ApiKey.select().count() == 0


@pytest.mark.services
def test_a_key_waits_for_the_deletion_of_its_user(bound: Bound, postgres_server: Postgres) -> None:
    """Else it would go with the user, and the audit trail would not tell of it."""
    url = postgres_server.another_database()
    user = bound(database_url=url, redis_url="").user()["id"]
    with closing(psycopg2.connect(url.replace("+pool", ""))) as other:
        other.cursor().execute(f"SELECT 1 FROM users WHERE id = {user} FOR NO KEY UPDATE")
        with pytest.raises(LockedTooLong):
            made(user_id=user)
    assert made(user_id=user)[0].user_id == user


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("name", {"name": " "}),
        ("name", {"name": "12"}),
        ("name", {"name": "1 2"}),
        ("name", {"name": "a\x1b[31m"}),
        ("name", {"name": "a\nb"}),
        ("name", {"name": "x" * 101}),
        ("scope", {"scope": "all"}),
        ("user_id", {"scope": "admin", "user_id": 1}),
        ("expires_at", {"expires_at": "2020-01-01"}),
    ],
)
def test_what_a_key_cannot_be_is_refused_by_name(field: str, values: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        check(KeyCreate, {"name": "deploy", "scope": "read", **values})
    assert list(caught.value.errors or {}) == [field]


# ---- until when ----


def test_an_expired_key_is_refused(app: Flask) -> None:
    key, secret = made()
    change(key, expires_at=now())
    assert keys.find(secret.text) is None


def test_a_remembered_key_expires_on_time(app: Flask) -> None:
    end = now() + timedelta(seconds=2)
    _, secret = made(expires_at=f"{end:%FT%TZ}")
    before = now()
    while keys.find(secret.text):
        assert before < end
        before = now()
    assert now() >= end


def test_a_revoked_key_is_dead_at_once_here_and_stays_in_the_list(app: Flask) -> None:
    key, secret = made()
    assert keys.find(secret.text)
    keys.revoke(key.id)
    assert keys.find(secret.text) is None
    assert keys.get(key.id).revoked_at is not None


def test_a_key_that_another_replica_revokes_is_dead_within_a_second(app: Flask) -> None:
    key, secret = made()
    assert keys.find(secret.text)
    change(key, revoked_at=now())
    revoked = before = time.monotonic()
    while keys.find(secret.text):
        assert before - revoked < 0.8
        before = time.monotonic()


def test_revoking_again_keeps_the_first_moment(app: Flask) -> None:
    key, _ = made()
    first = now() - timedelta(days=3)
    change(key, revoked_at=first)
    keys.revoke(key.id)
    assert keys.get(key.id).revoked_at == first


def test_after_a_rotation_both_secrets_work_for_a_day(app: Flask) -> None:
    key, old = made()
    rotated, new = keys.rotate(key.id)
    assert rotated.old_until in {now() + timedelta(days=1, seconds=-late) for late in (0, 1)}
    assert keys.find(old.text) == keys.find(new.text) == Caller("write", key.id, "deploy")
    change(key, old_until=now())
    forgotten()
    assert keys.find(old.text) is None
    assert keys.find(new.text) is not None


def test_a_rotated_key_is_the_row_of_its_own_transaction(
    app: Flask, statements: Callable[[], list[str]]
) -> None:
    key, _ = made()
    statements()
    rotated, _ = keys.rotate(key.id)
    assert sum("FROM api_keys" in each for each in statements()) == 1
    assert rotated == keys.get(key.id)


def test_the_second_rotation_ends_the_first_secret(app: Flask) -> None:
    key, first = made()
    _, second = keys.rotate(key.id)
    _, third = keys.rotate(key.id)
    assert [bool(keys.find(each.text)) for each in (first, second, third)] == [False, True, True]


def test_a_revoked_or_expired_key_is_not_rotated(app: Flask) -> None:
    key, _ = made()
    change(key, expires_at=now())
    with pytest.raises(Conflict, match="Key deploy has expired"):
        keys.rotate(key.id)
    keys.revoke(key.id)
    with pytest.raises(Conflict, match="Key deploy is revoked"):
        keys.rotate(key.id)
    assert keys.get(key.id).old_hash is None


def test_a_key_is_named_by_its_name_or_its_id(app: Flask) -> None:
    key, _ = made()
    assert keys.named("deploy").id == keys.named(str(key.id)).id == key.id
    for unknown in ("Deploy", "99", "9" * 5000, "", "²", "a\x00b", "\udcff"):
        with pytest.raises(NotFound):
            keys.named(unknown)


@pytest.mark.parametrize("act", [keys.get, keys.revoke, keys.rotate])
def test_an_unknown_key_is_not_found(app: Flask, act: Callable[[int], Any]) -> None:
    for unknown in (99, 0, 2**64):
        with pytest.raises(NotFound, match=f"Key {unknown} not found"):
            act(unknown)


# ---- what is remembered ----


def test_a_key_is_asked_for_once_in_a_while_and_an_unknown_one_each_time(
    app: Flask, statements: Callable[[], list[str]]
) -> None:
    (key, secret), (gone, other) = made(), made("gone")
    change(key, used_at=now())
    ApiKey.delete().where(ApiKey.id == gone.id).execute()
    statements()
    for _ in range(3):
        keys.find(secret.text)
    assert len(statements()) == 1
    for _ in range(3):
        keys.find(other.text)
    assert len(statements()) == 3
    keys.find(secret.text[:-1] + "x")
    assert statements() == []


def test_no_more_than_a_thousand_keys_are_remembered(app: Flask) -> None:
    for number in range(1, 1002):
        keys._remembered[str(number)] = keys._Answer(Caller(), None, time.monotonic())
    assert keys.find(made()[1].text)
    assert len(keys._remembered) == 1


def test_without_a_database_nobody_is_known(app: Flask, bound: Bound) -> None:
    _, secret = made()
    bound(database_url=f"postgresql+pool://x@127.0.0.1:{free_port()}/x", redis_url="")
    with pytest.raises(DatabaseUnavailable):
        keys.find(secret.text)


# ---- the last use ----


def used(key: Any) -> datetime | None:
    with released():
        found: datetime | None = keys.get(key.id).used_at
        return found


def hour() -> datetime:
    return now().replace(minute=0, second=0)


def finish_noting() -> None:
    wait_for(lambda: not keys.noting.is_running(), what="the note of the last use")


@pytest.fixture(autouse=True)
def _noted() -> Iterator[None]:
    yield
    finish_noting()


def test_the_last_use_is_kept_to_the_hour(app: Flask) -> None:
    key, secret = made()
    assert used(key) is None
    keys.find(secret.text)
    wait_for(lambda: used(key) == hour(), what="the note")


def test_the_last_use_is_written_once_an_hour(app: Flask) -> None:
    key, secret = made()
    change(key, used_at=hour())
    keys.find(secret.text)
    assert not keys.noting.is_running()
    change(key, used_at=hour() - timedelta(hours=1))
    forgotten()
    keys.find(secret.text)
    wait_for(lambda: used(key) == hour(), what="the note")


def test_a_refused_secret_is_no_use(app: Flask) -> None:
    key, secret = made()
    keys.revoke(key.id)
    keys.find(secret.text)
    assert not keys.noting.is_running()


def test_a_locked_sqlite_delays_nobody(bound: Bound, tmp_path: Path) -> None:
    file = tmp_path / "holdfast.db"
    bound(database_url=f"sqlite:///{file}", redis_url="")
    key, secret = made()
    release()
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert keys.find(secret.text)
        assert keys.noting.is_running()  # the note still waits for the lock
        other.execute("ROLLBACK")
    wait_for(lambda: used(key) is not None, what="the note")


def test_a_database_that_is_read_only_refuses_nobody(bound: Bound, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    bound(database_url=f"sqlite:///{folder}/holdfast.db", redis_url="")
    key, secret = made()
    db.execute_sql("PRAGMA query_only = 1")  # root may write to read-only files
    assert keys.find(secret.text)
    db.execute_sql("PRAGMA query_only = 0")
    wait_for(lambda: used(key) is not None, what="the note")


@pytest.mark.services
def test_a_locked_row_delays_nobody(bound: Bound, postgres_server: Postgres) -> None:
    bound(database_url=postgres_server.url, redis_url="")
    key, secret = made()
    release()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with released(), db.atomic():
            ApiKey.select().where(ApiKey.id == key.id).for_update().execute()
            held.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    assert keys.find(secret.text)
    finish_noting()
    assert used(key) is None
    done.set()
    thread.join()
    forgotten()
    keys.find(secret.text)
    wait_for(lambda: used(key) is not None, what="the note")
