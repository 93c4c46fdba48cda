"""Whatever arrives as a body, in a query or as a path: never a 500, and every failure is the
contract's error.
"""

from __future__ import annotations

import json
from urllib.parse import quote, urlencode

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.answers import check, send
from tests.conftest import Api

# One client serves all examples: what they leave behind must not matter to the next.
few = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

TAKES_A_BODY = [
    ("POST", "/users"),
    ("POST", "/urls"),
    ("POST", "/shorten"),
    ("POST", "/events"),
    ("POST", "/keys"),
    ("PUT", "/users/{user}"),
    ("PUT", "/urls/{url}"),
]
LISTS = [
    "/users",
    "/urls",
    "/events",
    "/keys",
    "/products",
    "/users/{user}/urls",
    "/urls/{url}/events",
    "/logs",
]
FIELDS = [
    "username",
    "email",
    "original_url",
    "url",
    "title",
    "is_active",
    "user_id",
    "url_id",
    "event_type",
    "details",
    "id",
    "short_code",
    "name",
    "scope",
    "expires_at",
]
QUERIES = [
    "page",
    "per_page",
    "after",
    "count",
    "user_id",
    "url_id",
    "is_active",
    "event_type",
    "type",
    "lines",
    "limit",
    "filter",
    "level",
]

texts = st.text(st.characters(exclude_categories=[]), max_size=30)  # lone surrogates among them
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
plausible = st.sampled_from(
    ["ada", "ada@example.com", "https://example.com/ä", "http://x:80/", 1, True, {}]
)
likely = st.dictionaries(st.sampled_from(FIELDS), values | plausible, max_size=6) | st.dictionaries(
    st.sampled_from(FIELDS), plausible, max_size=6
)


@pytest.fixture
def names(api: Api) -> dict[str, int]:
    return {"user": api.user("somebody")["id"], "url": api.url()["id"]}


@pytest.mark.parametrize(("method", "path"), TAKES_A_BODY)
def test_any_bytes_as_a_body_are_answered(
    client: FlaskClient, names: dict[str, int], method: str, path: str
) -> None:
    @few
    @given(st.binary(max_size=200) | values.map(json.dumps).map(str.encode))
    def answered(body: bytes) -> None:
        check(
            client.open(
                path.format(**names), method=method, data=body, content_type="application/json"
            ),
            200,
            201,
            400,
        )

    answered()


@pytest.mark.parametrize(("method", "path"), TAKES_A_BODY)
def test_any_values_of_known_fields_are_answered(
    client: FlaskClient, names: dict[str, int], method: str, path: str
) -> None:
    @few
    @given(likely)
    def answered(body: dict[str, object]) -> None:
        data = json.dumps(body)
        made = check(
            client.open(
                path.format(**names), method=method, data=data, content_type="application/json"
            ),
            200,
            201,
            400,
            404,
            409,
        )
        if made.status_code == 201:
            assert check(client.get(made.headers["Location"]), 200).get_json() == made.get_json()

    answered()


@pytest.mark.parametrize("path", LISTS)
def test_any_text_in_a_query_is_answered(
    client: FlaskClient, names: dict[str, int], path: str
) -> None:
    pairs = st.tuples(
        st.sampled_from(QUERIES),
        texts | st.integers().map(str) | st.sampled_from(["true", "clicked", "100"]),
    )

    @few
    @given(
        st.lists(pairs, max_size=4).map(lambda given: urlencode(given, errors="surrogatepass"))
        | st.binary(max_size=50).map(quote)
    )
    def answered(query: str) -> None:
        check(send(client, "GET", f"{path.format(**names)}?{query}"), 200, 400)

    answered()


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"])
def test_any_path_is_answered(client: FlaskClient, method: str) -> None:
    segments = st.sampled_from(
        ["users", "urls", "events", "stats", "redirect", "bulk", "1", "0", "aB3xY9", ""]
    ) | st.binary(max_size=12).map(quote)

    @few
    @given(st.lists(segments, max_size=4))
    def answered(parts: list[str]) -> None:
        check(send(client, method, "/" + "/".join(parts)), 200, 204, 302, 400, 404, 405)

    answered()


def test_any_address_that_is_accepted_comes_back_in_ascii(client: FlaskClient) -> None:
    hosts = st.sampled_from(
        ["example.com", "münchen.example", "[::1]", "u:p@x", "x:80", "例え。jp"]
    ) | st.text(max_size=12)

    @few
    @given(hosts, st.text(max_size=20))
    def answered(host: str, rest: str) -> None:
        made = check(client.post("/shorten", json={"url": f"https://{host}/{rest}"}), 201, 400)
        if made.status_code == 201:
            location = check(client.get(f"/{made.get_json()['short_code']}"), 302).headers[
                "Location"
            ]
            assert location.isascii()
            assert location.isprintable()

    answered()
