"""/products over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.answers import check


def test_products_come_from_the_database_and_then_from_the_cache(
    client: FlaskClient, products: list[dict[str, Any]]
) -> None:
    for outcome in ("MISS", "HIT", "HIT"):
        response = check(client.get("/products"), 200)
        assert response.headers["X-Cache"] == outcome
        assert response.get_json() == products


@pytest.mark.usefixtures("products")
def test_a_page_from_the_cache_is_the_same_answer(client: FlaskClient) -> None:
    answers = [check(client.get("/products?page=2&per_page=1&count=true"), 200) for _ in range(2)]
    assert [answer.headers["X-Cache"] for answer in answers] == ["MISS", "HIT"]
    assert (
        len(
            {
                (answer.text, answer.headers["Link"], answer.headers["X-Total-Count"])
                for answer in answers
            }
        )
        == 1
    )


def test_pages_are_cached_apart_and_equal_ones_together(
    client: FlaskClient, products: list[dict[str, Any]]
) -> None:
    outcomes = [
        check(client.get(f"/products?{query}"), 200)
        for query in ("per_page=100", "per_page=500", "per_page=1", "page=2&per_page=1", "after=1")
    ]
    assert [answer.headers["X-Cache"] for answer in outcomes] == [
        "MISS",
        "HIT",
        "MISS",
        "MISS",
        "MISS",
    ]
    assert outcomes[3].get_json() == products[1:2]


@pytest.mark.parametrize(("query", "status"), [("", 200), ("page=x", 400)])
def test_x_cache_is_always_there(client: FlaskClient, query: str, status: int) -> None:
    for method in ("GET", "HEAD"):
        assert check(client.open(f"/products?{query}", method=method), status).headers[
            "X-Cache"
        ] in ("HIT", "MISS")
