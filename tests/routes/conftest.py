"""What several tests of the routes begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from app.models import Product
from app.redirects.links import cache
from tests.conftest import Api


@pytest.fixture
def given_with(app: Flask) -> Iterator[Callable[..., None]]:
    """Changes settings that routes depend on, as another configuration would have given them."""
    before = dict(app.config)
    yield lambda **changes: app.config.update(
        {name.upper(): value for name, value in changes.items()}
    )
    app.config.update(before)


@pytest.fixture(autouse=True)
def _forgetful() -> None:
    """Without Redis, this process would remember answers from the test before."""
    cache.bind(cache.ttl_seconds)


@pytest.fixture
def products(app: Flask) -> list[dict[str, Any]]:
    """The catalogue, as it is answered."""
    rows = [
        {"name": f"Plan {n}", "category": "plans", "price": n + 0.5, "stock": n}
        for n in range(1, 4)
    ]
    return [{"id": Product.create(**row).id, **row} for row in rows]


@pytest.fixture
def names(api: Api) -> dict[str, Any]:
    """One of everything."""
    user = api.user("somebody")
    url = api.url(user_id=user["id"])
    return {
        "user": user["id"],
        "url": url["id"],
        "code": url["short_code"],
        "event": api.event(url_id=url["id"])["id"],
    }
