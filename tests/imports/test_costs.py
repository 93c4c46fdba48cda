"""What hostile CSV files cost: CPU time beside a good file's in the same process, and memory."""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from statistics import median

import pytest
from flask import Flask

from app.errors import InvalidInput
from app.imports import importing
from tests.conftest import empty
from tests.imports.uploads import counts

HEADER = b"id,username,email,created_at\n"
ROWS = 3_000
SIZE = 200_000
Row = Callable[[int], bytes]


def _rows(row: Row) -> bytes:
    return HEADER + b"".join(map(row, range(1, ROWS + 1)))


def _filled(row: bytes) -> bytes:
    return HEADER + row * (SIZE // len(row))


GOOD = _rows(lambda n: b"%d,user.%06d,user.%06d@mail.example.com,2024-01-31 10:20:30\n" % (n, n, n))
BAD_ROWS: dict[str, Row] = {
    "no email address": lambda n: b"%d,user.%06d,user.%06d,2024-01-31 10:20:30\n" % (n, n, n),
    "no username": lambda n: b"%d,,user.%06d@mail.example.com,2024-01-31 10:20:30\n" % (n, n),
    "no date": lambda n: b"%d,user.%06d,user.%06d@mail.example.com,yesterday\n" % (n, n, n),
    "nothing right": lambda n: b"x%d,  ,user.%06d,2024-13-31 10:20:30\n" % (n, n),
    "too many fields": lambda n: b"%d,u%06d,u%06d@mail.example.com,2024-01-31,,1\n" % (n, n, n),
    "too few fields": lambda n: b"%d.user.%06d.user.%06d@mail.example.com\n" % (n, n, n),
    "NUL": lambda n: b"%d,user\x00%06d,user.%06d@mail.example.com,2024-01-31\n" % (n, n, n),
    "too long": lambda n: b"%d,%0120d,user.%06d@mail.example.com,2024-01-31\n" % (n, n, n),
    "email too long": lambda n: b"%d,user.%06d,%s@example.com,2024-01-31\n" % (n, n, b"a" * 244),
}
SMALL = HEADER + b"".join(b",%x,%x@b.c\n" % (n, n) for n in range(SIZE // 16))
BAD_FILES = {
    "small rows without an email address": _filled(b",b,c\n"),
    "small rows without anything": _filled(b"a\n"),
    "small rows with everything wrong": _filled(b"a,,c,d\n"),
    "rows of separators": _filled(b",,,\n"),
    "empty lines": _filled(b"\n"),
    "empty lines before the header": b"\n" * SIZE + HEADER,
    "rows with one quote": _filled(b'"\n'),
    "rows with one quote within": _filled(b'a"b,c\n'),
    "a quoted field without an end": HEADER + b'"' + b"a\n" * (SIZE // 2),
    "a header without an end": b"username,email," + b"a," * (SIZE // 2),
    "a quoted header without an end": b'username,email,"' + b"a\n" * (SIZE // 2),
    "a line without an end": HEADER + b"a" * SIZE,
    "a row of very many fields": HEADER + b"a," * (SIZE // 2),
    "the same row": _filled(b",ada,a@b.c\n"),
    "the same id": HEADER + b"".join(b"7,%x,%x@b.c\n" % (n, n) for n in range(SIZE // 16)),
}


def _seconds(content: bytes) -> float:
    """CPU time without the measurement of coverage, which costs most where lines are short."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        begin = time.process_time()
        with suppress(InvalidInput):
            importing.import_users(BytesIO(content))
        return time.process_time() - begin
    finally:
        sys.settrace(tracer)


def _ratio(content: bytes, good: bytes, clean: Callable[[], None]) -> float:
    """The CPU time that `content` takes for each second of `good`; the median of several turns."""
    ratios = []
    for _ in range(3):
        clean()
        begin = _seconds(good)
        clean()
        ratios.append(_seconds(content) / begin)
    return median(ratios)


@pytest.fixture
def clean(app: Flask, settings: object) -> Callable[[], None]:
    return lambda: empty(settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_a_bad_row_costs_no_more_than_a_good_one(clean: Callable[[], None], kind: str) -> None:
    """Twice would be allowed; it is less."""
    assert _ratio(_rows(BAD_ROWS[kind]), GOOD, clean) < 1.5


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_file_of_any_content_costs_little_more_than_a_good_one_of_its_size(
    clean: Callable[[], None], kind: str
) -> None:
    assert _ratio(BAD_FILES[kind], SMALL, clean) < 2.5


@pytest.mark.parametrize(
    "content",
    [
        HEADER + b"abc," * 1_000_000,
        HEADER + b"abc,\n" * 3 + b"a" * 4_000_000,
        HEADER + '"\U0001f4a1\n"'.encode() * 600_000,
        HEADER + b'"\nabc",' * 500_000,
        HEADER + (b"\x00" + b"a" * 900_000 + b"\n") * 4,
        HEADER + (b"a," * 450_000 + b"b\n") * 4,
        b"\n" * 4_000_000,
        b"," * 4_000_000,
        b"a" * 4_000_000,
        b'"' + b"\n" * 400_000,
        b"abc," * 1_000_000 + b"\n",
    ],
    ids=range(11),
)
def test_memory_does_not_grow_with_the_file_whatever_is_in_it(app: Flask, content: bytes) -> None:
    assert _peak(content) < 40 * 2**20
    assert counts()["users"] == 0


def test_memory_does_not_grow_with_accounts_that_share_their_names_in_chains(app: Flask) -> None:
    rows = (b",%x,%x@b.c\n" % ((n + 1) // 2, n // 2) for n in range(100_000))
    assert _peak(HEADER + b"".join(rows)) < 8 * 2**20
    assert counts()["users"] == 50_000


def _peak(content: bytes) -> int:
    """The most memory that Python held for an import at any time."""
    stream = BytesIO(content)
    tracemalloc.start()
    try:
        with suppress(InvalidInput):
            importing.import_users(stream)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
