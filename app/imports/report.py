"""What became of the rows of an import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

from app.errors import InvalidInput
from app.imports.columns import Kind
from app.schemas import BadRow as BadRowShape
from app.schemas import ImportedFile, ImportReport, in_our_words

MOST_ERRORS = 100
LONGEST_VALUE = 100


class BadRow(NamedTuple):
    """A row that cannot be used: its line, why, and the wrong value, cut to 100 characters."""

    line: int
    reason: str
    value: str


Refusal = tuple[int, str, str | ValueError, str]
"""What becomes a BadRow if it is among the first: line, column (may be ""), why, value.

Words cost several times as much as a good row, and an object of its own twice as much.
"""


in_order = itemgetter(0, 1, 3)
"""The key of refusals, of which several may be on one line; reasons have no order."""


def bad_row(refusal: Refusal) -> BadRow:
    line, column, why, value = refusal
    words = why if isinstance(why, str) else in_our_words(why)
    return BadRow(line, f"{column}: {words}" if column else words, value[:LONGEST_VALUE])


@dataclass
class FileReport:
    """What became of one file: `good` rows are `created` or `skipped` (there already).

    `conflicts` of the skipped ones have a code that another link has; `taken` are the first.
    """

    name: str
    kind: Kind
    good: int = 0
    skipped: int = 0
    failed: int = 0
    errors: list[BadRow] = field(default_factory=list)
    conflicts: int = 0
    taken: list[BadRow] = field(default_factory=list)

    @property
    def created(self) -> int:
        return self.good - self.skipped

    def refuse(self, refusals: Sequence[Refusal]) -> None:
        """Counts bad rows, all behind those before, and keeps the first ones of a file."""
        self.failed += len(refusals)
        room = MOST_ERRORS - len(self.errors)
        if room:
            self.errors += map(bad_row, sorted(refusals, key=in_order)[:room])

    def shown(self) -> ImportReport:
        """In an answer, where a conflict is a failure."""
        imported = self.good - self.conflicts
        return ImportReport(
            imported=imported,
            count=imported,
            created=self.created,
            skipped=self.skipped - self.conflicts,
            failed=self.failed + self.conflicts,
            total=self.good + self.failed,
            errors=_shown(sorted([*self.errors, *self.taken])[:MOST_ERRORS]),
        )

    def shown_whole(self, notes: list[BadRow], dry_run: bool) -> ImportedFile:
        return ImportedFile(
            **dict(self.shown()),
            kind=self.kind.table,  # type: ignore[arg-type]  # one of the four
            conflicts=self.conflicts,
            notes=_shown(notes),
            dry_run=dry_run,
        )


def _shown(rows: list[BadRow]) -> list[BadRowShape]:
    return [BadRowShape(line=row.line, error=row.reason, value=row.value) for row in rows]


@dataclass
class LoadReport:
    """What became of all files, in the order given; `notes` say what was changed to fit."""

    files: list[FileReport]
    notes: list[str] = field(default_factory=list)
    more_notes: int = 0

    def is_refusal(self) -> bool:
        """Whether there were rows, and all of them bad."""
        return not any(file.good for file in self.files) and any(file.failed for file in self.files)

    def created(self, kind: Kind) -> int:
        return sum(file.created for file in self.files if file.kind is kind)


class NothingImported(InvalidInput):
    """All rows of a file are bad: the answer is an error, and the report as well."""

    def __init__(self, report: ImportReport) -> None:
        self.report = report
        words = {f"line {bad.line}": bad.error + _quote(bad.value) for bad in report.errors}
        first = next(iter(words.items()))
        all_of_them = f"all {report.failed} rows are" if report.failed > 1 else "the only row is"
        super().__init__(f"Nothing was imported, {all_of_them} bad; {': '.join(first)}", words)
        self.more = report.model_dump(exclude={"errors"})


def _quote(value: str) -> str:
    return f" (got {ascii(value)[:LONGEST_VALUE]})" if value else ""
