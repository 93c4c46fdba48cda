"""The commands of all links: `links FILE` for Nginx, `links ban HOST` and what belongs to it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from app.connecting import connect
from app.database import released
from app.migrations import schema
from app.schemas import listed_host
from app.services import hosts
from app.services.exports import LinksFile
from app.services.files import written_atomically

_LONGEST_REASON = 500


class _Links(click.Group):
    """`links FILE` is `links write FILE`: it was there before there were others."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        given = args if args[0] in self.commands else ["write", *args]
        return super().resolve_command(ctx, given)


@click.group(cls=_Links)
def links() -> None:
    """Write all links for Nginx, or ban hosts that links lead to.

    `links FILE` is short for `links write FILE`.
    """


@links.command()
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
def write(file: Path) -> None:
    """Write all active links for Nginx to serve alone.

    They go into FILE, or to standard output for -. Without any link it fails and leaves FILE as
    it was. deploy/fail-static.conf reads FILE.
    """
    connect()
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
    """An empty file must not replace the last good one after the database was lost."""
    if not links_file.count:
        raise click.ClickException("There are no live links")


def _host(_ctx: click.Context, _parameter: click.Parameter, text: str) -> str:
    try:
        return listed_host(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} {error}") from None


_HOST = click.argument("host", callback=_host)


@links.command()
@_HOST
@click.option("--reason", default="", help="Why, for `links banned`.")
def ban(host: str, reason: str) -> None:
    """Turn off all links to HOST and its subdomains.

    They answer 451 from now on, and no new link may lead there. Again, it repeats its work.
    """
    if len(reason) > _LONGEST_REASON:
        raise click.BadParameter(f"must be at most {_LONGEST_REASON} characters")
    _ready()
    with released():
        is_new = hosts.ban(host, reason)
    click.echo(f"{host} is banned{'' if is_new else ' already'}", err=True)
    _renew(host, "ban", "lead nowhere now")


@links.command()
@_HOST
def unban(host: str) -> None:
    """Turn the links to HOST on again.

    Again, or for a host that was not banned, it repeats its work.
    """
    _ready()
    with released():
        has_ended = hosts.allow(host)
    click.echo(f"{host} {'is banned no more' if has_ended else 'was not banned'}", err=True)
    _renew(host, "unban", "lead where they led, unless another ban has them")


@links.command()
def banned() -> None:
    """List the banned hosts.

    Each line has the host, the day of its ban in UTC and the reason, with tabs between.
    """
    _ready()
    with released():
        for each in hosts.listed():
            click.echo(f"{each.host}\t{str(each.created_at)[:10]}\t{each.reason}")


def _ready() -> None:
    connect()
    schema.apply_unless_lost()


def _renew(host: str, action: str, become: str) -> None:
    """Renews the links to a host, with the number so far on a terminal's last line."""
    done = hosts.Renewed(0, 0)
    for done in hosts.renew(host, action):
        if sys.stderr.isatty():
            click.echo(f"\r\x1b[K{done.links:,} links", nl=False, err=True)
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)
    click.echo(f"{done.links} links to {host} {become}")
    if done.pending:
        click.echo(f"{done.pending} wait until Redis answers again", err=True)
