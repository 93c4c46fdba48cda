"""load_csv.py as it is typed: its messages, its exit code, and the database afterwards."""

from __future__ import annotations

import gc
import gzip
import io
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from flask.testing import FlaskClient

import load_csv
from app import bind
from app.config import Settings
from app.database import db, release
from app.imports import importing
from tests.imports.uploads import counts, tables

ROOT = Path(__file__).parents[2]
SEED = ROOT / "seed_data"


class Run(NamedTuple):
    code: int
    out: list[str]
    err: list[str]


Command = Callable[..., Run]


@pytest.fixture
def command(
    client: FlaskClient,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Command]:
    """`python load_csv.py ...` on the tests' database."""
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.delenv("REDIS_URL", raising=False)

    def run(*arguments: object) -> Run:
        capsys.readouterr()
        code = load_csv.main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Run(code, said.out.splitlines(), said.err.splitlines())

    yield run
    release()
    db.obj.close_all()
    bind(settings)


def _file(folder: Path, content: str | bytes, name: str = "some.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_the_sample_data_is_loaded_and_a_second_run_changes_nothing(command: Command) -> None:
    files = [SEED / name for name in ("users.csv", "urls.csv", "events.csv")]
    assert command(*files) == (
        0,
        [
            "Loaded 400 rows into User",
            "Loaded 2000 rows into Url",
            "Loaded 3422 rows into Event",
            "Loaded 400 users, 2000 URLs, 3422 events",
        ],
        [],
    )
    before = tables()
    assert command(*files) == (
        0,
        [
            "Loaded 0 rows into User (400 were there already)",
            "Loaded 0 rows into Url (2000 were there already)",
            "Loaded 0 rows into Event (3422 were there already)",
            "Loaded 0 users, 0 URLs, 0 events",
        ],
        [],
    )
    assert tables() == before


def test_products_are_named_when_they_are_given_and_the_order_is_free(command: Command) -> None:
    run = command(
        *(SEED / name for name in ("products.csv", "events.csv", "urls.csv", "users.csv"))
    )
    assert run.out[-1] == "Loaded 400 users, 2000 URLs, 3422 events, 15 products"
    assert counts() == {"users": 400, "urls": 2000, "events": 3422, "products": 15}


def test_the_three_files_one_by_one_make_the_same_database_as_together(command: Command) -> None:
    for name in ("users", "urls", "events"):
        command(SEED / f"{name}.csv")
    by_hand = tables()
    for table in reversed(counts()):
        db.execute_sql(f"DELETE FROM {table} WHERE 1 = 1")
    command(*(SEED / f"{name}.csv" for name in ("events", "urls", "users")))
    assert tables() == by_hand


def test_standard_input_and_gzip_are_read(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = _file(tmp_path, gzip.compress((SEED / "urls.csv").read_bytes()), "urls.csv.gz")
    monkeypatch.setattr(
        sys, "stdin", io.TextIOWrapper(io.BytesIO((SEED / "users.csv").read_bytes()))
    )
    assert command(packed, "-").out == [
        "Loaded 2000 rows into Url",
        "Loaded 400 rows into User",
        "Loaded 400 users, 2000 URLs, 0 events",
    ]


def test_a_bad_row_is_named_with_file_line_and_reason_and_the_rest_is_loaded(
    command: Command, tmp_path: Path
) -> None:
    path = _file(
        tmp_path, "username,email\nada,ada@example.com\nbob,nowhere\nada,other@example.com\n"
    )
    assert command(path) == (
        0,
        ["Loaded 1 rows into User (1 were there already)", "Loaded 1 users, 0 URLs, 0 events"],
        [
            f"{path}:3: skipped: email: not a valid email address",
            f"{path}:4: is the same as an earlier row, merged into id {tables()['users'][0][0]}",
        ],
    )


def test_a_long_list_of_troubles_is_cut(command: Command, tmp_path: Path) -> None:
    rows = "bob,nowhere\n" * 130 + "ada,ada@example.com\n" * 131
    run = command(_file(tmp_path, f"username,email\n{rows}"))
    assert (run.err[100].endswith("... and 30 more bad rows"), run.err[-1], len(run.err)) == (
        True,
        "... and 30 more like these",
        202,
    )


def test_strict_stops_at_the_first_bad_row_with_nothing_loaded(
    command: Command, tmp_path: Path
) -> None:
    good = _file(tmp_path, "username,email\nada,ada@example.com\n", "good.csv")
    bad = _file(
        tmp_path,
        "short_code,original_url\nabc123,https://example.com/\nx y,https://example.com/\n",
        "bad.csv",
    )
    assert command("--strict", good, bad) == (
        1,
        [],
        [
            f"load_csv.py: {bad}:3: short_code: must be 1 to 64 letters, digits, - or _; "
            "nothing was loaded"
        ],
    )
    assert sum(counts().values()) == 0
    assert command("--strict", good).code == 0


def test_a_file_of_bad_rows_only_is_named_and_fails(command: Command, tmp_path: Path) -> None:
    path = _file(tmp_path, "username,email\nbob,nowhere\n")
    run = command(path)
    assert (run.code, run.out[-1]) == (1, "Loaded 0 users, 0 URLs, 0 events")
    assert run.err == [
        f"{path}:2: skipped: email: not a valid email address",
        "load_csv.py: nothing could be loaded: every row is bad",
    ]
    assert command(path, SEED / "users.csv").code == 0
    assert command(path, SEED / "users.csv").code == 0  # there already


UNUSABLE = {
    "empty.csv": (b"", "is empty"),
    "bom.csv": (b"\xef\xbb\xbf\n", "is empty"),
    "unknown.csv": (
        b"first,second\n1,2\n",
        "is neither users, URLs, events nor products: its columns are first, second",
    ),
    "text.csv": (
        b"Dear all,\nhello",
        "is neither users, URLs, events nor products: its columns are dear all, ",
    ),
    "picture.csv": (b"\x89PNG\r\n\x1a\n\x00\x00", "is not a CSV file"),
    "utf16.csv": ("username,email\n".encode("utf-16"), "is not a CSV file"),
    "cut.csv.gz": (
        gzip.compress(b"username,email\n" + os.urandom(9000).hex().encode())[:-2000],
        "cannot be read: Compressed file ended",
    ),
    "wrong.csv.gz": (b"username,email\n", "cannot be read: Not a gzipped file"),
    "broken.csv.gz": (gzip.compress(b"username,email\n")[:10] + b"\xff" * 30, "cannot be read: "),
}


class Collecting(ExitStack):
    """Collects garbage before it closes the files: none of them may be garbage by then."""

    def __exit__(self, *error: Any) -> bool:
        gc.collect()
        return super().__exit__(*error)


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_file_is_one_sentence_and_nothing_is_loaded(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    content, reason = UNUSABLE[name]
    path = _file(tmp_path, content, name)
    monkeypatch.setattr(importing, "ExitStack", Collecting)
    for files in ((path,), (SEED / "users.csv", path), (path, SEED / "users.csv")):
        run = command(*files)
        assert (run.code, run.out, len(run.err)) == (1, [], 1)
        assert run.err[0].startswith(f"load_csv.py: {path} {reason}")
    assert sum(counts().values()) == 0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.csv", "No such file or directory"),
        ("missing.csv.gz", "No such file or directory"),
        (".", "Is a directory"),
    ],
)
def test_a_file_that_cannot_be_opened_is_one_sentence(
    command: Command, tmp_path: Path, name: str, reason: str
) -> None:
    path = tmp_path / name
    assert command(SEED / "users.csv", path) == (
        1,
        [],
        [f"load_csv.py: {path} cannot be read: {reason}"],
    )
    assert counts()["users"] == 0


def test_a_database_that_is_not_there_is_one_sentence(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://holdfast@127.0.0.1:1/holdfast")
    run = command(SEED / "users.csv")
    assert (run.code, run.out, len(run.err)) == (1, [], 1)
    assert run.err[0].startswith("load_csv.py: The database does not answer: ")


def test_settings_that_cannot_be_used_are_one_sentence(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://localhost/holdfast")
    run = command(SEED / "users.csv")
    assert (run.code, len(run.err)) == (1, 1)
    assert run.err[0].startswith(
        "load_csv.py: DATABASE_URL must be a URL that starts with sqlite:// or postgresql://"
    )


def test_progress_is_shown_on_a_terminal_and_wiped_at_the_end(tmp_path: Path) -> None:
    path = _file(tmp_path, "event_type\n" + "shared\n" * 25_000)
    ours, theirs = pty.openpty()
    arguments = [sys.executable, ROOT / "load_csv.py", path]
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": f"sqlite:///{tmp_path}/fresh.db"}
    done = subprocess.run(
        arguments,
        stderr=theirs,
        stdout=subprocess.PIPE,
        cwd=tmp_path,
        env=environment,
        check=True,
        text=True,
    )
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert shown == f"\r\x1b[K{path}: 10,000 rows read\r\x1b[K{path}: 20,000 rows read\r\x1b[K"
    assert done.stdout == "Loaded 25000 rows into Event\nLoaded 0 users, 0 URLs, 25000 events\n"
