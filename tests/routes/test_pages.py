"""Pages: what a browser may do with them."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from tests.conftest import Api

BROWSER = {"Accept": "text/html"}


@pytest.fixture
def pages(client: FlaskClient, api: Api) -> list[str]:
    code = api.url()["short_code"]
    return ["/", f"/{code}+", "/nobody", "/nobody+"]


def policy_of(header: str) -> dict[str, list[str]]:
    return {name: values for name, *values in map(str.split, header.split("; "))}


def test_a_page_loads_nothing_but_its_own_style_and_is_shown_in_no_frame(
    client: FlaskClient, pages: list[str]
) -> None:
    for path in pages:
        page = client.get(path, headers=BROWSER)
        assert page.mimetype == "text/html"
        policy = policy_of(page.headers["Content-Security-Policy"])
        assert policy["default-src"] == policy["frame-ancestors"] == ["'none'"]
        assert policy["base-uri"] == policy["form-action"] == ["'none'"]
        assert page.headers["Referrer-Policy"] == "no-referrer"
        sheets = re.findall("(?s)<style>(.*?)</style>", page.text)
        assert len(sheets) == page.text.count("<style") == 1
        digest = hashlib.sha256(sheets[0].encode()).digest()
        assert f"'sha256-{base64.b64encode(digest).decode()}'" in policy["style-src"]
        assert "script" not in page.text
        assert not re.search(r"\sstyle=|\son\w+=", page.text)


def test_a_picture_runs_nothing_when_it_is_opened_as_a_page(client: FlaskClient, api: Api) -> None:
    picture = client.get(f"/{api.url()['short_code']}.qr")
    assert picture.mimetype == "image/svg+xml"
    assert "default-src 'none'" in picture.headers["Content-Security-Policy"]


def test_every_answer_has_the_type_that_it_says(client: FlaskClient, pages: list[str]) -> None:
    for path in ("/users", "/users/99", "/metrics", "/no/such/path", *pages):
        assert client.get(path).headers["X-Content-Type-Options"] == "nosniff"
        assert "Content-Security-Policy" not in client.get(path).headers


@pytest.mark.parametrize(
    ("auth", "links", "shows_key"),
    [("off", True, False), ("create", False, False), ("on", False, True)],
)
def test_the_index_offers_what_its_reader_can_use(
    client: FlaskClient,
    given_with: Callable[..., None],
    auth: str,
    links: bool,
    shows_key: bool,
) -> None:
    given_with(auth=auth)
    page = client.get("/", headers=BROWSER).text
    for path in ("/metrics", "/logs"):
        assert (f'href="{path}"' in page) == links
    assert ("-H 'X-API-Key: KEY'" in page) == shows_key
    assert 'href="/health"' in page
