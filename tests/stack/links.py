"""The links that checks make and follow."""

from __future__ import annotations

import json
from typing import Any

from tests.stack.compose import fetch
from tests.stack.report import require

_READS = ("/users?per_page=5", "/products?per_page=5")


def call(base: str, method: str, path: str, body: Any = None) -> Any:
    """The decoded answer; its status when it has no body."""
    status, content, _ = fetch(
        base + path,
        method,
        None if body is None else json.dumps(body).encode(),
        Content_Type="application/json",
    )
    require(status < 400, f"{method} {base}{path}: {status} {content!r}")
    return json.loads(content) if content else status


def follow(base: str, code: str) -> tuple[int, str]:
    """Status and Location."""
    status, _, headers = fetch(f"{base}/{code}")
    return status, headers.get("Location", "")


def make(base: str, count: int = 20) -> list[str]:
    """The codes of new links that Redis knows."""
    codes = [
        call(base, "POST", "/urls", {"original_url": f"https://example.com/{number}"})["short_code"]
        for number in range(count)
    ]
    follow_each(base, codes)
    return codes


def follow_each(base: str, codes: list[str]) -> None:
    for code in codes:
        require(follow(base, code)[0] == 302, f"{code} is not followed")


def mixed(codes: list[str]) -> list[str]:
    """Four redirects for each read."""
    return [
        path
        for number, code in enumerate(codes)
        for path in (*[f"/{code}"] * 4, _READS[number % len(_READS)])
    ]
