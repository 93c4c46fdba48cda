"""/docs: the OpenAPI document as pages, and Swagger UI."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.openapi import document
from app.pages import assets, docs
from app.pages.fields import PATTERNS
from app.pages.fields import field as row_of
from app.schemas.interface import TAGS
from tests.pages.reading import BROWSER, page_at

NOUNS = pytest.mark.parametrize("noun", TAGS)
ERRORS_OF_ALL = {"401", "403", "413", "422", "429", "503"}


def operations(app: Flask, noun: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Method and path, and what the document says of them."""
    for path, methods in document(app, "")["paths"].items():
        for method, operation in methods.items():
            if operation["tags"] == [noun]:
                yield f"{method.upper()} {path}", operation


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def tags_of(text: str) -> list[tuple[str, dict[str, str | None]]]:
    """Each tag with its attributes, as a browser reads them."""
    parser = Tags()
    parser.feed(text)
    return parser.found


def section(text: str, name: str) -> str:
    found = re.search(rf'<section class="card" id="{name}".*?</section>', text, re.DOTALL)
    assert found, name
    return found[0]


def rows(text: str) -> list[str]:
    """The names in the first column of the tables."""
    return re.findall(r"<tr><td><code>([^<]*)</code>", text)


@NOUNS
def test_a_page_has_every_endpoint_of_its_noun_with_its_parameters_and_fields(
    client: FlaskClient, app: Flask, noun: str
) -> None:
    text, schemas = page_at(client, f"/docs/{noun}"), document(app, "")["components"]["schemas"]
    found = list(operations(app, noun))
    assert found
    for head, operation in found:
        shown = section(text, operation["operationId"])
        assert f"<code>{head}</code></h2>" in shown
        wanted = {each["name"] for each in operation["parameters"]}
        for described in operation.get("requestBody", {}).get("content", {}).values():
            name = described["schema"].get("$ref", "").rpartition("/")[2]
            wanted |= schemas.get(name, described["schema"])["properties"].keys()
        if 'href="/docs#paging"' in shown:
            wanted -= {"page", "per_page", "after", "count"}
        assert set(rows(shown)) == wanted, head


@NOUNS
def test_a_page_has_every_answer_and_error_that_is_not_everywhere(
    client: FlaskClient, app: Flask, noun: str
) -> None:
    text = page_at(client, f"/docs/{noun}")
    for _, operation in operations(app, noun):
        shown = section(text, operation["operationId"])
        statuses = set(re.findall(r"<li><strong>(\w+)</strong>", shown))
        assert statuses == operation["responses"].keys() - ERRORS_OF_ALL


def test_errors_that_are_everywhere_are_on_the_first_page(client: FlaskClient) -> None:
    text = page_at(client, "/docs")
    described = re.findall(r"<tr><td>(\d+(?:, \d+)*)<td>", text)
    assert {status for each in described for status in each.split(", ")} >= ERRORS_OF_ALL


def test_the_first_page_leads_to_every_endpoint_and_no_link_leads_nowhere(
    client: FlaskClient, app: Flask
) -> None:
    pages = {path: page_at(client, path) for path in ("/docs", *(f"/docs/{noun}" for noun in TAGS))}
    ids = {path: set(re.findall(r'\bid="([^"]+)"', text)) for path, text in pages.items()}
    led = set()
    for path, text in pages.items():
        assert len(re.findall(r'\bid="', text)) == len(ids[path]), path
        for link in re.findall(r'href="((?:/docs[^"#]*)?)#([^"]+)"', text):
            where = link[0] or path
            assert link[1] in ids[where], (path, link)
            led.add(link[1])
    assert led >= {
        operation["operationId"] for noun in TAGS for _, operation in operations(app, noun)
    }


def test_every_object_that_a_type_names_is_described_on_its_page(
    client: FlaskClient, app: Flask
) -> None:
    schemas = document(app, "")["components"]["schemas"]
    text = page_at(client, "/docs/urls")
    for name in ("Url", "UrlStats", "Share", "UrlOutcome", "BadRow"):
        assert set(rows(section(text, name))) == schemas[name]["properties"].keys()


@pytest.mark.parametrize(
    ("schema", "kind", "rules"),
    [
        ({"type": "string", "minLength": 1, "maxLength": 255}, "string", "1 to 255 characters"),
        ({"type": "string", "minLength": 0, "maxLength": 9}, "string", "at most 9 characters"),
        ({"type": "integer", "minimum": 1, "maximum": 2**63 - 1}, "integer", "at least 1"),
        ({"type": "integer", "minimum": 100, "maximum": 1000}, "integer", "100 to 1,000"),
        ({"type": "string", "enum": ["a", "b", "c"]}, "string", "a, b or c"),
        ({"type": "string", "const": "true"}, "string", "always true"),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, "boolean or null", ""),
        ({"$ref": "#/components/schemas/Url"}, "Url", ""),
        (
            {"type": "array", "maxItems": 20, "items": {"type": "string", "maxLength": 50}},
            "list of string",
            "at most 20 of them, each at most 50 characters",
        ),
        (
            {"type": "object", "additionalProperties": {"type": "string"}},
            "object of string",
            "",
        ),
        ({"type": "string", "format": "binary"}, "file", ""),
    ],
)
def test_a_schema_in_words(schema: dict[str, Any], kind: str, rules: str) -> None:
    row = row_of("name", schema, False)
    assert (row.type, row.rules) == (kind, rules)


def test_every_pattern_of_the_document_is_said_in_words(app: Flask) -> None:
    text = json.dumps(document(app, ""))
    patterns = {
        json.loads(f'"{each}"') for each in re.findall(r'"pattern": "((?:\\.|[^"])*)"', text)
    }
    silent = patterns - PATTERNS.keys()
    assert PATTERNS.keys() <= patterns
    assert len(silent) == 5, "a new pattern needs words in app/pages/fields.py"


def test_an_unknown_noun_is_a_404_page(client: FlaskClient) -> None:
    answer = client.get("/docs/nouns", headers=BROWSER)
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "There is nothing at /docs/nouns" in answer.text


def test_a_page_that_is_the_same_is_not_sent_again(client: FlaskClient) -> None:
    for path in ("/docs", "/docs/urls"):
        first = client.get(path)
        assert first.headers["Cache-Control"] == "private, no-cache"
        again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")


def test_where_keys_are_needed_examples_have_one_and_scopes_are_named(
    client: FlaskClient, given_with: Callable[..., None]
) -> None:
    assert "HOLDFAST_KEY" not in page_at(client, "/docs/urls")
    given_with(auth="on")
    shown = section(page_at(client, "/docs/urls"), "create_url")
    assert shown.count("HOLDFAST_KEY") == 3
    assert "scope create, write, admin" in shown
    assert "HOLDFAST_KEY" not in section(page_at(client, "/docs/redirects"), "follow_code")


def test_the_first_page_stays_below_60_kb_and_all_pages_below_80(client: FlaskClient) -> None:
    both = sum(len(client.get(assets.address(name)).data) for name in ("style.css", "script.js"))
    assert len(page_at(client, "/docs").encode()) + both < 60_000
    for noun in TAGS:
        assert len(page_at(client, f"/docs/{noun}").encode()) + both < 80_000


# ---- the bookmarklet ----


def bookmarklet(text: str) -> str:
    found = re.search(r'href="(javascript:[^"]*)"', text)
    assert found
    return unescape(found[1])


def test_the_bookmarklet_opens_the_form_of_this_server(client: FlaskClient) -> None:
    text = page_at(client, "/docs")
    shown = bookmarklet(text)
    assert shown.startswith("javascript:void(open('http://localhost/?url='+encodeURIComponent(")
    assert f"<pre><code>{shown}</code></pre>" in unescape(text)


@pytest.mark.parametrize("host", ["'+alert(1)+'", 'x"><script>', "a b"])
def test_no_host_gets_into_the_bookmarklet(client: FlaskClient, host: str) -> None:
    text = client.get("/docs", headers={**BROWSER, "Host": host}).text
    assert "alert(1)" not in text
    assert "<script>" not in text


def test_a_quote_in_the_base_url_stays_a_part_of_it(
    client: FlaskClient, given_with: Callable[..., None]
) -> None:
    given_with(base_url="https://example.com/it's")
    assert "open('https://example.com/it%27s/?url='+" in bookmarklet(page_at(client, "/docs"))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/?a=1&b=2#c",
        "javascript:alert(1)",
        '"><script>alert(1)</script>',
        "' onfocus='alert(1)",
        "https://example.com/\u202e",
    ],
)
def test_the_form_is_filled_with_any_text_and_nothing_is_made(
    client: FlaskClient, url: str
) -> None:
    text = client.get("/", query_string={"url": url, "title": url}, headers=BROWSER).text
    tags = tags_of(text)
    values = {tag["id"]: tag["value"] for name, tag in tags if {"id", "value"} <= tag.keys()}
    assert values["url"] == values["title"] == url
    assert sum(name == "script" for name, _ in tags) == 1
    assert not [name for _, tag in tags for name in tag if name.startswith("on")]
    assert client.get("/urls").json == []


# ---- try it ----


def test_trying_it_loads_and_sends_nothing_elsewhere(client: FlaskClient) -> None:
    answer = client.get("/docs/try", headers=BROWSER)
    policy = answer.headers["Content-Security-Policy"]
    assert policy == docs.TRY_POLICY
    assert "unsafe" not in policy
    assert not re.search(r"https?://|<style|\sstyle=|<script>", answer.text)
    for other in ("/docs", "/docs/urls"):
        assert "data:" not in client.get(other).headers["Content-Security-Policy"]


def test_trying_it_needs_two_requests_for_swagger_ui_that_are_kept_for_a_year(
    client: FlaskClient,
) -> None:
    text = page_at(client, "/docs/try")
    loaded = re.findall(r'(?:src|<link [^>]*href)="([^"]*)"', text)
    assert len(loaded) == 3
    for path in loaded:
        plain = client.get(path)
        packed = client.get(path, headers={"Accept-Encoding": "gzip"})
        assert plain.status_code == 200
        assert plain.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert "Content-Encoding" not in plain.headers
        if "swagger" in path:
            assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
            assert gzip.decompress(packed.data) == plain.data
            assert len(packed.data) < len(plain.data) / 3


def test_the_document_is_checked_by_no_other_website() -> None:
    script = Path(assets.__file__).with_name("static") / "try.js"
    assert "validatorUrl: null" in script.read_text()  # else Swagger UI asks its makers' server
