"""What several tests of the routes begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from app.models import Product
from app.routes.given import given
from app.services import products as product_pages
from tests.conftest import Api


@pytest.fixture
def given_with(app: Flask) -> Iterator[Callable[..., None]]:
    """Changes settings that routes depend on, as another configuration would have given them."""
    before = replace(given)
    yield lambda **changes: given.bind(replace(before, **changes))
    given.bind(before)


@pytest.fixture(autouse=True)
def _forgetful() -> None:
    """Without Redis, this process would remember answers from the test before."""
    product_pages.forget()


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
