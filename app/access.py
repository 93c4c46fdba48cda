"""Who asks: the caller of the running request or command, which decides what it may see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import NamedTuple

SCOPES = ("create", "read", "write", "admin")
"""Of keys: to make links and see them; to read all; to change all; everything."""


class Caller(NamedTuple):
    """`key_id` and `key` name the API key. `user_id`: a key that is bound to this user."""

    scope: str = "admin"  # "" is nobody: a request without a key, where AUTH asks for one
    key_id: int | None = None
    key: str = ""
    user_id: int | None = None
    address: str = ""
    request_id: str = ""

    @property
    def sees_addresses(self) -> bool:
        """Whether it may read the addresses of visitors."""
        return self.scope == "admin"

    @property
    def only_key_id(self) -> int | None:
        """The only key whose links it sees, where it sees no others."""
        return self.key_id if self.scope == "create" else None


COMMAND = Caller()
"""May do everything, as may everybody where AUTH is off."""
NOBODY = Caller(scope="")
"""A request without a key, where AUTH asks for keys: it may do what is public."""
_caller: ContextVar[Caller] = ContextVar("caller", default=COMMAND)


def caller() -> Caller:
    return _caller.get()


def enter(who: Caller) -> Token[Caller]:
    """What this thread does from now on is done for this caller, until `leave`."""
    return _caller.set(who)


def leave(token: Token[Caller]) -> None:
    _caller.reset(token)


@contextmanager
def calling(who: Caller) -> Iterator[None]:
    """The block is done for this caller."""
    token = enter(who)
    try:
        yield
    finally:
        leave(token)
