"""Finds and removes what is stored of one visitor, one user or one link, when a person asks for it.

Counters and roll-ups stay: they hold nothing about a person.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from app.database import db
from app.errors import NotFound
from app.models import ApiKey, Audit, Event, Url, User
from app.services import audit, states, tables, urls, users

ERASED_URL = "https://erased.invalid/"
_BATCH = 1000
_WORD, _ADDRESS = re.compile(r"[\w-]+", re.ASCII), re.compile(r"[0-9A-Fa-f:.]+")
Address = IPv4Address | IPv6Address


@dataclass(frozen=True)
class Subject:
    """What a request is about: the events that go, and the user or the link that goes with them.

    `trail`: the rows of the audit trail that tell of it, which stay. `is_in`: whether a text that
    could not be read as a click has its address, or a code of its links.
    """

    events: tables.Conditions
    trail: tables.Conditions
    is_in: Callable[[str], bool]
    is_meant: Callable[[Any], bool] = lambda _event: True
    user: Any = None
    links: tuple[Any, ...] = ()

    def rows(self) -> Iterator[tuple[str, Any]]:
        """All that is stored: names of tables, and their rows."""
        if self.user:
            yield "users", self.user
            bound = tables.read(ApiKey, {"user_id = ?": (self.user.id,)}, "ORDER BY id")
            yield from (("api_keys", key) for key in bound)
        yield from (("urls", link) for link in self.links)
        yield from (("events", event) for event in self._events())

    def erase(self) -> Counter[str]:
        """Removes it; how many rows of each table. A link's code stays: it is never reused."""
        done: Counter[str] = Counter()
        if self.links and not self.user:
            _blank(self.links[0])
            done["urls"] += 1
        batch: list[int] = []
        for event in self._events():
            batch.append(event.id)
            if len(batch) == _BATCH:
                done["events"] += _remove(batch)
                batch = []
        done["events"] += _remove(batch)
        if self.user:
            users.delete(self.user.id, action="erase")
            done += Counter(users=1, urls=len(self.links))
        return done

    def in_trail(self) -> int:
        """How many rows of the audit trail tell of it."""
        return int(tables.select("count(*)", Audit, self.trail).fetchone()[0])

    def _events(self) -> Iterator[Any]:
        last = 0
        while True:
            wanted = {**self.events, "id > ?": (last,)}
            rows = tables.read(Event, wanted, f"ORDER BY id LIMIT {_BATCH}")
            yield from filter(self.is_meant, rows)
            if len(rows) < _BATCH:
                return
            last = rows[-1].id


def _remove(ids: list[int]) -> int:
    return int(Event.delete().where(Event.id.in_(ids)).execute()) if ids else 0


def _blank(link: Any) -> None:
    try:
        urls.delete(link.id, action="erase")
        was_deleted = False
    except NotFound:
        was_deleted = True
    blank = {"original_url": ERASED_URL, "title": None, "expired_url": None, "tags": "[]"}
    with db.atomic():
        if was_deleted:
            audit.note_all([states.changed("erase", link, link)])
        tables.later("DELETE FROM url_tags WHERE url_id = ?", [link.id])
        tables.update_later(Url, link.id, blank)


def of_user(name: str) -> Subject | None:
    """A user by username, or by email in any case, with its links and all events of both."""
    found = tables.read(User, {"username = ?": (name,)}, "") or tables.read(
        User, {"lower(email) = lower(?)": (name,)}, ""
    )
    if not found:
        return None
    user = found[0]
    links = tables.read(Url, {"user_id = ?": (user.id,)}, "ORDER BY id")
    urls_of_user = "IN (SELECT id FROM urls WHERE user_id = ?)"
    own = f"(user_id = ? OR url_id {urls_of_user})"
    trail = f"(kind = 'user' AND subject_id = ? OR kind = 'url' AND subject_id {urls_of_user})"
    both = (user.id, user.id)
    return Subject({own: both}, {trail: both}, _has_code(links), user=user, links=tuple(links))


def of_link(short_code: str) -> Subject | None:
    """A link by its code, deleted or not, with its events."""
    found = tables.read(Url, {"short_code = ?": (short_code,)}, "")
    if not found:
        return None
    trail: tables.Conditions = {"kind = 'url'": (), "subject_id = ?": (found[0].id,)}
    is_in = _has_code(found)
    return Subject({"url_id = ?": (found[0].id,)}, trail, is_in, links=(found[0],))


def _has_code(links: Sequence[Any]) -> Callable[[str], bool]:
    codes = {link.short_code for link in links}
    return lambda text: not codes.isdisjoint(_WORD.findall(text))


def of_address(text: str) -> Subject:
    """The events whose details name this address as `ip`, however it is written.

    Raises ValueError for what is no address.
    """
    address = _plain(text)
    like = " OR ".join(["lower(details) LIKE ?"] * len(_forms(address)))
    patterns = tuple(f'%"{form}%' for form in _forms(address))
    written = (str(address), *_forms(address))
    trail: tables.Conditions = {f"address IN ({tables.marks(written)})": written}
    is_in, is_meant = partial(_has_address, address), partial(_names, address)
    return Subject({f"({like})": patterns}, trail, is_in, is_meant)


def _plain(text: str) -> Address:
    address = ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _forms(address: Address) -> tuple[str, ...]:
    """How the address may begin in details, in lower case: whole or short, also within IPv6."""
    if isinstance(address, IPv4Address):
        mapped = IPv6Address(f"::ffff:{address}")
        return (str(address), f"::ffff:{address}", mapped.exploded, _groups(mapped))
    # Zeros may be left out in several ways: all begin with the first group.
    return (address.exploded[:4].lstrip("0") or ":", address.exploded[:4])


def _groups(address: IPv6Address) -> str:
    return f"::ffff:{int(address) >> 16 & 0xFFFF:x}:{int(address) & 0xFFFF:x}"


def _names(address: Address, event: Any) -> bool:
    with suppress(ValueError, AttributeError, TypeError, RecursionError):
        return _plain(json.loads(event.details).get("ip")) == address
    return False


def _has_address(address: Address, text: str) -> bool:
    """Whether a word of the text is this address, however it is written."""
    for word in _ADDRESS.findall(text):
        with suppress(ValueError):
            if _plain(word) == address:
                return True
    return False
