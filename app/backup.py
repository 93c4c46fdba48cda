"""What operators type to save and bring back the database that the settings name: `python -m app.backup dump | restore | settle`.

Not commands of Flask, because the application makes its tables when it is created, and a restore needs a database that has none.
"""

from __future__ import annotations

from pathlib import Path

import click

from app import bind
from app.config import Settings
from app.database import DatabaseUnavailable, exit_if_unusable
from app.services import backups


class Commands(click.Group):
    """Failures that an operator can do something about are one line."""

    def invoke(self, ctx: click.Context) -> None:
        try:
            super().invoke(ctx)
        except backups.Refused as error:
            raise click.ClickException(str(error)) from None
        except OSError as error:
            raise click.ClickException(str(error)) from None
        except DatabaseUnavailable as error:
            raise click.ClickException(
                "The database does not answer: " + " ".join(str(error).split())
            ) from None


@click.group(cls=Commands)
def main() -> None:
    """Save the database, or bring it back."""
    settings = Settings.or_exit()
    exit_if_unusable(settings.database_url)
    bind(settings)


@main.command("dump")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def dump(file: Path) -> None:
    """Write the whole database into FILE, while everything goes on."""
    backups.dump(file)
    click.echo(f"Wrote {file}, {file.stat().st_size:,} bytes")


@main.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def restore(file: Path) -> None:
    """Load FILE into an empty database and settle it; server and worker must not run."""
    backups.restore(file)
    click.echo(f"Loaded {file}")
    _settle()


@main.command("settle")
def settle() -> None:
    """What `restore` does last: migrations, Redis, and the clicks that it still keeps."""
    _settle()


def _settle() -> None:
    done = backups.settle()
    click.echo("Applied " + ", ".join(done.applied) if done.applied else "The schema is up to date")
    click.echo(
        f"Redis forgot {done.forgotten} entries; {done.replayed} clicks that it kept are stored; {done.warmed} links are in the cache"
    )


if __name__ == "__main__":
    main()
