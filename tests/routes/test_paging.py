"""The rules of every list: its pages, its order, its headers, and what it costs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.models import Event, Product, Url, User
from tests.answers import check

LISTS = ["/users", "/urls", "/events", "/products", "/users/{user}/urls", "/urls/{url}/events"]
NEWEST_FIRST = ["/events", "/urls/{url}/events"]


@pytest.fixture
def seven(names: dict[str, Any]) -> dict[str, Any]:
    """Seven rows in every list."""
    user, url = names["user"], names["url"]
    User.insert_many(
        [{"username": f"u{n}", "email": f"u{n}@example.com"} for n in range(6)]
    ).execute()
    Url.insert_many(
        [
            {"user": user, "short_code": f"c{n}", "original_url": "https://example.com/"}
            for n in range(6)
        ]
    ).execute()
    Event.insert_many(
        [{"url": url, "user": user, "event_type": "seen"} for n in range(5)]
    ).execute()
    Product.insert_many(
        [{"name": f"p{n}", "category": "c", "price": n, "stock": n} for n in range(7)]
    ).execute()
    return names


def links(response: TestResponse) -> dict[str, str]:
    """The Link header as {rel: address}."""
    return {
        rel: address
        for address, rel in re.findall(
            r'<([^>]*)>; rel="([^"]*)"', response.headers.get("Link", "")
        )
    }


def ids(response: TestResponse) -> list[int]:
    return [row["id"] for row in check(response, 200).get_json()]


@pytest.mark.parametrize("path", LISTS)
def test_a_list_is_a_bare_array_in_its_order(
    client: FlaskClient, seven: dict[str, Any], path: str
) -> None:
    found = ids(client.get(path.format(**seven)))
    assert len(found) == 7
    assert found == sorted(found, reverse=path in NEWEST_FIRST)


@pytest.mark.parametrize("path", LISTS)
def test_pages_follow_each_other_without_gap_or_overlap(
    client: FlaskClient, seven: dict[str, Any], path: str
) -> None:
    path = path.format(**seven)
    pages = [ids(client.get(f"{path}?page={page}&per_page=3")) for page in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [3, 3, 1, 0]
    assert [row for page in pages for row in page] == ids(client.get(path))


@pytest.mark.parametrize("path", LISTS)
def test_links_lead_through_all_pages_and_back(
    client: FlaskClient, seven: dict[str, Any], path: str
) -> None:
    first = client.get(f"{path.format(**seven)}?per_page=3")
    assert set(links(first)) == {"next"}
    second = client.get(links(first)["next"])
    assert set(links(second)) == {"next", "prev"}
    last = client.get(links(second)["next"])
    assert set(links(last)) == {"prev"}
    assert ids(client.get(links(last)["prev"])) == ids(second)
    assert ids(client.get(links(second)["prev"])) == ids(first)


@pytest.mark.parametrize("path", LISTS)
def test_after_an_id_leads_through_the_whole_list(
    client: FlaskClient, seven: dict[str, Any], path: str
) -> None:
    whole = ids(client.get(path.format(**seven)))
    response = client.get(f"{path.format(**seven)}?per_page=3&after={whole[0]}")
    found = ids(response)
    while "next" in links(response):
        assert "page" not in parse_qs(urlsplit(links(response)["next"]).query)
        response = client.get(links(response)["next"])
        found += ids(response)
    assert found == whole[1:]


def test_links_keep_the_filters(client: FlaskClient, seven: dict[str, Any]) -> None:
    following = links(
        client.get(f"/events?type=seen&url_id={seven['url']}&per_page=2&x=%C3%A4%26")
    )["next"]
    assert parse_qs(urlsplit(following).query) == {
        "type": ["seen"],
        "url_id": [str(seven["url"])],
        "per_page": ["2"],
        "page": ["2"],
        "x": ["ä&"],
    }


@pytest.mark.parametrize("path", LISTS)
def test_the_total_is_there_when_it_is_asked_for(
    client: FlaskClient, seven: dict[str, Any], path: str
) -> None:
    for query in ("count=true", "count=true&page=9", "count=true&per_page=1", "count=true&after=1"):
        assert (
            check(client.get(f"{path.format(**seven)}?{query}"), 200).headers["X-Total-Count"]
            == "7"
        )
    for query in ("", "count=false"):
        assert "X-Total-Count" not in client.get(f"{path.format(**seven)}?{query}").headers


def test_the_total_is_that_of_the_filter(client: FlaskClient, seven: dict[str, Any]) -> None:
    for query, total in (
        ("type=seen", 5),
        ("type=nothing", 0),
        ("url_id=0", 0),
        (f"url_id={seven['url']}", 7),
    ):
        assert client.get(f"/events?count=true&{query}").headers["X-Total-Count"] == str(total)


@pytest.mark.parametrize(
    ("query", "size"),
    [
        ("", 20),
        ("per_page=0", 1),
        ("per_page=-7", 1),
        ("per_page=100", 100),
        ("per_page=101", 100),
        ("page=-3", 20),
    ],
)
def test_a_page_has_20_rows_and_at_most_100(client: FlaskClient, query: str, size: int) -> None:
    User.insert_many(
        [{"username": f"u{n}", "email": f"u{n}@example.com"} for n in range(101)]
    ).execute()
    assert len(ids(client.get(f"/users?{query}"))) == size


@pytest.mark.parametrize("path", LISTS)
def test_beyond_the_end_there_is_nothing_however_far(
    client: FlaskClient, seven: dict[str, Any], path: str
) -> None:
    for query in (
        "page=2",
        "page=1000000",
        f"page={2**63 - 1}",
        f"page={10**30}",
        f"page={2**62}&per_page=100",
        f"after={0 if path in NEWEST_FIRST else 10**30}",
    ):
        assert ids(client.get(f"{path.format(**seven)}?{query}")) == []


@pytest.fixture
def queries(statements: Callable[[], list[str]]) -> Callable[[], list[str]]:
    return lambda: [statement for statement in statements() if "SELECT" in statement]


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/users", 1),
        ("/urls", 1),
        ("/events", 1),
        ("/products?after=0", 1),
        ("/users/{user}/urls", 1),
        ("/urls/{url}/events", 2),
    ],
)
def test_a_list_costs_one_query_and_one_to_see_that_a_link_is_not_deleted(
    client: FlaskClient,
    seven: dict[str, Any],
    queries: Callable[[], list[str]],
    path: str,
    most: int,
) -> None:
    for more, extra in (("", 0), ("count=true", 1)):
        queries()
        check(client.get(f"{path.format(**seven)}{'&' if '?' in path else '?'}{more}"), 200)
        assert len(queries()) == most + extra


@pytest.mark.parametrize(
    "path",
    [
        "/urls?user_id=0",
        f"/events?url_id={2**63}",
        "/events?user_id=-1",
        f"/users/{2**63}",
        "/urls/0",
        "/events/0",
        "/%00",
        "/" + "a" * 5000,
    ],
)
def test_what_cannot_exist_is_not_looked_for(
    client: FlaskClient, queries: Callable[[], list[str]], path: str
) -> None:
    queries()
    check(client.get(path), 200, 404)
    assert queries() == []
