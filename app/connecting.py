"""Lets a command use the database and the Redis of the environment's settings."""

from __future__ import annotations

import click

from app import bind
from app.access import COMMAND, calling
from app.config import Settings
from app.database import exit_if_unusable


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
