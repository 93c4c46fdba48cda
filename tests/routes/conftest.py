"""What several tests of the routes begin with."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from app.models import Product
from tests.conftest import Api


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
        "key": api.key()["id"],
        "event": api.event(url_id=url["id"])["id"],
    }
