"""Every migration only adds, so that the last release's code goes on beside the new one's."""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from app import migrations
from app.version import VERSION
from tests.conftest import Api
from tests.test_migrations import new_url as new_url

BEFORE_THE_FIRST_RELEASE = "0009"
NAMES = sorted(path.stem for path in Path(migrations.__file__).parent.glob("0*.py"))
_TAKES = r"\b(DROP|RENAME|TRUNCATE)\b|\bSET NOT NULL\b|\bALTER COLUMN \S+ (SET DATA )?TYPE\b"
_DEMANDS = r"\bADD COLUMN\b(?!.*\bDEFAULT\b).*\bNOT NULL\b"


def is_contract(statement: str) -> bool:
    """Whether code that does not know of it may fail afterwards."""
    words = " ".join(statement.upper().split())
    return bool(re.search(_TAKES, words) or re.search(_DEMANDS, words))


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("ALTER TABLE urls DROP COLUMN title", True),
        ("drop table facts", True),
        ("ALTER TABLE urls RENAME COLUMN title TO name", True),
        ("ALTER TABLE urls ADD COLUMN owner BIGINT NOT NULL", True),
        ("ALTER TABLE urls ALTER COLUMN title SET NOT NULL", True),
        ("ALTER TABLE urls ALTER COLUMN title TYPE TEXT", True),
        ("ALTER TABLE urls ADD COLUMN owner BIGINT", False),
        ("ALTER TABLE urls ADD COLUMN version BIGINT DEFAULT 1 NOT NULL", False),
        ("ALTER TABLE urls ADD COLUMN version BIGINT NOT NULL DEFAULT 1", False),
        ("CREATE TABLE drops (name TEXT NOT NULL)", False),
    ],
)
def test_what_takes_away_is_known_from_what_adds(statement: str, expected: bool) -> None:
    assert is_contract(statement) is expected


def released_after(name: str) -> str:
    """The last release whose code needs what this migration takes away; none: it takes nothing."""
    module = importlib.import_module(f"app.migrations.{name}")
    return str(getattr(module, "CONTRACT_AFTER", ""))


def may_run(after: str) -> bool:
    """Whether that release is out, and another one is made."""
    return after != "" and numbers(after) < numbers(VERSION)


def numbers(version: str) -> list[int]:
    return [int(each) for each in re.findall(r"\d+", version)[:3]]


def test_what_takes_away_must_name_a_release_before_this_one() -> None:
    assert [may_run(after) for after in ("", VERSION, "99.0.0", "0.0.9")] == [False] * 3 + [True]


@pytest.mark.services
def test_a_migration_takes_nothing_away_before_the_release_that_it_names(
    bound: Callable[..., Api], new_url: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "peewee")
    bound(database_url=new_url(), redis_url="")
    taken: dict[str, list[str]] = {}
    found: list[str] = []
    for record in caplog.records:
        sql, values = record.msg if isinstance(record.msg, tuple) else (str(record.msg), ())
        found += [sql] if is_contract(sql) else []
        applied = "schema_migration" in sql and "INSERT" in sql
        for name in (str(value) for value in values or () if applied):
            if name in NAMES:
                taken[name], found = found, []
    assert sorted(taken) == NAMES
    for name, statements in taken.items():
        if statements and name[:4] > BEFORE_THE_FIRST_RELEASE:
            assert may_run(released_after(name)), (name, statements)
    assert taken["0002_links"]  # what there is to see is seen
