"""Says of each imported click what it is counted as: a `Kind` of visitor, as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache

from app.models import CLICK_TYPES
from app.redirects.visitors import CAMPAIGN, kind_of_details

_CACHED, _LONGEST_CACHED = 10_000, 1000

# What details begin with that says nothing of the visitor, and differs from click to click.
_HEAD = re.compile(r'\{(?:"(?:short_code|original_url|ip)": "[^"\\]*+", )*')


def counted_as(
    event_types: Sequence[str | None], details: Sequence[str | None]
) -> list[str | None]:
    """The JSON of each click's Kind; None for other events."""
    return [
        _kind_of(text or "{}") if event_type in CLICK_TYPES else None
        for event_type, text in zip(event_types, details, strict=True)
    ]


def _kind_of(details: str) -> str:
    head = None if CAMPAIGN in details else _HEAD.match(details)
    rest = f"{{{details[head.end() :]}" if head else details
    return _cached(rest) if len(rest) < _LONGEST_CACHED else _read(rest)


def _read(details: str) -> str:
    return json.dumps(kind_of_details(details))


_cached = lru_cache(_CACHED)(_read)
