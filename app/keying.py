"""The commands of `keys`. A secret is alone on standard output; what is said of it on the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import click

from app.config import Settings
from app.connecting import connect
from app.database import now, released
from app.errors import ApiError, Conflict
from app.migrations import schema
from app.schemas import KEY_SCOPES, KeyCreate, check
from app.services import keys as service
from app.services.keysecrets import Secret

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_HEADING = ("ID", "NAME", "SCOPE", "USER", "EXPIRES", "LAST USED", "STATE")


@click.group()
def keys() -> None:
    """Make, list, revoke and rotate API keys."""


@keys.command()
@click.argument("name")
@click.option("--scope", type=click.Choice(KEY_SCOPES), required=True, help="What it may do.")
@click.option("--user", type=int, help="The id of the user whose links alone it sees and changes.")
@click.option("--expires", help="In how long, such as 30m, 12h, 90d or 8w; without: never.")
def create(name: str, scope: str, user: int | None, expires: str | None) -> None:
    """Make a key and print its secret, which is shown this once."""
    with _connected():
        schema.apply_unless_lost()
        given = {"name": name, "scope": scope, "user_id": user, "expires_at": _end(expires)}
        key, secret = service.create(check(KeyCreate, given))
        _show(secret, f"Made the key {key.name} with the id {key.id}. Its secret, shown this once:")


@keys.command("list")
def list_keys() -> None:
    """Print all keys, also revoked ones."""
    with _connected():
        lines = [_HEADING, *map(_line, service.each())]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())


@keys.command()
@click.argument("name_or_id")
def revoke(name_or_id: str) -> None:
    """End a key: no replica accepts it after a second."""
    with _connected():
        key = service.named(name_or_id)
        service.revoke(key.id)
        click.echo(f"Revoked the key {key.name}", err=True)


@keys.command()
@click.argument("name_or_id")
def rotate(name_or_id: str) -> None:
    """Give a key a new secret and print it; the old one works for one more day."""
    with _connected():
        key, secret = service.rotate(service.named(name_or_id).id)
        said = f"The old secret of the key {key.name} works until {key.old_until:%FT%T} (UTC)."
        _show(secret, f"{said} The new one, shown this once:")


def make_first(settings: Settings) -> None:
    """Where keys are asked for and none was ever made, makes an admin key and prints it."""
    with released():
        if settings.auth == "off" or any(service.each()):
            return
        try:
            _, secret = service.create(check(KeyCreate, {"name": "admin", "scope": "admin"}))
        except Conflict:
            return  # another process has made it at this moment
    _show(secret, "The first API key, admin. Its secret, shown this once:")


@contextmanager
def _connected() -> Iterator[None]:
    connect()
    with released():
        try:
            yield
        except ApiError as error:
            raise click.ClickException(error.message) from None


def _show(secret: Secret, words: str) -> None:
    click.echo(words, err=True)
    click.echo(secret.text)


def _end(after: str | None) -> str | None:
    if after is None:
        return None
    found = re.fullmatch(f"([0-9]{{1,5}})([{''.join(_UNITS)}])", after)
    if not found:
        raise click.BadParameter("must be such as 30m, 12h, 90d or 8w", param_hint="--expires")
    return f"{now() + timedelta(**{_UNITS[found[2]]: int(found[1])}):%FT%TZ}"


def _line(key: Any) -> tuple[str, ...]:
    times = _text(key.expires_at), _text(key.used_at)
    user = "-" if key.user_id is None else str(key.user_id)
    return str(key.id), key.name, key.scope, user, *times, _state(key, now())


def _text(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment:%FT%T}"


def _state(key: Any, moment: datetime) -> str:
    if key.revoked_at is not None:
        return f"revoked {_text(key.revoked_at)}"
    if key.expires_at is not None and key.expires_at <= moment:
        return "expired"
    if key.old_until is not None and key.old_until > moment:
        return f"old secret works until {_text(key.old_until)}"
    return "valid"
