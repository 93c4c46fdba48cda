"""Products: a small catalogue, its pages cached for a minute."""

from __future__ import annotations

import json
from typing import NamedTuple

from app import metrics
from app.cache import cache
from app.models import Product
from app.schemas import ListQuery, encode, show_product
from app.services import paging
from app.services.paging import Page

_SECONDS = 60


class Found(NamedTuple):
    page: Page
    cached: bool


def page(query: ListQuery) -> Found:
    """A page, at most a minute old; the database is read when the cache has none."""
    name = f"products:{paging.number(query)}:{paging.size(query)}:{query.after}:{query.count}"
    held = _parse(cache.get_answer(name))
    (metrics.cache_hits if held else metrics.cache_misses).inc()
    if held:
        return Found(held, cached=True)
    fresh = paging.shown(paging.read(Product, {}, query), show_product)
    cache.put_answer(name, encode(list(fresh)).decode(), _SECONDS)
    return Found(fresh, cached=False)


def _parse(answer: str | None) -> Page | None:
    """The cached page; None for none or for invalid JSON."""
    try:
        rows, more, total = json.loads(answer or "null")
        return Page(rows, more, total) if isinstance(rows, list) else None
    except (ValueError, TypeError, RecursionError):
        return None
