"""CSV import: reads files into staging tables, and merges all of them in one transaction."""

from __future__ import annotations

import gzip
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from peewee import IntegrityError

from app import database
from app.database import DatabaseUnavailable, db
from app.errors import InvalidInput
from app.imports import links, staging
from app.imports.columns import COLUMNS, KINDS, URLS, USERS, Kind
from app.imports.foreign import ForeignFile
from app.imports.merge import merge
from app.imports.reader import CsvFile
from app.imports.report import MOST_ERRORS, BadRow, FileReport, LoadReport, NothingImported
from app.imports.staging import Options, Progress
from app.imports.undoing import MOST_UNDONE
from app.redirects.bans import bans
from app.schemas import ImportedFile, ImportQuery, ImportReport
from app.services import access, audit

_TRIES = 3

File = CsvFile | ForeignFile


class _Undo(Exception):
    """Ends the transaction of a dry run."""

    def __init__(self, notes: staging.Notes) -> None:
        super().__init__()
        self.notes = notes


# ---- from HTTP ----


def import_users(stream: IO[bytes]) -> ImportReport:
    """A CSV of users; raises InvalidInput, with nothing stored, when nothing can be."""
    access.refuse_bound("import files")
    file = CsvFile(stream, "The file", lenient=False, known=COLUMNS)
    report = FileReport("file", USERS)
    _require_columns(file, USERS)
    _run([(file, report)], Options())
    answer = report.shown()
    if answer.failed and not answer.imported:
        raise NothingImported(answer)
    return answer


def import_file(stream: IO[bytes], query: ImportQuery) -> ImportedFile:
    """One file of any kind; raises InvalidInput, with nothing stored, when nothing can be."""
    access.refuse_bound("import files")
    file = _read(stream, "The file", query.source, lenient=False)
    report = FileReport("file", _kind_of(file))
    notes, _ = _run([(file, report)], Options(dry_run=query.dry_run))
    answer = report.shown_whole([BadRow(line, note, "") for _, line, note in notes], query.dry_run)
    if answer.failed and not answer.imported:
        raise NothingImported(answer)
    return answer


# ---- from files ----


def load(
    paths: Sequence[str],
    strict: bool = False,
    progress: Progress | None = None,
    source: str | None = None,
    dry_run: bool = False,
) -> LoadReport:
    """Loads files of any kind, in the order of their dependencies; of `source`, only links.

    Raises InvalidInput, with nothing loaded, when one cannot be used or `strict` meets a bad row.
    """
    with _opened(paths, source) as files:
        pairs = [(file, FileReport(file.name, _kind_of(file))) for file in files]
        notes, count = _run(pairs, Options(strict, progress, dry_run))
    reports = [report for _, report in pairs]
    texts = [f"{reports[number].name}:{line}: {note}" for number, line, note in notes]
    return LoadReport(reports, texts, count - len(texts))


@contextmanager
def _opened(paths: Sequence[str], source: str | None) -> Iterator[list[File]]:
    files: list[File] = []  # held here, so that each is closed before it can be garbage
    with ExitStack() as stack:
        for path in paths:
            files.append(_read(stack.enter_context(_open(path)), path, source, True))
        yield files


def _read(stream: IO[bytes], name: str, source: str | None, lenient: bool) -> File:
    if source:
        return ForeignFile(stream, name, lenient, source)
    return CsvFile(stream, name, lenient, COLUMNS)


def _open(path: str) -> IO[bytes]:
    try:
        if path == "-":
            return sys.stdin.buffer
        if path.endswith(".gz"):
            return gzip.open(path, "rb")  # type: ignore[return-value]  # a GzipFile reads bytes
        return Path(path).open("rb")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None


def _kind_of(file: File) -> Kind:
    """Of the kinds whose required columns the file has, the one with most of its columns."""
    names = set(file.columns)
    fitting = [kind for kind in KINDS if kind.required() <= names]
    if not fitting:
        raise InvalidInput(
            f"{file.name} is neither users, URLs, events nor products: "
            f"its columns are {', '.join(file.columns)[:200]}"
        )
    kind = max(fitting, key=lambda kind: len(names.intersection(kind.names())))
    _require_columns(file, kind)
    return kind


def _require_columns(file: File, kind: Kind) -> None:
    missing = sorted(kind.required() - set(file.columns))
    if missing:
        message = f"{file.name} has no column {' and no column '.join(missing)}"
        raise InvalidInput(message, errors=dict.fromkeys(missing, "is required"))
    twice = sorted(name for name in kind.names() if file.columns.count(name) > 1)
    if twice:
        message = f"{file.name} has more than one column {' and '.join(twice)}"
        raise InvalidInput(message, errors=dict.fromkeys(twice, "must be there once"))


# ---- both ----


def _run(pairs: Sequence[tuple[File, FileReport]], options: Options) -> staging.Notes:
    begin, end = database.dialect().staging
    with database.without_timeouts(), database.one_session(), ExitStack() as tables:
        tables.callback(database.clean_up, *staging.DROP)
        staging.create()
        with ExitStack() as transaction:
            db.execute_sql(begin)
            transaction.callback(database.clean_up, end)
            with bans.held():  # while rows are checked, they are copied
                for number, (file, report) in enumerate(pairs):
                    staging.stage(number, file, report, options)
        reports = [report for _, report in pairs]
        try:
            return _merge(reports, options.dry_run)
        except _Undo as undo:
            return undo.notes


def _merge(reports: Sequence[FileReport], dry_run: bool) -> staging.Notes:
    """Tries again when another client has stored the same user, or taken the same id, meanwhile."""
    with db.atomic():
        database.lock("import")
        db.execute_sql(database.dialect().roomy)
        for _ in range(_TRIES - 1):
            try:
                return _merge_once(reports, dry_run)
            except (IntegrityError, DatabaseUnavailable):
                continue  # DatabaseUnavailable: it and the other client waited for each other
        # Otherwise a client that makes users all the time could win all the time.
        db.execute_sql(database.dialect().keep_out)
        return _merge_once(reports, dry_run)


def _merge_once(reports: Sequence[FileReport], dry_run: bool) -> staging.Notes:
    with db.atomic():
        given = {report.kind for report in reports}
        retired = links.drop_retired(URLS, MOST_ERRORS) if URLS in given else None
        skipped = {kind: merge(kind, dry_run) for kind in KINDS if kind in given}
        for number, report in enumerate(reports):
            report.skipped = skipped[report.kind].get(number, 0)
        if retired is not None:
            _note_conflicts(reports, retired)
        notes = staging.notes()
        if dry_run:
            raise _Undo(notes)
        _note_counts(reports)
        return notes


def _note_counts(reports: Sequence[FileReport]) -> None:
    """One row of the audit trail, unless nothing was made; with it the import can be undone."""
    counts = Counter[str]()
    for report in reports:
        counts[report.kind.table] += report.created
    if any(counts.values()):
        made = links.ranges_made(URLS) if 0 < counts["urls"] <= MOST_UNDONE else None
        audit.note("import", "import", None, None, {**counts, "url_ids": made} if made else counts)


def _note_conflicts(reports: Sequence[FileReport], retired: links.Conflicts) -> None:
    counts, first = links.conflicts(URLS, MOST_ERRORS)
    for number, report in enumerate(reports):
        report.skipped += retired[0][number]
        report.conflicts = counts[number] + retired[0][number]
        report.taken = [
            BadRow(each.line, "short_code: is taken by another link", each.short_code)
            for each in sorted(first + retired[1])[:MOST_ERRORS]
            if each.file == number
        ]
