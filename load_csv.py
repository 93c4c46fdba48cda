"""Loads CSV files into the database: `python load_csv.py users.csv urls.csv events.csv`, in any order, any number of times."""

from __future__ import annotations

import argparse
import sys

from app import bind
from app.config import ConfigError, Settings
from app.database import DatabaseUnavailable, DatabaseUnusable, released
from app.errors import InvalidInput
from app.imports.columns import KINDS, PRODUCTS
from app.imports.importing import load
from app.imports.report import FileReport, LoadReport
from app.migrations import apply


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    try:
        bind(Settings.from_env())
        with released():
            apply()
            report = _load(options)
    except (ConfigError, InvalidInput, DatabaseUnusable) as error:
        return _fail(str(error))
    except DatabaseUnavailable as error:
        return _fail("The database does not answer: " + " ".join(str(error).split()))
    _print(report)
    if report.is_refusal():
        return _fail("nothing could be loaded: every row is bad")
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="load_csv.py", description="Load CSV files of users, URLs, events and products."
    )
    parser.add_argument(
        "files", nargs="+", help="a CSV file, a .gz of one, or - for standard input"
    )
    parser.add_argument(
        "--strict", action="store_true", help="stop at the first bad row, with nothing loaded"
    )
    return parser.parse_args(arguments)


def _fail(sentence: str) -> int:
    print(f"load_csv.py: {sentence}", file=sys.stderr)
    return 1


def _load(options: argparse.Namespace) -> LoadReport:
    if not sys.stderr.isatty():
        return load(options.files, options.strict)
    try:
        return load(options.files, options.strict, _show_progress)
    finally:
        _show("")


def _show_progress(name: str, rows: int) -> None:
    _show(f"{name}: {rows:,} rows read")


def _show(line: str) -> None:
    """On the terminal's last line, in place of what was shown there before."""
    print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def _print(report: LoadReport) -> None:
    for file in report.files:
        _print_trouble(file)
        there = f" ({file.skipped} were there already)" if file.skipped else ""
        print(f"Loaded {file.created} rows into {file.kind.model}{there}")
    for note in report.notes:
        print(note, file=sys.stderr)
    if report.more_notes:
        print(f"... and {report.more_notes} more like these", file=sys.stderr)
    kinds = [
        kind
        for kind in KINDS
        if kind is not PRODUCTS or any(file.kind is PRODUCTS for file in report.files)
    ]
    print("Loaded " + ", ".join(f"{report.created(kind)} {kind.noun}" for kind in kinds))


def _print_trouble(file: FileReport) -> None:
    for bad in file.errors:
        print(f"{file.name}:{bad.line}: skipped: {bad.reason}", file=sys.stderr)
    if file.failed > len(file.errors):
        print(
            f"{file.name}: ... and {file.failed - len(file.errors)} more bad rows", file=sys.stderr
        )


if __name__ == "__main__":
    sys.exit(main())
