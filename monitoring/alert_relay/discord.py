"""One call of Discord's webhook, and what its answer means."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

_PATIENCE_SECONDS = 10
_LONGEST_WAIT_SECONDS = 300.0
_LONGEST_ANSWER = 65536


@dataclass(frozen=True)
class Answer:
    """`sent`: Discord has it.

    Else `again`: it may take it later, after `wait_seconds` if it said so. Else it never will.
    """

    sent: bool = False
    again: bool = False
    reason: str = ""
    wait_seconds: float | None = None


def post(url: str, body: dict[str, Any]) -> Answer:
    """Never raises for what the network or Discord do.

    No reason shows the webhook's address, which is a secret.
    """
    parts = urlsplit(url)
    query = urlencode(
        [*parse_qsl(parts.query), ("wait", "true")]
    )  # else Discord answers before it has stored the message
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    try:
        with closing(
            kind(parts.hostname or "", parts.port, timeout=_PATIENCE_SECONDS)
        ) as connection:
            headers = {"Content-Type": "application/json", "User-Agent": "Holdfast-alert-relay (1)"}
            connection.request(
                "POST", f"{parts.path or '/'}?{query}", json.dumps(body).encode(), headers
            )
            return _meaning(connection.getresponse())
    except (OSError, HTTPException) as error:
        return Answer(
            again=True, reason=f"Discord cannot be reached: {type(error).__name__} {error}".strip()
        )


def _meaning(response: HTTPResponse) -> Answer:
    if 200 <= response.status < 300:
        return Answer(sent=True)
    text = response.read(_LONGEST_ANSWER)
    if response.status in (408, 429) or response.status >= 500:
        return Answer(
            again=True,
            reason=f"Discord answered {response.status}",
            wait_seconds=_wait_seconds(response, text),
        )
    return Answer(
        reason=f"Discord answered {response.status}: {text[:500].decode('utf-8', 'replace')}"
    )


def _wait_seconds(response: HTTPResponse, text: bytes) -> float | None:
    """The longer of what the header and the body ask for; Discord gives both in seconds."""
    try:
        asked = json.loads(text).get("retry_after")
    except (ValueError, AttributeError, RecursionError):
        asked = None
    waits = [
        seconds
        for value in (response.getheader("Retry-After"), asked)
        if (seconds := _seconds(value)) is not None
    ]
    return min(max(waits), _LONGEST_WAIT_SECONDS) if waits else None


def _seconds(value: object) -> float | None:
    try:
        seconds = float(str(value))
    except ValueError:
        return None
    return seconds if seconds >= 0 else None  # not a number is neither
