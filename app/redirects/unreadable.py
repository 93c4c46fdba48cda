"""Copies of stream entries that are no click: keeps them for an update, and removes somebody's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from app.redirects.connection import STREAM, Script, redis_connection

log = logging.getLogger(__name__)

UNREADABLE = "clicks:unreadable"
_KEEP = Script("keep")
_KEEP_SECONDS = 7 * 86400  # an update is done by then, and visitors' data are not kept for ever
_BATCH = 200


def keep_copies(ids: Sequence[bytes]) -> None:
    """Copies entries that are no click: a newer version may be able to read them.

    The drain calls it before it commits and trims: when Redis does not answer, the batch is rolled
    back, and its entries are still in the stream.
    """
    names = [each.decode() for each in ids]
    if refused := redis_connection.run(_KEEP, (STREAM, UNREADABLE), _KEEP_SECONDS, *names):
        log.error("Redis refused to copy %d entries that are no click", refused)


def copies(is_meant: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    """Id and text of each copy whose text `is_meant`; raises RedisUnavailable."""
    last = b"-"
    while last and redis_connection.url:
        entries = redis_connection.call("XRANGE", UNREADABLE, last, "+", "COUNT", _BATCH)
        found = [(entry_id.decode(), _text(fields)) for entry_id, fields in entries]
        yield from (each for each in found if is_meant(each[1]))
        last = b"(" + entries[-1][0] if len(entries) == _BATCH else b""


def _text(fields: Any) -> str:
    return b" ".join(fields).decode(errors="replace")


def remove(copy_id: str) -> None:
    """Removes a copy; raises RedisUnavailable."""
    redis_connection.call("XDEL", UNREADABLE, copy_id)
