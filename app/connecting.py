"""Lets a command use the database and the Redis of the environment's settings."""

from __future__ import annotations

from app import bind
from app.config import Settings
from app.database import exit_if_unusable


def connect() -> Settings:
    """Exits when a setting is wrong or the database can never be used."""
    settings = Settings.or_exit()
    exit_if_unusable(settings.database_url)
    bind(settings)
    return settings
