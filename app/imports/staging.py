"""Checks the rows of a file, and copies the good ones into the staging table of their kind.

A staging table has the columns of its kind of file and three more. `n` is a row's place in the
import: by its file, its line, and its number among the rows on that line. `target` is the id of
the stored row that stands for it (NULL: its own id). `fate` is one of the constants below. Nothing
is written for the usual row, which is new and keeps its id: rewriting rows costs the most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, compress
from typing import Any, NamedTuple, Protocol

from app import bulk, database
from app.database import db
from app.errors import InvalidInput
from app.imports.columns import KINDS, Column, Kind, Made
from app.imports.reader import Batch
from app.imports.report import MOST_ERRORS, FileReport, bad_row, in_order

STORED, NEW, REPEAT, NEW_IN_CHAIN = 0, 1, 2, 3
"""What became of a row: it was in the database before; it is new; it repeats a row of the import;
it is new although it shares a key with a repeat."""

_PER_LINE = 2**18  # JSON may have all of its rows on one line; further ones count as the next
PLACES = 2**32 * _PER_LINE  # of a file; there is room for 8,192 files

_PROGRESS_EVERY = 10_000

DROP = [f"DROP TABLE IF EXISTS {name}" for name in (*(k.staged for k in KINDS), "import_notes")]


class Stopped(InvalidInput):
    """A strict import met its first bad row: nothing was loaded."""


Progress = Callable[[str, int], None]
"""Is called now and then with a file's name and how many of its rows have been read."""


class Options(NamedTuple):
    """`strict`: the first bad row ends the import. `dry_run`: the import is undone at its end."""

    strict: bool = False
    progress: Progress | None = None
    dry_run: bool = False


class Rows(Protocol):
    """A file: its name, its columns in lower case, and its rows, which are read once."""

    name: str
    columns: list[str]

    def batches(self) -> Iterator[Batch]: ...


def create() -> None:
    """Empty staging tables, seen by this connection only."""
    for drop in DROP:
        db.execute_sql(drop)
    for kind in KINDS:
        every: list[Column | Made] = [*kind.columns, *kind.made]
        columns = ", ".join(f"{each.name} {each.sql}" for each in every)
        db.execute_sql(
            f"CREATE TEMPORARY TABLE {kind.staged} (n BIGINT, "
            f"{columns.format(text=database.dialect().text)}, "
            f"target BIGINT, fate INTEGER DEFAULT {NEW})"
        )
    db.execute_sql("CREATE TEMPORARY TABLE import_notes (n BIGINT, step INTEGER, note TEXT)")


def stage(number: int, file: Rows, report: FileReport, options: Options) -> None:
    """Copies the good rows of an import's file, and fills its report.

    Raises Stopped at a bad row if `options` say so.
    """
    kind = report.kind
    check = Checker(kind, file.columns)
    rows = _good_rows(PLACES * number, file, report, options, check)
    report.good = bulk.insert(kind.staged, ("n", *check.names), rows)


def place_of(n: int) -> tuple[int, int]:
    """The number of a row's file, and its line."""
    file, place = divmod(n, PLACES)
    return file, place // _PER_LINE


Notes = tuple[list[tuple[int, int, str]], int]


def notes() -> Notes:
    """The first (file, line, note) of rows that were changed to fit, and how many there are."""
    count = db.execute_sql("SELECT count(*) FROM import_notes").fetchone()[0]
    first = f"SELECT n, note FROM import_notes ORDER BY n, step, note LIMIT {MOST_ERRORS}"
    rows = db.execute_sql(first).fetchall()
    return [(*place_of(n), note) for n, note in rows], int(count)


def _good_rows(
    start: int, file: Rows, report: FileReport, options: Options, check: Checker
) -> Iterator[tuple[Any, ...]]:
    seen, last = 0, start
    for batch in file.batches():
        lines, *columns = check(batch)
        if batch.bad and options.strict:
            first = bad_row(min(batch.bad, key=in_order))
            raise Stopped(f"{report.name}:{first.line}: {first.reason}; nothing was loaded")
        report.refuse(batch.bad)
        places = _places(start, last, lines)
        last = max([last, *places[-1:]])
        yield from zip(places, *columns, strict=True)
        before, seen = seen, seen + len(lines) + len(batch.bad)
        if options.progress and before // _PROGRESS_EVERY < seen // _PROGRESS_EVERY:
            options.progress(file.name, seen - seen % _PROGRESS_EVERY)


def _places(start: int, last: int, lines: Sequence[int]) -> Sequence[int]:
    """Where the rows of these lines are: each behind the one before, the first behind `last`."""
    places = [start + line * _PER_LINE for line in lines]
    if places and (places[0] <= last or len(set(lines)) < len(lines)):
        places = list(accumulate(places, lambda before, at: max(before + 1, at), initial=last))[1:]
    return places


class Checker:
    """Sorts the good rows of files with these column names from the bad ones.

    `names` are the columns that it makes: all but optional ones that the files lack.
    """

    def __init__(self, kind: Kind, names: list[str]) -> None:
        self._columns = [
            (column, names.index(column.name) if column.name in names else -1)
            for column in kind.columns
            if column.name in names or not column.optional
        ]
        self._made = kind.made
        given = [column.name for column, _ in self._columns]
        self.names = [*given, *(made.name for made in kind.made)]
        self._width = max(place for _, place in self._columns) + 1
        needed = [(place, column.name) for column, place in self._columns if column.required]
        self._missing = {  # the column that a row of so many fields lacks, if any
            length: next((name for place, name in needed if place >= length), "")
            for length in range(self._width)
        }

    def __call__(self, batch: Batch) -> list[Sequence[Any]]:
        """The lines of the good rows, and each column's values; refuses the others.

        Goes column by column, because many values are checked together faster than one by one.
        """
        lines, rows, bad = self._filled(batch)
        checked: list[Sequence[Any]] = [lines]
        for column, place in self._columns:
            texts = [fields[place] for fields in rows] if place >= 0 else [""] * len(rows)
            values, errors = column.values(texts)
            checked.append(values)
            if errors:
                bad += [(checked[0][at], column.name, why, texts[at]) for at, why in errors.items()]
                good = [at not in errors for at in range(len(rows))]
                checked = [list(compress(values, good)) for values in checked]
                rows = list(compress(rows, good))
        return checked + [self._make(made, checked) for made in self._made]

    def _make(self, made: Made, checked: list[Sequence[Any]]) -> Sequence[Any]:
        return made.rule(*(checked[1 + self.names.index(name)] for name in made.made_of))

    def _filled(self, batch: Batch) -> Batch:
        """Without the rows that lack required fields; others get the fields that they lack."""
        lines, rows, bad = batch
        if not rows or min(map(len, rows)) >= self._width:
            return batch
        lacks = [self._missing.get(len(fields)) for fields in rows]
        bad += [
            (line, name, "is missing", "") for line, name in zip(lines, lacks, strict=True) if name
        ]
        whole = [not name for name in lacks]
        rows = list(compress(rows, whole))
        for fields in rows:
            fields += [""] * (self._width - len(fields))
        return Batch(list(compress(lines, whole)), rows, bad)
