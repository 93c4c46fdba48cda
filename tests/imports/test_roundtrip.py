"""An export that is imported into an empty instance is exported again byte for byte the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.config import Settings
from app.database import db
from app.imports import exporting, importing
from app.models import Url
from tests.conftest import empty
from tests.imports.uploads import post_file

NAMES = ("users", "urls", "events")
BEGINNINGS = st.sampled_from(["", "=", "+", "-", "@", "'", "''", r"\N", '"', "\uff1d", "'\\N"])
ODD = st.sampled_from(["\n", "\r", "\r\n", "\t", ",", ";", '"', "'", "|", " ", "\u2028", "\x85"])
LETTERS = st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00")
INNER = st.lists(st.one_of(ODD, LETTERS), max_size=20).map("".join)
TEXT = st.builds("".join, st.tuples(BEGINNINGS, INNER)).filter(str.strip)
MOMENT = st.datetimes(datetime(2030, 1, 1), datetime(9000, 1, 1)).map(str)  # noqa: DTZ001
COUNTS = st.integers(0, 2**40)
TAGS = st.lists(TEXT.filter(lambda tag: len(tag.strip()) <= 50), max_size=5)
LINK = st.fixed_dictionaries(
    {
        "original_url": st.sampled_from(
            ["https://example.com/", "https://b\u00fccher.example/\u00e4?=,'"]
        )
    },
    optional={
        "short_code": st.from_regex(r"[A-Za-z0-9_-]{5,64}", fullmatch=True),
        "title": TEXT,
        "tags": TAGS,
        "expires_at": MOMENT,
        "expired_url": st.just("https://example.com/over"),
        "max_clicks": st.integers(1, 2**60),
        "redirect_status": st.sampled_from([301, 302, 307, 308]),
        "forward_query": st.booleans(),
        "is_active": st.booleans(),
    },
)
MAILBOX = st.from_regex(r"[+'=A-Za-z-][a-z'+=-]{0,9}", fullmatch=True)
EVENT = st.fixed_dictionaries(
    {"event_type": st.one_of(st.just("clicked"), TEXT.filter(lambda text: len(text) <= 50))},
    optional={"details": st.dictionaries(INNER, st.one_of(INNER, st.integers(), st.none()))},
)
WORLD = st.fixed_dictionaries(
    {
        "users": st.lists(st.tuples(TEXT, MAILBOX), max_size=3),
        "links": st.lists(st.tuples(LINK, COUNTS, st.integers(0, 3)), max_size=4),
        "events": st.lists(EVENT, max_size=4),
        "deleted": st.integers(0, 4),
    }
)
Clean = Callable[[], None]


@pytest.fixture
def clean(app: Flask, settings: Settings) -> Clean:
    return lambda: empty(settings)


def build(client: FlaskClient, world: dict[str, Any]) -> None:
    """Makes what `world` says as clients do; what is refused, because it is taken, is left out."""
    for name, mailbox in world["users"]:
        client.post("/users", json={"username": name, "email": f"{mailbox}@example.com"})
    owners = [user["id"] for user in client.get("/users").get_json()] + [None]
    for at, (link, count, clicks) in enumerate(world["links"]):
        made = client.post("/urls", json={**link, "user_id": owners[at % len(owners)]})
        if made.status_code == 201:
            follow(client, made.get_json(), count, clicks)
    urls = [url["id"] for url in client.get("/urls").get_json()]
    for at, event in enumerate(world["events"]):
        about = {"url_id": urls[at % len(urls)]} if urls else {}
        client.post("/events", json={**event, **about})
    for url_id in urls[world["deleted"] :][:1]:
        client.delete(f"/urls/{url_id}")


def follow(client: FlaskClient, url: dict[str, Any], count: int, clicks: int) -> None:
    """Clicks, and an earlier count without events."""
    for _ in range(clicks):
        client.get(f"/{url['short_code']}")
    counts = {"click_count": Url.click_count + count, "robot_count": count}
    Url.update(counts).where(Url.id == url["id"]).execute()


def exported(client: FlaskClient) -> dict[str, bytes]:
    return {name: client.get(f"/{name}.csv").data for name in NAMES}


def taken_back(client: FlaskClient, files: dict[str, bytes], *names: str) -> None:
    for name in names:
        report: Any = post_file(client, "/urls/import", files[name]).json
        assert (report["failed"], report["notes"]) == (0, []), report


def holds(client: FlaskClient, clean: Clean, world: dict[str, Any]) -> None:
    clean()
    build(client, world)
    files = exported(client)
    clean()
    taken_back(client, files, *NAMES)
    assert exported(client) == files
    clean()
    taken_back(client, files, "users", "urls")
    assert exported(client) | {"events": files["events"]} == files


@pytest.mark.parametrize("examples", [60])
def test_over_http(client: FlaskClient, clean: Clean, examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(WORLD)
    def property_holds(world: dict[str, Any]) -> None:
        holds(client, clean, world)

    property_holds()


def test_with_the_commands_and_all_files_at_once(
    client: FlaskClient, clean: Clean, tmp_path: Path
) -> None:
    @settings(
        max_examples=15,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(WORLD)
    def property_holds(world: dict[str, Any]) -> None:
        clean()
        build(client, world)
        exporting.export(tmp_path / "first")
        clean()
        files = sorted(map(str, (tmp_path / "first").iterdir()))
        report = importing.load(files)
        assert [file.failed for file in report.files] == [0] * 4
        assert report.notes == []
        exporting.export(tmp_path / "second")
        for file in (tmp_path / "first").iterdir():
            assert (tmp_path / "second" / file.name).read_bytes() == file.read_bytes()

    property_holds()


def test_tags_are_found_again_after_an_import(client: FlaskClient, clean: Clean) -> None:
    tags = ["=a", "b,c|d", "\u00e9"]
    client.post("/urls", json={"original_url": "https://example.com/", "tags": tags})
    files = exported(client)
    clean()
    taken_back(client, files, "urls")
    found = db.execute_sql("SELECT tag FROM url_tags").fetchall()
    assert {tag for (tag,) in found} == set(tags)
