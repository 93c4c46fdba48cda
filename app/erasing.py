"""Prints what `erase` finds or removes: rows as JSON on standard output, the sums on the other."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from app.database import released, without_timeouts
from app.redirects import unreadable
from app.redirects.connection import RedisUnavailable
from app.redirects.drain import drain
from app.redirects.visits import shortened
from app.services import erasure
from app.services.erasure import Subject

_HASHES = ("hash", "old_hash")  # of an API key's secrets: nobody's data


def erase(address: str, user: str, link: str, apply: bool) -> None:
    """Of the first three exactly one must be given. Without `apply` nothing changes."""
    if sum(map(bool, (address, user, link))) != 1:
        raise click.UsageError("Give one of --address, --user and --link")
    with released(), without_timeouts(), _redis_answers():
        drain.run_wholly()  # clicks that wait in Redis belong to it
        subject = _subject(address, user, link)
        in_trail, what = subject.in_trail(), "Removed" if apply else "Would remove"
        copies = list(unreadable.copies(subject.is_in))
        _say_copies(what, copies, apply)
        _say(what, subject.erase() if apply else _show(subject))
        if in_trail:
            click.echo(f"{in_trail} rows of the audit trail stay: docs/privacy.md", err=True)
        if address:
            _say_of_network(address)


def _show(subject: Subject) -> Counter[str]:
    found: Counter[str] = Counter()
    for table, row in subject.rows():
        found[table] += 1
        shown = {name: value for name, value in row._asdict().items() if name not in _HASHES}
        click.echo(json.dumps({"table": table, **shown}, default=str))
    return found


def _say_copies(what: str, copies: Sequence[tuple[str, str]], apply: bool) -> None:
    """Shows or removes the copies of unreadable stream entries that tell of it."""
    for copy_id, text in copies:
        if apply:
            unreadable.remove(copy_id)
        else:
            click.echo(json.dumps({"table": unreadable.UNREADABLE, "id": copy_id, "text": text}))
    if copies:
        click.echo(f"{what} {len(copies)} copies of unreadable stream entries", err=True)


@contextmanager
def _redis_answers() -> Iterator[None]:
    try:
        yield
    except RedisUnavailable:
        said = "Redis does not answer, and clicks may wait in it: try again"
        raise click.ClickException(said) from None


def _subject(address: str, user: str, link: str) -> Subject:
    if address:
        try:
            return erasure.of_address(address)
        except ValueError:
            raise click.ClickException(f"{address} is no IP address") from None
    subject = erasure.of_user(user) if user else erasure.of_link(link)
    if subject is None:
        raise click.ClickException(f"There is no {'user' if user else 'link'} {user or link}")
    return subject


def _say(what: str, rows: Counter[str]) -> None:
    sums = ", ".join(f"{rows[table]} {table}" for table in ("users", "urls", "events"))
    more = "" if what == "Removed" else "; --apply does it"
    click.echo(f"{what} {sums}{more}. Counters and statistics stay", err=True)


def _say_of_network(address: str) -> None:
    """A shortened address cannot be told from its neighbours'."""
    network = shortened(address)
    if network == address:
        return
    alike = sum(1 for _ in erasure.of_address(network).rows())
    if alike:
        click.echo(
            f"{alike} events have the shortened address {network}, which many visitors share: "
            f"--address {network} means all of them",
            err=True,
        )
