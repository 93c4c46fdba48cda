"""What operators type: `flask --app app migrate | seed | warm-up`."""

from __future__ import annotations

import click
from flask import Flask

from app import migrations
from app.services import seeding, urls


def install(app: Flask) -> None:
    @app.cli.command("migrate")
    def migrate() -> None:
        """Bring the database's schema up to date."""
        names = migrations.apply()
        click.echo("Applied " + ", ".join(names) if names else "The schema is up to date")

    @app.cli.command("seed")
    def seed() -> None:
        """Load the sample data, unless it was ever loaded or there are other rows."""
        click.echo("Loaded the sample data" if seeding.seed_once() else "Nothing to do: the database is not empty")

    @app.cli.command("warm-up")
    def warm_up() -> None:
        """Put all active links into Redis."""
        click.echo(f"Put {urls.warm_up()} links into the cache")
