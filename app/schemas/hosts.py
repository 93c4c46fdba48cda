"""Lists of hosts: each host stands for itself and its subdomains."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Collection, Iterator
from functools import cache

from publicsuffixlist import PublicSuffixList

from app.schemas.addresses import host_and_port

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_MOST_WARNINGS = 10


def covered(host: str, hosts: Collection[str]) -> bool:
    """Whether `host`, as `host_and_port` spells it, or a domain above it is among `hosts`."""
    return any(name in hosts for name in _and_above(host)) if hosts else False


def _and_above(host: str) -> Iterator[str]:
    yield host
    while dot := host.find(".") + 1:
        host = host[dot:]
        yield host


def listed_host(text: str) -> str:
    """A host that a list may hold, in its normal spelling; raises ValueError with the reason.

    `text` may begin with a wildcard, which says what is meant anyway.
    """
    given = text.strip().removeprefix("*").removeprefix(".")
    is_bare_ipv6 = given.count(":") > 1 and not given.startswith("[")
    try:
        host, port = host_and_port(f"[{given}]" if is_bare_ipv6 else given)
    except ValueError:
        raise ValueError("is not the name of a host") from None
    if port is not None or "@" in given:
        raise ValueError("is not the name of a host alone")
    if _suffixes().is_public(host):
        raise ValueError("is a public suffix: it stands for all who have a name below it")
    return host


@cache
def _suffixes() -> PublicSuffixList:
    """Those of registries. Others, such as of hosters, may be listed; 0.1 s to load."""
    return PublicSuffixList(accept_unknown=False, only_icann=True)


class HostFile:
    """The hosts of a file, one on each line; it is read again within a second of a change."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: tuple[int, ...] = ()
        self._look_at = 0.0
        self._failed = False
        self._hosts: frozenset[str] = frozenset()

    def hosts(self) -> frozenset[str]:
        """The last ones that could be read; lines that are no such hosts are left out."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_SECONDS
            self._look()
        return self._hosts

    def _look(self) -> None:
        try:
            about = os.stat(self._path)
            seen = about.st_mtime_ns, about.st_size, about.st_ino
            if seen != self._seen:
                with open(self._path, encoding="utf-8-sig") as lines:
                    self._hosts = frozenset(self._read(lines))
                self._seen = seen
            self._failed = False
        except (OSError, UnicodeDecodeError) as error:
            if not self._failed:
                log.warning("%s cannot be read, its last list stays: %s", self._path, error)
            self._failed = True

    def _read(self, lines: Iterator[str]) -> Iterator[str]:
        left_out = 0
        for number, line in enumerate(lines, 1):
            text = line.partition("#")[0].strip()
            try:
                if text:
                    yield listed_host(text)
            except ValueError as error:
                left_out += 1
                if left_out <= _MOST_WARNINGS:
                    log.warning("%s:%d: %.100r %s; it is left out", self._path, number, text, error)
        if left_out > _MOST_WARNINGS:
            more = left_out - _MOST_WARNINGS
            log.warning("%s: %d more lines are left out", self._path, more)
