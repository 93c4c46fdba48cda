"""A SQLite file that is full, damaged or none; what a start says that can never work."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.database import DatabaseUnavailable, db, refusal, released
from app.repeating import UntilDone
from app.services import health
from app.worker import Worker
from testkit.servers import ROOT, Postgres, free_port, wait_for
from tests.conftest import Api
from tests.refusals import WRITES, assert_is_a_bug, assert_refuses, assert_works_again, encoded
from tests.test_database import assert_unavailable

Bound = Callable[..., Api]

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
    for method, path, body in [
        *WRITES,
        ("GET", "/urls", None),
        ("GET", "/users", None),
        ("GET", "/events", None),
        ("GET", "/abcdef", None),
    ]:
        assert on_file.client.open(path, method=method, json=body).status_code in (503, 404)
    assert on_file.client.get("/urls").status_code == 503
    assert on_file.get("/health")["status"] == "degraded"
    assert (
        "database refusing (it is damaged)" in on_file.client.get("/health/ready").json["message"]
    )


def test_a_text_file_as_the_database(bound: Bound, file: Path) -> None:
    file.write_text("This is a text file, and no database.\n" * 200)
    api = bound(database_url=f"sqlite:///{file}", redis_url="")
    assert_refuses(api, "its file is no database")
    worker = Worker()
    # nobody waits in this test
    worker.stopping.wait = lambda _seconds: True  # type: ignore[assignment,misc]
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
        [sys.executable, *command],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
    )
    return done.returncode, done.stderr


COMMANDS = [
    ["-m", "gunicorn", "-c", "python:app.serving"],
    ["run.py"],
    ["-m", "app", "worker"],
    ["load_csv.py", "seed_data/users.csv"],
    ["-m", "app", "import", "seed_data/users.csv"],
    ["-m", "app", "backup", "/dev/null/dump"],
    ["-m", "app", "migrate"],
    ["-m", "app", "seed"],
    ["-m", "app", "serve"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command)[:30])
@pytest.mark.parametrize("what", ["text", "folder"])
def test_one_sentence_at_the_start_when_it_can_never_work(
    tmp_path: Path, command: list[str], what: str
) -> None:
    (tmp_path / "text").write_text("no database\n" * 100)
    path = tmp_path / ("text" if what == "text" else "text/below/holdfast.db")
    code, text = said(
        command,
        DATABASE_URL=f"sqlite:///{path}",
        LOG_FILE=str(tmp_path / "log"),
        APP_PORT=str(free_port()),
    )
    assert code != 0
    assert SENTENCE[what] in text
    assert "Traceback" not in text


@pytest.mark.services
def test_one_sentence_at_the_start_when_the_encoding_is_wrong(
    tmp_path: Path, postgres_server: Postgres
) -> None:
    url = encoded(postgres_server, "SQL_ASCII")
    for command in COMMANDS[:4]:
        code, text = said(
            command, DATABASE_URL=url, LOG_FILE=str(tmp_path / "log"), APP_PORT=str(free_port())
        )
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
    code, text = said(
        ["-m", "app", "backup", str(tmp_path / "dump")],
        DATABASE_URL=f"sqlite:///{tmp_path}/holdfast.db",
        LOG_FILE=str(tmp_path / "log"),
    )
    assert (code, "Traceback" in text) == (1, False)
