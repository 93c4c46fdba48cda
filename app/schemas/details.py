"""An event's details as JSON text: as they come in files, are stored, and are shown again."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import to_json

from app.schemas.checking import load_object
from app.schemas.rules import LARGEST_DETAILS, check_storable

_SURELY_SMALL = 3000
"""So many characters of stored details are less than the limit when they are written out again."""

LONGEST_STORED_DETAILS = 3 * LARGEST_DETAILS
"""Details of the largest size take no more characters than this where they are stored: \\u00e9 stands for two bytes."""

_SHOWN_OF_CUT = 1000


def shown_details(stored: str) -> dict[str, Any]:
    """Stored details; of what is too large, or no JSON object, the beginning, under `cut`."""
    if len(stored) > LONGEST_STORED_DETAILS:
        return _cut(stored)
    try:
        details = load_object(stored)
        if len(stored) > _SURELY_SMALL or "\\ud" in stored:
            return details if len(to_json(details)) <= LARGEST_DETAILS else _cut(stored)
    except ValueError:  # nothing that came in by way of the service
        return _cut(stored)
    return details


def _cut(stored: str) -> dict[str, Any]:
    return {"cut": True, "beginning": stored[:_SHOWN_OF_CUT].encode("utf-8", "replace").decode()}


def details_text(text: str) -> str:
    """A JSON object as it is; what is none, or cannot be stored, is kept as the text it was.

    Raises ValueError when it is too large.
    """
    if len(text) > LONGEST_STORED_DETAILS:
        raise ValueError(_TOO_LARGE)
    try:
        details = load_object(text)
        if not _is_simple(text):
            check_storable(details)
    except ValueError:
        details, text = _raw(text)
    if len(text) > _SURELY_SMALL and len(to_json(details)) > LARGEST_DETAILS:
        raise ValueError(_TOO_LARGE)
    return text


def _raw(text: str) -> tuple[dict[str, Any], str]:
    """What is no JSON object is the only value of one."""
    details = {"raw": text}
    return details, json.dumps(details)


def _is_simple(text: str) -> bool:
    """Whether there can be nothing in this JSON object that could not be stored."""
    shallow = text.count("{") + text.count("[") <= _SURELY_SHALLOW
    return shallow and "\\u" not in text


_SURELY_SHALLOW = 10
_TOO_LARGE = "must be at most 16 KiB as JSON"
