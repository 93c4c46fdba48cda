"""What an import answers: its report, and the error when all rows are bad."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.schemas.outputs import Error, Out


class BadRow(Out):
    line: int
    error: str
    value: str


class ImportReport(Out):
    imported: int
    count: int
    created: int
    skipped: int
    failed: int
    total: int
    errors: list[BadRow]


class ImportedFile(ImportReport):
    """`conflicts`: the failed rows whose short code another link has."""

    kind: Literal["users", "urls", "events", "products"]
    conflicts: int
    notes: list[BadRow]
    dry_run: bool


class ImportRefusal(Error):
    """The error of an import; with numbers when its rows were read and all of them were bad."""

    imported: int = Field(default_factory=int)  # unlike None, it is no default in the schema
    count: int = Field(default_factory=int)
    created: int = Field(default_factory=int)
    skipped: int = Field(default_factory=int)
    failed: int = Field(default_factory=int)
    total: int = Field(default_factory=int)
