"""Where new links may lead: not to hosts that the operator refuses, nor to private ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from app.schemas.addresses import host_of
from app.schemas.hosts import HostFile, covered
from app.schemas.private import is_private

_HOSTS = re.compile("//([^/\n]*)")

Hosts = Callable[[], Collection[str]]


class Destinations:
    """The operator's choice, for this process; until it is bound, links may lead anywhere."""

    def __init__(self) -> None:
        self._allowed: Hosts | None = None
        self._blocked: Hosts = frozenset
        self._banned: Hosts = frozenset
        self._refuses_private = False

    def bind(self, blocked: str, allowed: str, refuses_private: bool, banned: Hosts) -> None:
        """`blocked` and `allowed` are paths of files of hosts, or nothing."""
        self._blocked = _hosts_of(blocked) if blocked else frozenset
        self._allowed = _hosts_of(allowed) if allowed else None
        self._refuses_private = refuses_private
        self._banned = banned

    def refusal(self, address: str) -> str:
        """Why no new link may lead to this web address; "" when one may."""
        return "" if self._takes_any() else self._refusal_of(host_of(address))

    def _takes_any(self) -> bool:
        return not (self._refuses_private or self._allowed or self._blocked() or self._banned())

    def _refusal_of(self, host: str) -> str:
        if covered(host, self._banned()):
            return "leads to a host that is banned"
        if covered(host, self._blocked()):
            return "leads to a host that is blocked"
        if self._allowed:  # the list may name private hosts
            return "" if covered(host, self._allowed()) else "leads to a host that is not allowed"
        if self._refuses_private and is_private(host):
            return "must not lead to a private address"
        return ""

    def takes_all(self, lines: str) -> bool:
        """Whether links may lead to all of these web addresses, each of which is a line."""
        if self._takes_any():
            return True
        return not any(self.refusal(f"http://{host}") for host in set(_HOSTS.findall(lines)))


def _hosts_of(path: str) -> Hosts:
    """Reads the file now, so that a start logs what is wrong with it."""
    file = HostFile(path)
    file.hosts()
    return file.hosts


destinations = Destinations()
