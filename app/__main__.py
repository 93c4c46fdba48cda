"""The commands: `python -m app COMMAND`, which is also `.venv/bin/holdfast COMMAND`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from app import erasing, keying, start_log
from app.config import ConfigError, Settings, read_env_file
from app.connecting import connect as _connect
from app.connecting import wait_for_schema
from app.database import DatabaseUnavailable
from app.imports import exporting, seeding
from app.linkcommands import links
from app.loading import import_files, unavailable
from app.migrations import Lost, indexes, schema
from app.redirects.connection import redis_connection
from app.schemas import SOURCES
from app.services import backups, urls
from app.worker import Worker

_FILE = click.Path(dir_okay=False, path_type=Path)


class Commands(click.Group):
    """Lists the commands in the order of this file; what an operator can mend is one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (backups.Refused, ConfigError, OSError) as error:
            raise click.ClickException(str(error)) from None
        except Lost as error:
            raise click.ClickException(f"The database was lost: {error}") from None
        except DatabaseUnavailable as error:
            raise click.ClickException(unavailable(error)) from None


@click.group(cls=Commands)
@click.option(
    "--env-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="Read settings that the environment does not have from this file.",
)
def main(env_file: tuple[Path, ...]) -> None:
    """Holdfast, a URL shortener. Settings are environment variables: .env.example has them all."""
    for path in env_file:
        read_env_file(path)


@main.command()
def serve() -> None:
    """Serve HTTP.

    It runs until SIGTERM or Ctrl-C, and brings the database's schema up to date first.
    """
    become_gunicorn()


def become_gunicorn(*options: str) -> None:
    """Replaces this process, so that signals reach Gunicorn and its exit code is ours."""
    gunicorn = [sys.executable, "-m", "gunicorn", "-c", "python:app.serving"]
    os.execv(sys.executable, [*gunicorn, *options])


@main.command()
def worker() -> None:
    """Move clicks from Redis into the database.

    It runs until SIGTERM. Servers that share a Redis need one.
    """
    settings = _connect()
    _require_redis(settings, "The worker")
    start_log(settings)
    Worker().run()


@main.command()
@click.option("--wait", is_flag=True, help="Change nothing; wait until another process has.")
def migrate(wait: bool) -> None:
    """Bring the database's schema up to date.

    With AUTO_SEED=true it also loads the sample data. Where AUTH asks for keys and there is none,
    it makes one for an admin and prints it.
    """
    settings = _connect()
    if wait:
        wait_for_schema()
        return
    _echo_applied(schema.apply_unless_lost())
    for name in indexes.build():
        click.echo(f"Built the index {name}")
    if settings.auto_seed and seeding.seed_once():
        click.echo("Loaded the sample data")
    keying.make_first(settings)


@main.command()
def seed() -> None:
    """Load the sample data into an empty database."""
    _connect()
    schema.apply_unless_lost()
    loaded = seeding.seed_once()
    click.echo("Loaded the sample data" if loaded else "Nothing to do: the database is not empty")


@main.command("import")
@click.argument("files", nargs=-1, required=True)
@click.option("--strict", is_flag=True, help="Stop at the first bad row, with nothing loaded.")
@click.option("--dry-run", is_flag=True, help="Report everything, store nothing.")
@click.option("--source", type=click.Choice(SOURCES), help="The system whose links these are.")
def import_command(files: tuple[str, ...], strict: bool, dry_run: bool, source: str | None) -> None:
    """Load files.

    FILES hold users, URLs, events or products as CSV: plain, .gz, or - for standard input. With
    --source they are another system's links. Their order does not matter. Rows that the database
    has already are skipped.
    """
    sys.exit(import_files("import", files, strict, source, dry_run))


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def export(folder: Path) -> None:
    """Write the tables as CSV files that `import` reads.

    FOLDER gets users.csv, urls.csv, events.csv and products.csv, all of one moment. Deleted links
    are left out; `backup` keeps everything.
    """
    _connect()
    for name, count in exporting.export(folder).items():
        click.echo(f"Wrote {folder / name}, {count} rows")


@main.command()
@click.option("--address", default="", help="Events that have this IP address.")
@click.option("--user", default="", help="A user, by email or username, with links and events.")
@click.option("--link", default="", help="A link, by its short code, with its events.")
@click.option("--apply", is_flag=True, help="Remove it; without, only print it.")
def erase(address: str, user: str, link: str, apply: bool) -> None:
    """Remove what is stored of a visitor, a user or a link.

    Without --apply it changes nothing and prints each row as JSON. docs/privacy.md has more.
    """
    _connect()
    erasing.erase(address, user, link, apply)


main.add_command(keying.keys)


@main.command("warm-up")
def warm_up() -> None:
    """Put all active links into Redis."""
    _require_redis(_connect(), "A warm-up")
    count = urls.warm_up()
    if redis_connection.state() != "connected":
        raise click.ClickException(f"Redis does not answer; it has taken {count} links")
    click.echo(f"Put {count} links into the cache")


main.add_command(links)


@main.command()
@click.argument("file", type=_FILE)
def backup(file: Path) -> None:
    """Write the whole database into a file.

    Servers and worker may run meanwhile.
    """
    _connect()
    backups.dump(file)
    click.echo(f"Wrote {file}, {file.stat().st_size:,} bytes")


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def restore(file: Path) -> None:
    """Load a backup into an empty database.

    Stop servers and worker first. `settle` is the last part of it.
    """
    _connect()
    backups.restore(file)
    click.echo(f"Loaded {file}")
    _settle()


@main.command()
def settle() -> None:
    """Make everything fit a restored database.

    It applies migrations, replaces the links that Redis holds, and stores the clicks that Redis
    keeps.
    """
    _connect()
    _settle()


def _settle() -> None:
    done = backups.settle()
    _echo_applied(done.applied)
    click.echo(
        f"Deleted {done.deleted} keys of Redis; stored {done.replayed} clicks that it kept; "
        f"put {done.warmed} links into the cache"
    )


def _require_redis(settings: Settings, what: str) -> None:
    if not settings.redis_url:
        raise click.ClickException(f"{what} needs Redis, and REDIS_URL is not set")


def _echo_applied(names: list[str]) -> None:
    click.echo("Applied " + ", ".join(names) if names else "The schema is up to date")


if __name__ == "__main__":
    main(prog_name="holdfast")
