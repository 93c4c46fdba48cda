"""The OpenAPI document refuses nothing that the service accepts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app.schemas import (
    EventCreate,
    ShortenUrl,
    UrlCreate,
    UrlUpdate,
    UserCreate,
    UserUpdate,
    definitions,
)

Document = dict[str, Any]
SPACES = [chr(point) for point in range(0x110000) if chr(point).isspace()]
PADDING = st.text(st.sampled_from(SPACES), max_size=3)
CHARACTERS = st.characters(exclude_categories=["Cs"])
ODD = st.text(CHARACTERS | st.sampled_from("\ufeff\u2027\u202a\x1f\x85"), max_size=12)
ATOM = ODD | st.sampled_from(["a.b+c", "ada", "o'neil", "\ufeff", "ünï"])
EMAIL = st.builds("{}@{}.{}".format, ATOM, ATOM, ATOM | st.just("example")) | st.emails()
ADDRESSES = st.sampled_from(
    [
        "https://my-site.com/",
        "http://x.example:8080",
        "HTTPS://Example.COM/Path?Q=1#F",
        "https://user:pass@a.example/",
        "http://[::1]:5000/",
        "http://127.0.0.1",
        "https://straße.example/ü?ß",
        'https://a.example/{x}|"<>^`\\',
        "https://a_b.example./%zz",
        "http://localhost",
        "https://a.example/\ufeff\u2027",
    ]
)
SCHEMES = st.sampled_from(["http", "HTTP", "hTTps"])
ADDRESS = ADDRESSES | st.builds("{}://{}:{}{}".format, SCHEMES, ODD, st.integers(0, 70000), ODD)
TEXT = st.builds("{}{}{}".format, PADDING, ODD | EMAIL | ADDRESS, PADDING)
ZONES = st.sampled_from(["", "Z", "+05:30"])
DAYS = st.integers(2100, 9998), st.integers(1, 12), st.integers(1, 28)
MOMENT = st.builds("{:04}-{:02}-{:02}T12:00:00{}".format, *DAYS, ZONES)
TAG = st.text(st.characters(exclude_categories=["Cs", "Z", "C"]), min_size=1, max_size=9)
VALUES = ODD | st.integers() | st.lists(ODD, max_size=2)
IDS = st.integers() | st.none()
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "username": TEXT,
    "email": st.builds("{}{}{}".format, PADDING, EMAIL, PADDING),
    "original_url": st.builds("{}{}{}".format, PADDING, ADDRESS, PADDING),
    "url": st.builds("{}{}{}".format, PADDING, ADDRESS, PADDING),
    "title": TEXT | st.none(),
    "short_code": st.from_regex("[A-Za-z0-9_-]{1,65}", fullmatch=True) | st.none(),
    "expires_at": MOMENT | st.none(),
    "expired_url": st.builds("{}{}{}".format, PADDING, ADDRESS, PADDING) | st.none(),
    "max_clicks": st.integers(0, 2**63) | st.none(),
    "redirect_status": st.sampled_from([301, 302, 307, 308, None, 303]),
    "forward_query": st.booleans() | st.none(),
    "tags": st.lists(TAG, max_size=21) | st.none(),
    "is_active": st.booleans(),
    "user_id": IDS,
    "url_id": IDS,
    "event_type": TEXT,
    "details": st.dictionaries(ODD, VALUES, max_size=2) | st.none(),
}
BODIES = [UserCreate, UserUpdate, UrlCreate, UrlUpdate, ShortenUrl, EventCreate]


def within(schema: Document, value: Any) -> Any:
    """White space around a string does not count, the document says; maxLength would count it."""
    longest = max([schema, *schema.get("anyOf", [])], key=len).get("maxLength", len(str(value)))
    return value.strip() if isinstance(value, str) and len(value) > longest else value


def fields(names: Iterable[str]) -> dict[str, st.SearchStrategy[Any]]:
    return {name: FIELDS[name] for name in names}


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_a_schema_accepts_every_body_that_the_service_accepts(body: Any) -> None:
    (schema,), named = definitions([body])[0].values(), definitions([body])[1]
    accepts = jsonschema_rs.validator_for({**schema, "components": {"schemas": named}}).is_valid
    properties = named[body.__name__]["properties"]
    required = named[body.__name__].get("required", [])
    others = properties.keys() - set(required)

    @settings(max_examples=300, deadline=None)
    @given(st.fixed_dictionaries(fields(required), optional=fields(others)))
    def accepted(values: dict[str, Any]) -> None:
        try:
            body.model_validate(values)
        except ValidationError:
            assume(False)
        assert accepts({name: within(properties[name], value) for name, value in values.items()})

    accepted()


@pytest.mark.parametrize("name", ["username", "email", "original_url", "title", "event_type"])
def test_the_values_of_that_test_are_often_accepted(name: str) -> None:
    """Else it would say nothing."""
    body = next(body for body in BODIES if name in body.model_fields)
    others = {"username": "ada", "email": "a@b.de", "event_type": "x"}
    others["original_url"] = "http://a.example"
    seen = []

    @settings(max_examples=100, deadline=None)
    @given(FIELDS[name])
    def look(value: Any) -> None:
        try:
            body.model_validate({**others, name: value})
            seen.append(value)
        except ValidationError:
            pass

    look()
    assert len(set(seen)) > 10
