"""CSV import: reads files into staging tables, then merges all of them in one transaction, or nothing."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from peewee import IntegrityError

from app import bulk, database
from app.database import DatabaseUnavailable, db
from app.errors import InvalidInput
from app.imports import merge
from app.imports.columns import COLUMNS, KINDS, USERS, Kind, explain, parser
from app.imports.reader import BadRow, CsvFile
from app.imports.report import MOST_ERRORS, FileReport, LoadReport, NothingImported
from app.schemas import ImportReport

_TRIES = 3
_PROGRESS_EVERY = 10_000

Progress = Callable[[str, int], None]
"""Called now and then with a file's name and how many of its rows have been read."""


class Stopped(InvalidInput):
    """A strict import met its first bad row: nothing was loaded."""


# ---- from HTTP ----


def import_users(stream: IO[bytes]) -> ImportReport:
    """A CSV of users; raises InvalidInput, with nothing stored, when nothing can be."""
    file = CsvFile(stream, "The file", spoilt=False, known=COLUMNS)
    report = FileReport("file", USERS)
    _require_columns(file, USERS)
    _run([(file, report)], strict=False, progress=_quietly)
    answer = report.shown()
    if answer.failed and not answer.imported:
        raise NothingImported(answer)
    return answer


def _quietly(_name: str, _rows: int) -> None:
    pass


# ---- from files ----


def load(paths: Sequence[str], strict: bool = False, progress: Progress = _quietly) -> LoadReport:
    """Loads CSV files of any kind, in the order of their dependencies; raises InvalidInput when one cannot be used."""
    with _opened(paths) as files:
        pairs = [(file, FileReport(file.name, _kind_of(file))) for file in files]
        notes = _run(pairs, strict, progress)
    reports = [report for _, report in pairs]
    return LoadReport(
        reports,
        [f"{reports[number].name}:{line}: {note}" for number, line, note in notes[0]],
        notes[1] - len(notes[0]),
    )


@contextmanager
def _opened(paths: Sequence[str]) -> Iterator[list[CsvFile]]:
    files: list[CsvFile] = []
    with ExitStack() as stack:
        for path in paths:
            files.append(CsvFile(stack.enter_context(_open(path)), path, True, COLUMNS))
        yield files


def _open(path: str) -> IO[bytes]:
    try:
        if path == "-":
            return sys.stdin.buffer
        if path.endswith(".gz"):
            return gzip.open(path, "rb")  # type: ignore[return-value]  # a GzipFile reads bytes
        return Path(path).open("rb")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None


def _kind_of(file: CsvFile) -> Kind:
    """The kind whose required columns the file has; the one that most of the file's columns belong to."""
    fitting = [kind for kind in KINDS if kind.required() <= set(file.columns)]
    if not fitting:
        raise InvalidInput(
            f"{file.name} is neither users, URLs, events nor products: its columns are {', '.join(file.columns)[:200]}"
        )
    kind = max(fitting, key=lambda kind: len(kind.names() & set(file.columns)))
    _require_columns(file, kind)
    return kind


def _require_columns(file: CsvFile, kind: Kind) -> None:
    missing = sorted(kind.required() - set(file.columns))
    if missing:
        raise InvalidInput(
            f"{file.name} has no column {' and no column '.join(missing)}",
            errors=dict.fromkeys(missing, "is required"),
        )
    twice = sorted(name for name in kind.names() if file.columns.count(name) > 1)
    if twice:
        message = f"{file.name} has more than one column {' and '.join(twice)}"
        raise InvalidInput(message, errors=dict.fromkeys(twice, "must be there once"))


# ---- both ----

Notes = tuple[list[tuple[int, int, str]], int]


def _run(pairs: Sequence[tuple[CsvFile, FileReport]], strict: bool, progress: Progress) -> Notes:
    with database.patience(), _staging_tables():
        with _staging():
            number = 0
            for index, (file, report) in enumerate(pairs):
                number = _stage(file, report, index, _Reader(number, strict, progress))
        return _merge([report for _, report in pairs])


@contextmanager
def _staging_tables() -> Iterator[None]:
    merge.create_staging()
    try:
        yield
    finally:
        database.clean_up(*merge.DROP_STAGING)


@contextmanager
def _staging() -> Iterator[None]:
    begin, end = database.dialect().staging
    db.execute_sql(begin)
    try:
        yield
    finally:
        database.clean_up(end)


@dataclass
class _Reader:
    """How rows are read: numbered from `number` on, stopping at a bad one or not."""

    number: int
    strict: bool
    progress: Progress

    def rows(self, file: CsvFile, report: FileReport, index: int) -> Iterator[list[Any]]:
        kind = report.kind
        places = file.places(column.name for column in kind.columns)
        parse = parser(kind, places)
        before = number = self.number
        for number, row in enumerate(file.rows(), before + 1):
            if isinstance(row, BadRow):
                self._refuse(report, partial(_itself, row))
            else:
                line, fields = row
                try:
                    values = parse(fields)
                except ValueError:
                    self._refuse(report, partial(explain, kind, places, line, fields))
                else:
                    yield [number, index, line, *values]
            if (number - before) % _PROGRESS_EVERY == 0:
                self.progress(file.name, number - before)
        self.number = number

    def _refuse(self, report: FileReport, why: Callable[[], BadRow]) -> None:
        if self.strict:
            bad = why()
            raise Stopped(f"{report.name}:{bad.line}: {bad.reason}; nothing was loaded")
        report.refuse(why)


def _itself(bad: BadRow) -> BadRow:
    return bad


def _stage(file: CsvFile, report: FileReport, index: int, reader: _Reader) -> int:
    columns = ("n", "file", "line", *(column.name for column in report.kind.columns))
    bulk.insert(f"staged_{report.kind.table}", columns, reader.rows(file, report, index))
    return reader.number


def _merge(reports: Sequence[FileReport]) -> Notes:
    with db.atomic():
        database.lock("import")
        db.execute_sql(database.dialect().roomy)
        for _ in range(_TRIES - 1):
            try:
                return _merge_once(reports)
            except (IntegrityError, DatabaseUnavailable):
                continue  # somebody stored the same user or took the same id at this very moment, or each waited for the other
        db.execute_sql(
            database.dialect().keep_out
        )  # whoever makes users all the time would otherwise win all the time
        return _merge_once(reports)


def _merge_once(reports: Sequence[FileReport]) -> Notes:
    with db.atomic():
        given = {report.kind for report in reports}
        for kind in KINDS:
            if kind in given:
                merge.merge(kind.table)
                merge.note_repeats(kind.table)
        for index, report in enumerate(reports):
            report.created, report.skipped = merge.counts(report.kind.table).get(index, (0, 0))
        return merge.notes(MOST_ERRORS)
