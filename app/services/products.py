"""Products: a small catalogue, its pages cached for a minute."""

from __future__ import annotations

import json
import time
from typing import NamedTuple

from app import metrics
from app.models import Product
from app.redirects.connection import RedisUnavailable, redis_connection
from app.schemas import ListQuery, encode, show_product
from app.services import paging
from app.services.paging import Page

_SECONDS = 60
_MOST_PAGES = 500
_own: dict[str, tuple[float, str]] = {}
"""What this process remembers without Redis: until when, and the page."""


class Found(NamedTuple):
    page: Page
    cached: bool


def page(query: ListQuery) -> Found:
    """A page, at most a minute old; the database is read when the cache has none."""
    name = f"products:{paging.number(query)}:{paging.size(query)}:{query.after}:{query.count}"
    held = _parse(_remembered(name))
    (metrics.cache_hits if held else metrics.cache_misses).inc()
    if held:
        return Found(held, cached=True)
    fresh = paging.shown(paging.read(Product, {}, query), show_product)
    _remember(name, encode(list(fresh)).decode())
    return Found(fresh, cached=False)


def _remembered(name: str) -> str | None:
    try:
        held = redis_connection.call("GET", f"answer:{name}")
        return held.decode(errors="replace") if held else None
    except RedisUnavailable:
        until, answer = _own.get(name, (0.0, ""))
        return answer if time.monotonic() < until else None


def _remember(name: str, answer: str) -> None:
    try:
        redis_connection.call("SET", f"answer:{name}", answer, "EX", _SECONDS)
    except RedisUnavailable:
        if len(_own) >= _MOST_PAGES:
            forget()
        _own[name] = (time.monotonic() + _SECONDS, answer)


def forget() -> None:
    """Forgets what this process remembers."""
    _own.clear()


def _parse(answer: str | None) -> Page | None:
    """The cached page; None for none or for invalid JSON."""
    try:
        rows, more, total = json.loads(answer or "null")
        return Page(rows, more, total) if isinstance(rows, list) else None
    except (ValueError, TypeError, RecursionError):
        return None
