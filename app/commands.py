"""What operators type: `flask --app app migrate | seed | warm-up | links export`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from flask import Flask
from flask.cli import AppGroup

from app.database import DatabaseUnavailable
from app.imports import seeding
from app.migrations import Lost, schema
from app.services import urls
from app.services.exports import LinksFile
from app.services.files import written_atomically


class Command(click.Command):
    """A command whose failure is one line when the database is unavailable."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except DatabaseUnavailable as error:
            raise click.ClickException(f"The database is unavailable: {error}") from None


def install(app: Flask) -> None:
    @app.cli.command("migrate", cls=Command)
    def migrate() -> None:
        """Bring the database's schema up to date."""
        try:
            names = schema.apply_unless_lost()
        except Lost as error:
            raise click.ClickException(f"The database was lost: {error}") from None
        click.echo("Applied " + ", ".join(names) if names else "The schema is up to date")

    @app.cli.command("seed", cls=Command)
    def seed() -> None:
        """Load the sample data, unless it was ever loaded or there are other rows."""
        click.echo(
            "Loaded the sample data"
            if seeding.seed_once()
            else "Nothing to do: the database is not empty"
        )

    @app.cli.command("warm-up", cls=Command)
    def warm_up() -> None:
        """Put all active links into Redis."""
        click.echo(f"Put {urls.warm_up()} links into the cache")

    app.cli.add_command(links)


links = AppGroup("links", help="What concerns all short links.")


@links.command("export", cls=Command)
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
def export_links(file: Path) -> None:
    """Write all live links into FILE (- for standard output), for Nginx to serve alone; none at all is a failure, and FILE stays as it was."""
    links_file = LinksFile()
    if file == Path("-"):
        for line in links_file.lines():
            click.echo(line, nl=False)
        _refuse_none(links_file)
    else:
        with written_atomically(file, 0o644) as part:
            with part.open("w", encoding="ascii") as writing:
                writing.writelines(links_file.lines())
            _refuse_none(links_file)
    click.echo(f"Wrote {links_file.count} links", err=True)


def _refuse_none(links_file: LinksFile) -> None:
    """An empty list would take the place of the last good one when the database was lost."""
    if not links_file.count:
        raise click.ClickException("There are no live links")
