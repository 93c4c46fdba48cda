"""Runs Lua scripts in Redis by their names, and tells it those that it does not know."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import redis


@lru_cache
def _name(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()


def run(client: redis.Redis, script: str, arguments: Sequence[str | int]) -> Any:
    """By a connection of the pool itself: what the client does around a command costs as much as the command."""
    connection = client.connection_pool.get_connection()
    try:
        try:
            return _ask(connection, "EVALSHA", _name(script), *arguments)
        except redis.exceptions.NoScriptError:
            return _ask(connection, "EVAL", script, *arguments)
    finally:
        client.connection_pool.release(connection)


def _ask(connection: Any, *command: str | int) -> Any:
    connection.send_command(*command)
    return connection.read_response()


def run_all(
    client: redis.Redis, script: str, calls: Iterable[tuple[Sequence[str], Sequence[str | int]]]
) -> None:
    """All in one write, so that a Redis that hangs at this moment still does it first of all when it goes on."""
    pipeline = client.pipeline(transaction=False)
    pipeline.script_load(script)
    for keys, values in calls:
        pipeline.evalsha(_name(script), len(keys), *keys, *values)
    pipeline.execute()
