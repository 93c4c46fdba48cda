"""API keys: what is accepted to make one, and what is shown of it."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator

from app.schemas.inputs import Body
from app.schemas.linkrules import FutureMoment
from app.schemas.outputs import Out, reader
from app.schemas.rules import Text, Timestamp, padded, refuse

Scope = Literal["create", "read", "write", "admin"]
KEY_SCOPES: tuple[str, ...] = get_args(Scope)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NO_NUMBER = re.compile(r"[^0-9\s]")
_PRINTED = r"[^\x00-\x1f\x7f-\x9f]*"
NAME_PATTERN = padded(rf"{_PRINTED}(?:[^\x00-\x1f\x7f-\x9f\s0-9]|\ufeff){_PRINTED}")


def _name(text: str) -> str:
    if _CONTROL.search(text):
        raise refuse("must not contain control characters")
    if not _NO_NUMBER.search(text):
        raise refuse("must not be a number: it would look like an id")
    return text


KeyName = Annotated[str, Text(100, "deploy", _name, NAME_PATTERN)]
_BOUND = "A key that sees and changes this user's links only; not with the scope admin"
_FORM = "^holdfast_[0-9A-Za-z]{49}$"


class KeyCreate(Body):
    name: KeyName
    scope: Scope
    user_id: int | None = Field(None, description=_BOUND)
    expires_at: FutureMoment | None = None

    @field_validator("user_id")
    @classmethod
    def _of_no_admin(cls, user_id: int | None, info: ValidationInfo) -> int | None:
        if user_id is not None and info.data.get("scope") == "admin":
            raise refuse("a key with the scope admin belongs to no user")
        return user_id


class Key(Out):
    """What is shown of a key; `old_until`: how long the secret before its rotation works."""

    id: int
    name: str
    scope: Scope
    user_id: int | None
    created_at: Timestamp
    expires_at: Timestamp | None
    revoked_at: Timestamp | None
    used_at: Timestamp | None = Field(description="UTC, to the hour")
    old_until: Timestamp | None = Field(description="UTC; until then the old secret works too")


class NewKey(Key):
    """A key with its secret, which is shown this once."""

    key: str = Field(description="The secret, shown this once", pattern=_FORM)


show_key = reader(Key)


def show_new_key(row: Any, secret: str) -> dict[str, Any]:
    return show_key(row) | {"key": secret}
