"""Lets a command use the database and the Redis of the environment's settings."""

from __future__ import annotations

import time

import click

from app import bind
from app.access import COMMAND, calling
from app.config import Settings
from app.database import DatabaseUnavailable, exit_if_unusable
from app.migrations import is_current

_SECONDS_BETWEEN_LOOKS = 1


def connect() -> Settings:
    """Exits when a setting is wrong or the database can never be used."""
    settings = Settings.or_exit()
    exit_if_unusable(settings.database_url)
    bind(settings)
    name_command()
    return settings


def name_command() -> None:
    """Lets the audit trail name the command in place of a request."""
    context = click.get_current_context(silent=True)
    if context is not None:
        words = ["holdfast", *context.command_path.split()[1:]]
        context.with_resource(calling(COMMAND._replace(request_id=" ".join(words))))


def wait_for_schema() -> None:
    """Returns once the schema is up to date, also of a database that is unavailable first."""
    said = ""
    while (missing := _missing()) != "":
        if missing != said:
            click.echo(f"Waiting: {missing}")
        said = missing
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    click.echo("The schema is up to date")


def _missing() -> str:
    try:
        return "" if is_current() else "the schema is not up to date"
    except DatabaseUnavailable:
        return "the database does not answer"
