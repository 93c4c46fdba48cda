"""Loads CSV files and prints the report, for `import` and load_csv.py."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from app import bind
from app.config import ConfigError, Settings
from app.connecting import name_command
from app.database import DatabaseUnavailable, DatabaseUnusable, released
from app.errors import InvalidInput
from app.imports import importing
from app.imports.columns import KINDS, PRODUCTS
from app.imports.report import FileReport, LoadReport
from app.migrations import apply

_SAMPLES = Path(__file__).parents[1] / "seed_data"


def import_files(
    program: str,
    files: tuple[str, ...],
    strict: bool,
    source: str | None = None,
    dry_run: bool = False,
) -> int:
    """Loads the files and prints the report; returns the exit code. Errors begin with `program`."""
    try:
        bind(Settings.from_env())
        name_command()
        with released():
            apply()
            report = _load(files, strict, source, dry_run)
    except (ConfigError, InvalidInput, DatabaseUnusable) as error:
        return _fail(program, f"{error}{_where_samples_are(files)}")
    except DatabaseUnavailable as error:
        return _fail(program, unavailable(error))
    if dry_run:
        click.echo("A dry run: nothing is stored. Without --dry-run:")
    _print(report)
    if report.is_refusal():
        return _fail(program, "nothing could be loaded: every row is bad")
    return 0


def _fail(program: str, sentence: str) -> int:
    click.echo(f"{program}: {sentence}", err=True)
    return 1


def _where_samples_are(files: tuple[str, ...]) -> str:
    missing = [name for name in files if name != "-" and not Path(name).exists()]
    samples = [f"{_SAMPLES.name}/{name}" for name in missing if (_SAMPLES / name).is_file()]
    return f"; there is {', '.join(samples)}" if samples else ""


def _load(files: tuple[str, ...], strict: bool, source: str | None, dry_run: bool) -> LoadReport:
    if not sys.stderr.isatty():
        return importing.load(files, strict, None, source, dry_run)
    try:
        return importing.load(files, strict, _show_progress, source, dry_run)
    finally:
        _show("")


def _show_progress(name: str, rows: int) -> None:
    _show(f"{name}: {rows:,} rows read")


def _show(line: str) -> None:
    """On the terminal's last line, in place of what was shown there before."""
    click.echo(f"\r\x1b[K{line}", nl=False, err=True)


def _print(report: LoadReport) -> None:
    for file in report.files:
        _print_bad_rows(file)
        click.echo(f"Loaded {file.created} rows into {file.kind.model}{_skipped(file)}")
    for note in report.notes:
        click.echo(note, err=True)
    if report.more_notes:
        click.echo(f"... and {report.more_notes} more like these", err=True)
    with_products = any(file.kind is PRODUCTS for file in report.files)
    kinds = [kind for kind in KINDS if kind is not PRODUCTS or with_products]
    click.echo("Loaded " + ", ".join(f"{report.created(kind)} {kind.noun}" for kind in kinds))


def _skipped(file: FileReport) -> str:
    words = {
        "were there already": file.skipped - file.conflicts,
        "have codes of other links": file.conflicts,
    }
    said = ", ".join(f"{count} {why}" for why, count in words.items() if count)
    return f" ({said})" if said else ""


def _print_bad_rows(file: FileReport) -> None:
    for bad in file.taken:
        click.echo(f"{file.name}:{bad.line}: skipped: {bad.reason}: {bad.value}", err=True)
    if file.conflicts > len(file.taken):
        click.echo(f"{file.name}: ... and {file.conflicts - len(file.taken)} more", err=True)
    for bad in file.errors:
        click.echo(f"{file.name}:{bad.line}: skipped: {bad.reason}", err=True)
    if file.failed > len(file.errors):
        more = file.failed - len(file.errors)
        click.echo(f"{file.name}: ... and {more} more bad rows", err=True)


def unavailable(error: DatabaseUnavailable) -> str:
    """One line."""
    return "The database does not answer: " + " ".join(str(error).split())
