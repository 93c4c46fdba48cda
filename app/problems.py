"""Problem details (RFC 9457): who gets an error in that form, and how its members are named."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

MEDIA, JSON = "application/problem+json", "application/json"
NO_TYPE = "about:blank"
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
_TITLES = {QUOTA_EXCEEDED: "Request cannot be satisfied as assigned quota has been exceeded"}
"""By problem type; without a type of its own an error's title is its status' phrase."""
_WEIGHT = re.compile(r"\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*", re.ASCII | re.IGNORECASE)


@lru_cache(maxsize=200)  # the same few come again and again
def is_wanted(accept: str, instead_of: str = JSON) -> bool:
    """Whether an Accept header names problem details, with no less weight than `instead_of`."""
    weight = _weight(accept, MEDIA)
    return weight > 0 and weight >= _weight(accept, instead_of)


def _weight(accept: str, media: str) -> float:
    """The largest that the header gives to exactly this type; a wildcard names nothing."""
    weights = [0.0]
    for item in accept.lower().split(","):
        name, *parameters = item.split(";")
        if name.strip() == media:
            given = [float(found[1]) for part in parameters if (found := _WEIGHT.fullmatch(part))]
            weights.append(min(given, default=1.0))
    return max(weights)


def of(error: dict[str, Any], kind: str = NO_TYPE) -> dict[str, Any]:
    """The body of an error as problem details, with what else it has as extension members."""
    rest = {name: error[name] for name in error if name not in ("error", "message", "status")}
    return {
        "type": kind,
        "title": _TITLES.get(kind, error["error"]),
        "status": error["status"],
        "detail": error["message"],
        "instance": f"urn:holdfast:request:{error['request_id']}",
        **rest,
    }
