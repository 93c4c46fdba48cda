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
        self._blocked = HostFile(blocked).hosts if blocked else frozenset
        self._allowed = HostFile(allowed).hosts if allowed else None
        self._refuses_private = refuses_private
        self._banned = banned
        self.refusal("https://example.com/")  # reads the files: what is wrong is logged now

    def refusal(self, address: str) -> str:
        """Why no new link may lead to this web address; "" when one may."""
        blocked, banned = self._blocked(), self._banned()
        allowed = self._allowed() if self._allowed else None
        if not (self._refuses_private or blocked or banned or self._allowed):
            return ""
        host = host_of(address)
        if covered(host, banned):
            return "leads to a host that is banned"
        if covered(host, blocked):
            return "leads to a host that is blocked"
        if allowed is not None:  # the list may name private hosts
            return "" if covered(host, allowed) else "leads to a host that is not allowed"
        if self._refuses_private and is_private(host):
            return "must not lead to a private address"
        return ""

    def takes_all(self, lines: str) -> bool:
        """Whether links may lead to all of these web addresses, each of which is a line."""
        hosts = set(_HOSTS.findall(lines))
        return not any(self.refusal(f"http://{host}") for host in hosts)


destinations = Destinations()
