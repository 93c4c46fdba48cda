"""/products over HTTP."""

from __future__ import annotations

from flask import Blueprint, Response

from app.routes.inputs import Answer, declares, listing
from app.schemas import ListQuery, Product
from app.services import products

bp = Blueprint("products", __name__)


@bp.get("/products")
@declares(query=ListQuery, answer=list[Product], headers=("X-Cache",), scope="read")
def list_products(query: ListQuery) -> Answer:
    """All products, as they were at most a minute ago."""
    page, cached = products.page(query)
    answer = listing(page, query)
    answer.headers["X-Cache"] = "HIT" if cached else "MISS"
    return answer


@bp.after_request
def say_miss(response: Response) -> Response:
    """A failure did not come out of the cache."""
    response.headers.setdefault("X-Cache", "MISS")
    return response
