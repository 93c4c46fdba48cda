"""The rules of what lists are filtered by: ids, and texts to search for."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, WithJsonSchema

from app.schemas.rules import LARGEST_ID, Text, refuse

_IDS = {"type": "string", "pattern": "^[0-9]+(,[0-9]+)*$", "examples": ["1,2"]}


def _ids(value: Any) -> tuple[int, ...]:
    """Numbers of any size; those that are no ids are dropped."""
    if not re.fullmatch("[0-9]+(,[0-9]+)*", str(value)):
        raise refuse("must be ids such as 1,2")
    numbers = {int(text) for text in str(value).split(",") if len(text.lstrip("0")) < 20}
    return tuple(sorted(number for number in numbers if 1 <= number <= LARGEST_ID))


Ids = Annotated[tuple[int, ...], BeforeValidator(_ids), WithJsonSchema(_IDS)]
Search = Annotated[str, Text(200, "example")]
UrlOrder = Literal["id", "-id", "created_at", "-created_at", "clicks", "-clicks", "title", "-title"]
