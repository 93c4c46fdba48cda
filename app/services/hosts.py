"""Bans hosts: while one is banned, no new link leads to it, and existing links answer 451."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from app import database
from app.database import db, dialect, now, released, without_timeouts
from app.models import Url
from app.redirects.bans import FRESH_SECONDS, bans
from app.redirects.links import add_pending, deliver, link_of
from app.schemas import covered, host_of
from app.services import audit, states, tables

_BATCH = 500
_LIVE = "deleted_at IS NULL"


class Ban(NamedTuple):
    host: str
    reason: str
    created_at: Any


def listed() -> list[Ban]:
    """All bans, by host."""
    sql = "SELECT host, reason, created_at FROM banned_hosts ORDER BY host"
    return [Ban(*row) for row in tables.execute(sql, []).fetchall()]


def ban(host: str, reason: str) -> bool:
    """Bans a host as `listed_host` spells it; whether it was not banned before.

    New links to it are refused within a second. For existing ones there is `renew`.
    """
    sql = "INSERT INTO banned_hosts (host, reason, created_at) VALUES (?, ?, ?)"
    with db.atomic():
        made = tables.execute(f"{sql} ON CONFLICT (host) DO NOTHING", [host, reason, now()])
        if made.rowcount:
            audit.note("ban", "host", None, None, {"host": host, "reason": reason})
        return bool(made.rowcount)


def allow(host: str) -> bool:
    """Ends the ban of a host; whether there was one."""
    with db.atomic():
        gone = tables.execute("DELETE FROM banned_hosts WHERE host = ?", [host])
        if gone.rowcount:
            audit.note("unban", "host", None, {"host": host}, None)
        return bool(gone.rowcount)


class Renewed(NamedTuple):
    """How many links so far, and how many of them Redis has not confirmed yet."""

    links: int
    pending: int


def renew(host: str, action: str) -> Iterator[Renewed]:
    """Tells Redis anew of all links to a host and its subdomains; yields after each batch.

    `action`: what the audit trail says of each, ban or unban.

    What Redis holds was put there by a process that may not have known of the change. So this
    first waits until all know it, and until links are stored whose making or change began before.
    """
    time.sleep(1.2 * FRESH_SECONDS)
    with released(), without_timeouts():
        bans.forget()
        with db.atomic():
            database.lock("hosts")
        done, locked = Renewed(0, 0), []
        for ids in _links_to(host):
            changed, pending = _renew(ids, action, "SKIP LOCKED")
            locked += sorted(set(ids) - changed)
            done = Renewed(done.links + len(changed), done.pending + pending)
            yield done
        # One at a time: to wait with other rows locked could be a deadlock.
        for one in locked:
            changed, pending = _renew([one], action)
            done = Renewed(done.links + len(changed), done.pending + pending)
        yield done


def _links_to(host: str) -> Iterator[list[int]]:
    """The ids of the links to a host, or that lead there once they have expired."""
    last = 0
    while True:
        wanted: tables.Conditions = {"id > ?": (last,), _LIVE: (), **_candidates(host)}
        what = "id, original_url, expired_url"
        rows = tables.select(what, Url, wanted, f"ORDER BY id LIMIT {_BATCH}").fetchall()
        ids = [row[0] for row in rows if _leads_to(row[1:], host)]
        if ids:
            yield ids
        if len(rows) < _BATCH:
            return
        last = rows[-1][0]


def _leads_to(addresses: Sequence[str | None], host: str) -> bool:
    return any(covered(host_of(address), (host,)) for address in addresses if address)


def _candidates(host: str) -> tables.Conditions:
    """What is true of all links to a host: a name is in the URL, or spelled beyond ASCII."""
    if host.startswith("[") or host.rpartition(".")[2].isdigit():
        return {}  # an IP address has too many spellings
    columns, pattern = ("original_url", "expired_url"), "%" + host.replace("_", r"\_") + "%"
    like = [f"lower({name} {dialect().text}) LIKE ? ESCAPE '\\'" for name in columns]
    odd = [f"{dialect().octets.format(name)} > length({name})" for name in columns]
    return {f"({' OR '.join((*like, *odd))})": (pattern, pattern)}


def _renew(ids: Sequence[int], action: str, lock: str = "") -> tuple[set[int], int]:
    """Gives links a new version; which ones, and how many of them Redis has not confirmed."""
    lock = f"FOR NO KEY UPDATE {lock}" if dialect().locks_rows else ""
    with db.atomic():
        which: tables.Conditions = {f"id IN ({tables.marks(ids)})": tuple(ids), _LIVE: ()}
        rows = tables.read(Url, which, f"ORDER BY id {lock}")
        found = [row.id for row in rows]
        if not found:
            return set(), 0
        sql = ("UPDATE urls SET version = version + 1 WHERE id IN (", tables.marks(found), ")")
        tables.later("".join(sql), found)
        newer = [row._replace(version=row.version + 1) for row in rows]
        pairs = zip(rows, newer, strict=True)
        audit.note_all([states.changed(action, old, new) for old, new in pairs])
        updates = add_pending([(row.short_code, link_of(row)) for row in newer])
    return set(found), len(updates) - deliver(updates)
