"""The filters, the search and the orders of lists."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient

from app.models import Event, Url, UrlTag
from app.services import finding
from tests.answers import check
from tests.conftest import Api
from tests.routes.test_paging import ids, links

START = datetime.fromisoformat("2026-01-01")
Find = Callable[..., list[int]]


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


@pytest.fixture
def rows(api: Api) -> list[Any]:
    """Six links in the order of their ids; those of the first user are even."""
    users = [api.user("ada")["id"], api.user("bob")["id"]]
    about = [
        ("Alpha", "https://example.com/one", 3, 5),
        ("beta 50%", "https://example.com/two_x", 2, 0),
        (None, "https://shop.example/ALPHA", 1, 9),
        ("Gamma", "https://example.com/50", 0, 5),
        ("alphabet", "https://example.com/twoYx", 2, 1),
        ("Delta", "https://example.org/", 5, 7),
    ]
    made = [
        Url.create(
            user=users[n % 2],
            short_code=f"code{n}",
            title=title,
            original_url=target,
            created_at=at(hours),
            click_count=clicks,
            is_active=n != 3,
        )
        for n, (title, target, hours, clicks) in enumerate(about)
    ]
    UrlTag.insert_many(
        [{"url": made[n], "tag": tag} for n, tag in ((0, "a"), (1, "b"), (2, "a"), (4, "a"))]
    ).execute()
    return made


@pytest.fixture
def find(client: FlaskClient, rows: list[Any]) -> Find:
    """Asks for links; returns their places among the rows."""
    places = {row.id: n for n, row in enumerate(rows)}

    def found(query: str = "", **more: Any) -> list[int]:
        filled = query.format(users=[rows[0].user_id, rows[1].user_id])
        return [places[found] for found in ids(client.get(f"/urls?{filled}", **more))]

    return found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("short_code=code2", [2]),
        ("short_code=CODE2", []),
        ("short_code=", []),
        ("short_code=%00", []),
        ("tag=a", [0, 2, 4]),
        ("tag=A", []),
        ("tag=a&user_id={users[0]}", [0, 2, 4]),
        ("tag=a&user_id={users[1]}", []),
        ("created_after=2026-01-01T02:00:00", [1, 4, 0, 5]),
        ("created_before=2026-01-01T02:00:00", [3, 2]),
        ("created_after=2026-01-01T02:00:00Z&created_before=2026-01-01T03:00:00Z", [1, 4]),
        ("created_after=2026-01-01T04:00:00%2B02:00&created_before=2026-01-01 02:00:01", [1, 4]),
        ("created_after=2026-01-01T02:00:00.5", [1, 4, 0, 5]),
        ("created_after=2026-01-02", []),
        ("created_after=2026-01-01T02:00:00&user_id={users[0]}&tag=a&is_active=true", [4, 0]),
    ],
)
def test_filters_combine(find: Find, query: str, expected: list[int]) -> None:
    assert find(query) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alpha", [0, 2, 4]),
        ("ALPHA", [0, 2, 4]),
        ("  alpha ", [0, 2, 4]),
        ("example.org", [5]),
        ("50%", [1]),
        ("%", [1]),
        ("two_x", [1]),
        ("_", [1]),
        ("\\", []),
        ("'", []),
        ("alphabet soup", []),
        ("?", []),
        ("%s", []),
    ],
)
def test_a_search_is_literal_and_in_any_case(find: Find, text: str, expected: list[int]) -> None:
    assert find(f"q={quote(text)}") == expected


def test_a_search_is_filtered_ordered_and_paged(client: FlaskClient, find: Find) -> None:
    assert find("q=alpha&user_id={users[0]}&sort=-clicks") == [2, 0, 4]
    assert find("q=alpha&tag=a&created_after=2026-01-01T02:00:00") == [4, 0]
    first = client.get("/urls?q=alpha&per_page=2&count=true")
    assert first.headers["X-Total-Count"] == "3"
    assert len(ids(client.get(links(first)["next"]))) == 1
    after = ids(first)[-1]
    assert find(f"q=alpha&after={after}") == [4]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("id", [0, 1, 2, 3, 4, 5]),
        ("-id", [5, 4, 3, 2, 1, 0]),
        ("created_at", [3, 2, 1, 4, 0, 5]),
        ("-created_at", [5, 0, 4, 1, 2, 3]),
        ("clicks", [1, 4, 0, 3, 5, 2]),
        ("-clicks", [2, 5, 3, 0, 4, 1]),
        ("title", [2, 0, 4, 1, 5, 3]),
        ("-title", [3, 5, 1, 4, 0, 2]),
    ],
)
def test_lists_have_orders(
    find: Find, client: FlaskClient, order: str, expected: list[int]
) -> None:
    assert find(f"sort={order}") == expected
    pages = [find(f"sort={order}&per_page=2&page={page}") for page in (1, 2, 3, 4)]
    assert pages == [expected[:2], expected[2:4], expected[4:], []]


@pytest.mark.parametrize("order", ["id", "-id", "created_at", "-created_at"])
@pytest.mark.parametrize("more", ["", "&created_after=2026-01-01", "&tag=a", "&q=example"])
def test_an_order_by_time_or_id_continues_after_an_id(
    client: FlaskClient, rows: list[Any], order: str, more: str
) -> None:
    whole = ids(client.get(f"/urls?sort={order}{more}"))
    response = client.get(f"/urls?sort={order}{more}&per_page=1&after={whole[0]}")
    found = ids(response)
    while "next" in links(response):
        response = client.get(links(response)["next"])
        found += ids(response)
    assert found == whole[1:]


def test_a_place_in_time_stays_when_its_link_is_deleted(
    client: FlaskClient, find: Find, rows: list[Any]
) -> None:
    client.delete(f"/urls/{rows[1].id}")
    assert find(f"sort=created_at&after={rows[1].id}") == [4, 0, 5]


@pytest.mark.parametrize("order", ["clicks", "-clicks", "title", "-title"])
def test_other_orders_have_no_place_after_an_id(
    client: FlaskClient, rows: list[Any], order: str
) -> None:
    refused = check(client.get(f"/urls?sort={order}&after={rows[0].id}"), 400)
    why = "works in the order of id or created_at only: use page"
    assert refused.get_json()["errors"] == {"after": why}


@pytest.mark.parametrize("after", ["0", "-1", "987654321", str(2**63)])
def test_there_is_no_place_in_time_after_an_id_of_nothing(
    client: FlaskClient, rows: list[Any], after: str
) -> None:
    check(client.get(f"/urls?sort=created_at&after={after}"), 404)
    check(client.get(f"/events?after_time=2026-01-01&after={after}"), 404)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("sort=size", "sort"),
        ("sort=", "sort"),
        ("q=", "q"),
        ("q=%20", "q"),
        ("q=%00", "q"),
        (f"q={'x' * 201}", "q"),
        ("tag=", "tag"),
        (f"tag={'x' * 51}", "tag"),
        *(
            (f"{name}={value}", name)
            for name in ("created_after", "created_before")
            for value in (
                "",
                "yesterday",
                "1",
                "2026-02-30",
                "2026-01-01T25:00:00",
                "2026-01-01T00:00:00+02:00",  # + is a blank in a query
                "0001-01-01T00:00:00%2B02:00",
                "%D9%A2026-01-01",
            )
        ),
    ],
)
def test_bad_values_are_refused(client: FlaskClient, query: str, name: str) -> None:
    assert set(check(client.get(f"/urls?{query}"), 400).get_json()["errors"]) == {name}


def test_many_links_are_not_sorted_by_what_has_no_index(
    client: FlaskClient, find: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "MOST", 5)
    for query, name in (("sort=-clicks", "sort"), ("sort=title", "sort"), ("q=x_", "q")):
        refused = check(client.get(f"/urls?{query}"), 400)
        why = "works on at most 5 links: narrow them by other filters"
        assert refused.get_json()["errors"] == {name: why}
    assert find("sort=-clicks&user_id={users[0]}") == [2, 0, 4]
    assert find("q=x_&user_id={users[0]}") == []
    assert find("sort=-id") == [5, 4, 3, 2, 1, 0]


def test_users_are_found_by_username_and_by_email_in_any_case(
    client: FlaskClient, api: Api
) -> None:
    ada, bob = api.user("ada"), api.user("bob")
    for query, expected in (
        ("username=ada", [ada]),
        ("username=Ada", []),
        ("email=BOB@example.com", [bob]),
        ("email=bob@example.com&username=bob", [bob]),
        ("email=bob@example.com&username=ada", []),
        ("username=", []),
        ("email=%00", []),
        ("username=%00", []),
    ):
        assert check(client.get(f"/users?{query}"), 200).get_json() == expected


@pytest.fixture
def events(client: FlaskClient, rows: list[Any]) -> Callable[[str], list[int]]:
    """Asks for five events, of which the third is the oldest; returns their places."""
    hours = (1, 2, 0, 2, 4)
    made = [
        Event.create(url=rows[n % 2], event_type="seen", timestamp=at(hour))
        for n, hour in enumerate(hours)
    ]
    places = {event.id: n for n, event in enumerate(made)}
    return lambda query: [
        places.get(found, found)
        for found in ids(client.get(f"/events?{query.format(url=rows[0].id, ids=list(places))}"))
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [4, 3, 2, 1, 0]),
        ("after_time=2026-01-01T01:00:00", [4, 3, 1, 0]),
        ("before_time=2026-01-01T02:00:00Z", [0, 2]),
        ("after_time=2026-01-01T01:00:00&before_time=2026-01-01T04:00:00", [3, 1, 0]),
        ("after_time=2026-01-01T01:00:00&url_id={url}", [4, 0]),
        ("after_time=2026-01-01&after={ids[3]}", [1, 0, 2]),
        ("after_time=2026-01-01&per_page=2&page=2", [1, 0]),
        ("after_time=2026-01-02&type=seen", []),
    ],
)
def test_events_are_found_by_time(
    events: Callable[[str], list[int]], query: str, expected: list[int]
) -> None:
    assert events(query) == expected


@pytest.mark.parametrize("name", ["after_time", "before_time"])
def test_a_bad_time_of_events_is_refused(client: FlaskClient, name: str) -> None:
    refused = check(client.get(f"/events?{name}=noon"), 400)
    assert set(refused.get_json()["errors"]) == {name}


@pytest.mark.parametrize("per_page", [1, 2, 3, 50])
@pytest.mark.parametrize("more", ["", "&is_active=true", "&tag=a", "&q=none"])
def test_a_search_is_the_same_whether_the_newest_links_fill_its_page(
    client: FlaskClient, api: Api, monkeypatch: pytest.MonkeyPatch, per_page: int, more: str
) -> None:
    for number in range(9):
        tags = ["a"] if number % 2 else []
        api.url(title=f"alpha {number}", tags=tags, is_active=number % 3 > 0)

    def pages() -> list[Any]:
        query = f"/urls?q=alpha&sort=-id&per_page={per_page}{more}"
        return [client.get(f"{query}&page={page}").json for page in range(1, 10)]

    found = pages()
    monkeypatch.setattr(finding, "_IS_NEW", finding._IS_NEW.replace("2000", "4"))
    assert pages() == found
    monkeypatch.setattr(finding, "_among_newest", lambda *_: None)
    assert pages() == found


def test_a_page_that_the_newest_links_fill_looks_at_no_others(
    client: FlaskClient, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        api.url(title=f"alpha {number}")
    monkeypatch.setattr(finding, "MOST", 2)
    assert client.get("/urls?q=alpha&sort=-id&per_page=2").status_code == 200
    assert client.get("/urls?q=alpha&sort=-id&per_page=2&page=2").status_code == 400
