"""What became of the rows of an import."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from app.errors import InvalidInput
from app.imports.columns import Kind
from app.imports.reader import BadRow
from app.schemas import BadRow as BadRowShape
from app.schemas import ImportReport

MOST_ERRORS = 100
_LONGEST_QUOTE = 100


@dataclass
class FileReport:
    """What became of one file: its rows are `created`, `skipped` (there already) or `failed`."""

    name: str
    kind: Kind
    created: int = 0
    skipped: int = 0
    failed: int = 0
    errors: list[BadRow] = field(default_factory=list)

    def refuse(self, why: Callable[[], BadRow]) -> None:
        """Counts a bad row; only of the first ones it is asked why."""
        self.failed += 1
        if len(self.errors) < MOST_ERRORS:
            self.errors.append(why())

    def shown(self) -> ImportReport:
        stored = self.created + self.skipped
        return ImportReport(
            imported=stored,
            count=stored,
            created=self.created,
            skipped=self.skipped,
            failed=self.failed,
            total=stored + self.failed,
            errors=[
                BadRowShape(line=bad.line, error=bad.reason, value=bad.value) for bad in self.errors
            ],
        )


@dataclass
class LoadReport:
    """What became of all files, in the order in which they were given; `notes` say what was changed to fit."""

    files: list[FileReport]
    notes: list[str] = field(default_factory=list)
    more_notes: int = 0

    def is_refusal(self) -> bool:
        """Whether there were rows, and all of them bad."""
        stored = any(file.created or file.skipped for file in self.files)
        return not stored and any(file.failed for file in self.files)

    def created(self, kind: Kind) -> int:
        return sum(file.created for file in self.files if file.kind is kind)


class NothingImported(InvalidInput):
    """All rows of a file are bad: the answer is an error, and the report as well."""

    def __init__(self, report: ImportReport) -> None:
        words = {f"line {bad.line}": bad.error + _quote(bad.value) for bad in report.errors}
        first = next(iter(words.items()))
        all_of_them = f"all {report.failed} rows are" if report.failed > 1 else "the only row is"
        super().__init__(f"Nothing was imported, {all_of_them} bad; {': '.join(first)}", words)
        self.more = report.model_dump(exclude={"errors"})


def _quote(value: str) -> str:
    return f" (got {ascii(value)[:_LONGEST_QUOTE]})" if value else ""
