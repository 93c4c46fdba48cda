"""An event's details as JSON text: read from files, stored, and shown."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import to_json

from app.schemas.checking import load_object
from app.schemas.rules import LARGEST_DETAILS, check_storable

_SURELY_SMALL = 3000
"""Characters of stored details that surely stay below the limit when they are written again."""

LONGEST_STORED_DETAILS = 3 * LARGEST_DETAILS
"""In characters, of the largest details as they are stored: \\u00e9 stands for two bytes."""

_SHOWN_OF_CUT = 1000
_SURELY_SHALLOW = 10
_TOO_LARGE = "must be at most 16 KiB as JSON"


def shown_details(stored: str) -> dict[str, Any]:
    """Stored details as an object; of too large or invalid ones the beginning, marked `cut`."""
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
    """The JSON text to store: `text` itself, or {"raw": text} when it is no storable JSON object.

    Raises ValueError when it is too large.
    """
    if len(text) > LONGEST_STORED_DETAILS:
        raise ValueError(_TOO_LARGE)
    try:
        details = load_object(text)
        if text.count("{") + text.count("[") > _SURELY_SHALLOW or "\\u" in text:
            check_storable(details)
    except ValueError:
        details = {"raw": text}
        text = json.dumps(details)
    if len(text) > _SURELY_SMALL and len(to_json(details)) > LARGEST_DETAILS:
        raise ValueError(_TOO_LARGE)
    return text
