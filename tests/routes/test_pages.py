"""Pages: what a browser may do with them."""

from __future__ import annotations

import re

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


def test_a_page_loads_only_what_is_ours_and_is_shown_in_no_frame(
    client: FlaskClient, pages: list[str]
) -> None:
    for path in pages:
        page = client.get(path, headers=BROWSER)
        assert page.mimetype == "text/html"
        policy = policy_of(page.headers["Content-Security-Policy"])
        assert policy["default-src"] == policy["frame-ancestors"] == ["'none'"]
        assert policy["base-uri"] == ["'none'"]
        own = ("style-src", "script-src", "img-src", "connect-src", "form-action")
        assert all(policy[name] == ["'self'"] for name in own)
        assert page.headers["Referrer-Policy"] == "same-origin"
        assert not re.search(r"<style|\sstyle=|\son\w+=", page.text)
        for loaded in re.findall(r'(?:src|<link [^>]*href)="([^"]*)"', page.text):
            assert re.fullmatch(r"/assets/\w+\.[0-9a-f]{12}\.\w+", loaded)
            kept = client.get(loaded).headers["Cache-Control"]
            assert kept == "public, max-age=31536000, immutable"


def test_a_picture_runs_nothing_when_it_is_opened_as_a_page(client: FlaskClient, api: Api) -> None:
    picture = client.get(f"/{api.url()['short_code']}.qr")
    assert picture.mimetype == "image/svg+xml"
    assert "default-src 'none'" in picture.headers["Content-Security-Policy"]


def test_every_answer_has_the_type_that_it_says(client: FlaskClient, pages: list[str]) -> None:
    for path in ("/users", "/users/99", "/metrics", "/no/such/path", *pages):
        assert client.get(path).headers["X-Content-Type-Options"] == "nosniff"
        assert "Content-Security-Policy" not in client.get(path).headers
