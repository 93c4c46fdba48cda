"""A database that answers but refuses: 503 with a reason, never 500, and everything goes on by itself afterwards."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from peewee import PeeweeException

from app.database import DatabaseUnavailable, db, refusal, released
from app.repeating import UntilDone
from app.services import health
from app.worker import Worker
from tests.conftest import Api
from tests.servers import ROOT, Postgres, Redis, free_port, wait_for
from tests.test_database import assert_unavailable

Bound = Callable[..., Api]

WRITES: list[tuple[str, str, Any]] = [
    ("POST", "/users", {"username": "bob", "email": "bob@example.com"}),
    ("POST", "/urls", {"original_url": "https://example.com/new"}),
    ("POST", "/events", {"event_type": "shared"}),
    ("PUT", "/urls/1", {"title": "x"}),
    ("DELETE", "/urls/1", None),
    ("DELETE", "/users/1", None),
]


def sql(url: str, *statements: str) -> None:
    with closing(psycopg2.connect(url.replace("+pool", ""))) as connection:
        connection.autocommit = True
        for statement in statements:
            connection.cursor().execute(statement)


def assert_refuses(api: Api, why: str) -> None:
    for method, path, body in WRITES:
        assert_unavailable(api.client.open(path, method=method, json=body))
    upload = {"file": (BytesIO(b"username,email\nbob,bob@example.com\n"), "users.csv")}
    assert_unavailable(api.client.post("/users/bulk", data=upload))
    state = api.get("/health")
    assert (state["status"], state["database"]) == ("degraded", "refusing")
    ready = api.client.get("/health/ready")
    assert (ready.status_code, ready.headers["Retry-After"]) == (503, "1")
    assert f"database refusing ({why})" in ready.json["message"]
    assert "\ndatabase_writable 0.0\n" in api.client.get("/metrics").text


def assert_works_again(api: Api) -> None:
    wait_for(lambda: bool(api.client.get("/health/ready").status_code == 200), what="readiness")
    assert "\ndatabase_writable 1.0\n" in api.client.get("/metrics").text
    api.url("https://example.com/again")


# ---- PostgreSQL ----


@pytest.fixture
def database(postgres_server: Postgres) -> str:
    return postgres_server.another_database()


@contextmanager
def read_only(url: str) -> Iterator[None]:
    name = url.rpartition("/")[2]
    sql(url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    try:
        yield
    finally:
        sql(url, "SET default_transaction_read_only = off", f"ALTER DATABASE {name} RESET default_transaction_read_only")


@pytest.mark.services
def test_a_database_that_became_read_only(bound: Bound, database: str, redis_server: Redis) -> None:
    api = bound(database_url=database, redis_url=redis_server.url)
    url = api.url("https://example.com/cached", user_id=api.user()["id"])
    with read_only(database):
        db.obj.close_all()  # as a failover does
        assert_refuses(api, "it is read only")
        api.follow(url, 3)
        assert len(api.get("/users")) == 1
    db.obj.close_all()
    assert_works_again(api)
    assert api.clicks(url) == 3


@pytest.mark.services
def test_a_replica_and_a_worker_that_start_on_a_read_only_database(bound: Bound, database: str, redis_server: Redis) -> None:
    api = bound(database_url=database, redis_url=redis_server.url)
    url = api.url("https://example.com/cached", user_id=api.user()["id"])
    with read_only(database):
        api = bound(empty_it=False, database_url=database, redis_url=redis_server.url)
        assert_refuses(api, "it is read only")
        api.follow(url)
        worker = Worker()
        worker.stopping.wait = lambda _seconds: True  # type: ignore[assignment,misc]  # nobody waits in this test
        assert worker.turn() == 0
    db.obj.close_all()
    wait_for(lambda: worker.turn() > 0)
    assert_works_again(api)
    assert api.clicks(url) == 1


@pytest.mark.services
@pytest.mark.parametrize("right", ["INSERT", "UPDATE", "SELECT, INSERT, UPDATE, DELETE"])
def test_a_role_without_rights_on_the_tables(bound: Bound, database: str, redis_server: Redis, right: str) -> None:
    name = f"poor_{database.rpartition('_')[2]}"
    poor = database.replace("holdfast@", f"{name}@")
    bound(database_url=database, redis_url="").user()
    tables, sequences = "ALL TABLES IN SCHEMA public", "ALL SEQUENCES IN SCHEMA public"
    sql(database, f"CREATE ROLE {name} LOGIN", f"GRANT ALL ON {tables} TO {name}", f"GRANT ALL ON {sequences} TO {name}")
    sql(database, f"GRANT ALL ON SCHEMA public TO {name}")
    api = bound(empty_it=False, database_url=poor, redis_url=redis_server.url)
    url = api.url("https://example.com/cached")
    sql(database, f"REVOKE {right} ON {tables} FROM {name}")
    for _, path, body in WRITES[:3]:
        if "INSERT" in right:
            assert_unavailable(api.client.post(path, json=body))
    ready = api.client.get("/health/ready")
    assert (ready.status_code, "database refusing (no permission)" in ready.json["message"]) == (503, True)
    api.follow(url)
    sql(database, f"GRANT ALL ON {tables} TO {name}")
    assert_works_again(api)


SETTINGS = {
    "client_encoding": ("'LATIN1'", "UTF8"),
    "timezone": ("'Asia/Kolkata'", "UTC"),
    "search_path": ("nowhere", '"$user", public'),
    "statement_timeout": ("'1ms'", "5s"),
    "lock_timeout": ("'1ms'", "800ms"),
    "idle_in_transaction_session_timeout": ("'1ms'", "0"),
    "idle_session_timeout": ("'900s'", "0"),
    "default_transaction_isolation": ("'serializable'", "read committed"),
    "standard_conforming_strings": ("off", "on"),
    "datestyle": ("'SQL, DMY'", "ISO, DMY"),
}


@pytest.mark.services
def test_what_a_role_a_database_or_the_environment_may_change_is_set_by_us(bound: Bound, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = database.rpartition("/")[2]
    for setting, (value, _) in SETTINGS.items():
        sql(database, f"ALTER DATABASE {name} SET {setting} = {value}")
    for variable, value in {"PGCLIENTENCODING": "LATIN1", "PGTZ": "Asia/Kolkata", "PGOPTIONS": "-c search_path=nowhere"}.items():
        monkeypatch.setenv(variable, value)
    api = bound(database_url=database, redis_url="")
    with released():
        found = {setting: db.execute_sql(f"SHOW {setting}").fetchone()[0].replace('"$user",public', '"$user", public') for setting in SETTINGS}
    assert found == {setting: ours for setting, (_, ours) in SETTINGS.items()}
    assert api.url("https://例え.jp/žluťoučký?🐎=1", title="日本")["title"] == "日本"


@pytest.mark.services
def test_options_of_the_url_come_last(bound: Bound, database: str) -> None:
    bound(database_url=f"{database}?options=-c%20statement_timeout%3D200", redis_url="")
    with released():
        assert [db.execute_sql(f"SHOW {name}").fetchone()[0] for name in ("statement_timeout", "lock_timeout")] == ["200ms", "800ms"]


@pytest.mark.services
@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_of_another_encoding_is_unavailable(bound: Bound, postgres_server: Postgres, encoding: str) -> None:
    api = bound(database_url=encoded(postgres_server, encoding), redis_url="")
    assert_unavailable(api.client.get("/users"))
    ready = api.client.get("/health/ready")
    assert (ready.status_code, "its encoding is not UTF8" in ready.json["message"]) == (503, True)


def encoded(server: Postgres, encoding: str) -> str:
    name = f"in_{encoding.lower()}"
    sql(server.url, f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    return server.url.removesuffix("holdfast") + name


UNAVAILABLE = ["08006", "25006", "25P03", "28000", "3D000", "40001", "40P01", "42501", "42P01", "53000", "53100", "53200", "53300"]
UNAVAILABLE += ["55P03", "57014", "57P01", "57P03", "57P05", "58000", "58030", "XX001", "XX002"]


@pytest.mark.services
@pytest.mark.parametrize("code", UNAVAILABLE)
def test_what_means_unavailable_in_postgresql(bound: Bound, postgres_server: Postgres, code: str) -> None:
    bound(database_url=postgres_server.url, redis_url="")
    with released(), pytest.raises(DatabaseUnavailable):
        db.execute_sql(f"DO $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{code}'; END $$")
    refusal.why = ""


@pytest.mark.services
@pytest.mark.parametrize("statement", ["SELECT nosuch FROM users", "SELEC 1", "SELECT 1 / 0", "SELECT 'x'::int", "SELECT nosuch()"])
def test_what_is_a_bug_in_postgresql(bound: Bound, postgres_server: Postgres, statement: str) -> None:
    api = bound(database_url=postgres_server.url, redis_url="")
    assert_is_a_bug(statement)
    assert api.client.get("/health/ready").status_code == 200


def assert_is_a_bug(statement: str) -> None:
    with released(), pytest.raises(PeeweeException) as raised:
        db.execute_sql(statement).fetchall()
    assert not isinstance(raised.value, DatabaseUnavailable)


# ---- SQLite ----


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "holdfast.db"


@pytest.fixture
def on_file(bound: Bound, file: Path) -> Api:
    return bound(database_url=f"sqlite:///{file}", redis_url="")


def test_a_full_disk(on_file: Api) -> None:
    on_file.url(user_id=on_file.user()["id"])
    with released():
        pages = db.execute_sql("PRAGMA page_count").fetchone()[0]
        for _ in range(3):
            db.execute_sql(f"PRAGMA max_page_count = {pages}")
        long = "https://example.com/" + "x" * 2000
    answers = [on_file.client.post("/urls", json={"original_url": long}) for _ in range(20)]
    assert {answer.status_code for answer in answers} == {201, 503}
    assert_unavailable(answers[-1])
    ready = on_file.client.get("/health/ready")
    assert "database refusing (its disk is full)" in ready.json["message"]
    assert on_file.get("/health")["database"] == "refusing"
    assert "\ndatabase_writable 0.0\n" in on_file.client.get("/metrics").text
    db.obj.close_all()
    assert_works_again(on_file)


def test_a_write_that_is_tried_while_the_disk_is_full_does_not_make_it_ready(on_file: Api) -> None:
    on_file.url()
    refusal.why = "its disk is full"
    with released():
        pages = db.execute_sql("PRAGMA page_count").fetchone()[0]
        db.execute_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(DatabaseUnavailable):
            health._try_to_write()
    assert refusal.why == "its disk is full"
    db.obj.close_all()
    with released():
        health._try_to_write()
    assert refusal.why == ""


def test_a_damaged_file(on_file: Api, file: Path) -> None:
    for number in range(40):
        on_file.url(f"https://example.com/{number}/" + "x" * 500)
    with released():
        db.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    db.obj.close_all()
    size = file.stat().st_size
    with file.open("r+b") as writing:
        writing.seek(4096)
        writing.write(os.urandom(size - 4096))
    for method, path, body in [*WRITES, ("GET", "/urls", None), ("GET", "/users", None), ("GET", "/events", None), ("GET", "/abcdef", None)]:
        assert on_file.client.open(path, method=method, json=body).status_code in (503, 404)
    assert on_file.client.get("/urls").status_code == 503
    assert on_file.get("/health")["status"] == "degraded"
    assert "database refusing (it is damaged)" in on_file.client.get("/health/ready").json["message"]


def test_a_text_file_as_the_database(bound: Bound, file: Path) -> None:
    file.write_text("This is a text file, and no database.\n" * 200)
    api = bound(database_url=f"sqlite:///{file}", redis_url="")
    assert_refuses(api, "its file is no database")
    worker = Worker()
    worker.stopping.wait = lambda _seconds: True  # type: ignore[assignment,misc]  # nobody waits in this test
    assert worker.turn() == 0


def test_what_is_a_bug_in_sqlite(on_file: Api) -> None:
    for statement in ("SELECT nosuch FROM users", "SELEC 1", "SELECT nosuch()"):
        assert_is_a_bug(statement)
    assert on_file.client.get("/health/ready").status_code == 200


def test_a_table_that_is_missing_is_no_bug(on_file: Api) -> None:
    with released():
        db.execute_sql("DROP TABLE products")
    assert_unavailable(on_file.client.get("/products"))


# ---- at a start ----

SENTENCE = {"text": "the file is not a SQLite database", "folder": "the folder"}


def said(command: list[str], **environ: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, *command], check=False, capture_output=True, text=True, timeout=60, cwd=ROOT, env={"PATH": os.environ["PATH"], **environ}
    )
    return done.returncode, done.stderr


COMMANDS = [
    ["-m", "gunicorn", "-c", "python:app.serving"],
    ["run.py"],
    ["-m", "app.worker"],
    ["load_csv.py", "seed_data/users.csv"],
    ["-m", "app.backup", "dump", "/dev/null/dump"],
    ["-m", "flask", "--app", "app", "migrate"],
    ["-m", "flask", "--app", "app", "seed"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command)[:30])
@pytest.mark.parametrize("what", ["text", "folder"])
def test_one_sentence_at_the_start_when_it_can_never_work(tmp_path: Path, command: list[str], what: str) -> None:
    (tmp_path / "text").write_text("no database\n" * 100)
    path = tmp_path / ("text" if what == "text" else "text/below/holdfast.db")
    code, text = said(command, DATABASE_URL=f"sqlite:///{path}", LOG_FILE=str(tmp_path / "log"), APP_PORT=str(free_port()))
    assert code != 0
    assert SENTENCE[what] in text
    assert "Traceback" not in text


@pytest.mark.services
def test_one_sentence_at_the_start_when_the_encoding_is_wrong(tmp_path: Path, postgres_server: Postgres) -> None:
    url = encoded(postgres_server, "SQL_ASCII")
    for command in COMMANDS[:4]:
        code, text = said(command, DATABASE_URL=url, LOG_FILE=str(tmp_path / "log"), APP_PORT=str(free_port()))
        assert code != 0
        assert "in_sql_ascii is encoded in SQL_ASCII, and must be in UTF8" in text
        assert "Traceback" not in text


def test_work_that_waits_for_the_database_is_done_when_it_is_back() -> None:
    tries: list[int] = []

    def work() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise DatabaseUnavailable("not yet")

    UntilDone(work, "a test").start()
    wait_for(lambda: len(tries) == 2)


def test_a_dump_of_sqlite_that_finds_damage_is_one_line(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "holdfast.db")) as made:
        made.execute("CREATE TABLE urls (x)")
    with (tmp_path / "holdfast.db").open("r+b") as writing:
        writing.write(b"damaged!")
    code, text = said(["-m", "app.backup", "dump", str(tmp_path / "dump")], DATABASE_URL=f"sqlite:///{tmp_path}/holdfast.db", LOG_FILE=str(tmp_path / "log"))
    assert (code, "Traceback" in text) == (1, False)
