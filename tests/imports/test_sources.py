"""What becomes of the links that other systems export."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from app.database import db
from app.errors import InvalidInput
from app.imports import importing
from app.imports.report import FileReport
from app.imports.sources import TABLES
from app.schemas import ImportQuery
from tests.conftest import Api, Command

FOLDER = Path(__file__).parent / "foreign"
SPRING = {
    "yourls.csv": ("2023-03-01 08:15:00", None, None, None, 302, [], 120),
    "shlink.csv": ("2022-05-06 05:08:09", None, None, None, 302, ["sale", "2022"], 120),
    "shlink-old.csv": ("2022-05-06 05:08:09", None, None, None, 302, ["sale", "2022"], 120),
    "shlink.json": (
        "2022-05-06 05:08:09",
        "2022-12-31 23:59:59",
        None,
        500,
        302,
        ["sale", "a,b"],
        120,
    ),
    "kutt.json": ("2021-02-03 04:05:06", "2021-12-31 00:00:00", None, None, 302, [], 120),
    "bitly.csv": ("2020-01-02 03:04:05", None, None, None, 302, ["sale", "2020"], 1120),
    "dub.csv": ("2024-01-02 03:04:05", None, None, None, 302, ["sale", "2024"], 120),
    "shortio.csv": (
        "2024-01-02 03:04:05",
        "2024-12-31 00:00:00",
        "https://example.com/over",
        500,
        301,
        ["sale", "2024"],
        120,
    ),
}
"""Of each file: created_at, expires_at, expired_url, max_clicks, redirect_status, tags, clicks."""
RULES = "created_at, expires_at, expired_url, max_clicks, redirect_status, tags, click_count"
OTHERS: dict[str, dict[str, str] | str] = {
    "yourls.csv": {"ozh": "http://planetozh.com/"},
    "shlink.csv": {},
    "shlink-old.csv": {},
    "shlink.json": {"plain": "https://example.com/plain"},
    "kutt.json": {"banned": "https://example.com/banned"},
    "bitly.csv": {"3xYz": "https://example.com/hash"},
    "dub.csv": {},
    "shortio.csv": {"plain": "https://example.com/plain"},
}
_BAD_CODE = "short_code: must be 1 to 64 letters, digits, - or _"
REFUSED = {
    "yourls.csv": [
        (4, _BAD_CODE),
        (5, "original_url: must be an absolute http or https URL with a host"),
    ],
    "shlink.csv": [(3, _BAD_CODE)],
    "kutt.json": [(33, "asks for a password, which links here cannot")],
    "dub.csv": [(3, _BAD_CODE)],
}


def load(name: str) -> FileReport:
    source = name.partition(".")[0].partition("-")[0]
    return importing.load([str(FOLDER / name)], source=source).files[0]


def read(code: str, columns: str) -> Any:
    return db.execute_sql(f"SELECT {columns} FROM urls WHERE short_code = '{code}'").fetchone()


@pytest.mark.parametrize("name", SPRING)
def test_a_link_keeps_its_code_and_all_that_both_systems_know(api: Api, name: str) -> None:
    load(name)
    assert read("spring", "original_url, title") == ("https://example.com/spring", "Spring sale")
    created, expires, *rest, tags, clicks = read("spring", RULES)
    shown = (str(created), expires and str(expires), *rest, json.loads(tags), clicks)
    assert shown == SPRING[name]


@pytest.mark.parametrize("name", SPRING)
def test_every_other_link_is_imported_or_refused_with_a_reason(api: Api, name: str) -> None:
    report = load(name)
    found = dict(db.execute_sql("SELECT short_code, original_url FROM urls").fetchall())
    assert found.pop("spring")
    assert found == OTHERS[name]
    assert [(bad.line, bad.reason) for bad in report.errors] == REFUSED.get(name, [])


@pytest.mark.parametrize("name", SPRING)
def test_a_second_import_changes_nothing(api: Api, name: str) -> None:
    first = load(name)
    before = db.execute_sql("SELECT * FROM urls ORDER BY id").fetchall()
    again = load(name)
    assert (again.created, again.skipped, again.conflicts) == (0, first.created, 0)
    assert db.execute_sql("SELECT * FROM urls ORDER BY id").fetchall() == before


def test_what_only_some_systems_know(api: Api) -> None:
    load("kutt.json")
    assert not read("banned", "is_active")[0]
    assert read("spring", "is_active")[0]
    db.execute_sql("DELETE FROM urls")
    load("shlink.json")
    assert read("spring", "people_count, robot_count") == (100, 20)
    assert [bool(read(code, "forward_query")[0]) for code in ("spring", "plain")] == [True, False]
    assert read("plain", "title, max_clicks, expires_at, tags") == (None, None, None, "[]")


def test_clicks_go_on_from_the_count_of_the_other_system(api: Api) -> None:
    load("yourls.csv")
    api.client.get("/spring")
    assert api.get("/urls")[0]["click_count"] == 121


def test_the_same_code_of_two_systems_is_a_conflict(api: Api) -> None:
    load("yourls.csv")
    db.execute_sql("UPDATE urls SET original_url = 'https://example.com/mine'")
    report = load("dub.csv")
    assert (report.created, report.conflicts) == (0, 1)
    assert report.taken == [(2, "short_code: is taken by another link", "spring")]


def imported(content: str | bytes, source: str) -> Any:
    raw = content.encode() if isinstance(content, str) else content
    return importing.import_file(io.BytesIO(raw), ImportQuery(source=source))  # type: ignore[arg-type]


@pytest.mark.parametrize("source", TABLES)
def test_a_file_of_another_system_is_refused(api: Api, source: str) -> None:
    with pytest.raises(InvalidInput, match=f"is no export of {source}"):
        imported("name,email\na,b\n", source)


ITEM = '{"address": "a%d", "target": "https://example.com/"}'


def test_pages_of_an_answer_one_after_another_are_one_file(api: Api) -> None:
    pages = (f'{{"total": 2, "data": [{ITEM % n}]}}\n' for n in range(3))
    assert imported("".join(pages), "kutt").created == 3


def test_a_bare_list_is_read_too_and_what_is_no_object_is_reported(api: Api) -> None:
    report = imported(f'\ufeff [{ITEM % 1},\n7, {ITEM % 2}, "x"]', "kutt")
    assert (report.created, report.failed) == (2, 2)
    assert [(bad.line, bad.error, bad.value) for bad in report.errors] == [
        (2, "must be a JSON object", '"x"'),
        (2, "must be a JSON object", "7"),
    ]


def test_items_may_be_cut_anywhere_between_two_readings(api: Api) -> None:
    title = "\\u00e9" * 400
    items = (
        f'{{"address": "a{n}", "target": "https://example.com/", "note": "{title}"}}'
        for n in range(300)
    )
    assert imported(f'{{"data": [{",".join(items)}]}}', "kutt").created == 300


BROKEN = {
    "without a list": '{"links": []}',
    "not closed": f'{{"data": [{ITEM % 1}',
    "no JSON": f'{{"data": [{ITEM % 1}, oops]}}',
    "too deep": '{"data": [' + "[" * 100_000 + "]" * 100_000 + "]}",
    "too long": '{"data": ["' + "x" * 2**22 + '"]}',
    "not UTF-8": b'{"data": [{"address": "\xff"}]}',
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_json_is_refused_and_nothing_is_stored(api: Api, case: str) -> None:
    with pytest.raises(InvalidInput):
        imported(BROKEN[case], "kutt")
    assert api.get("/urls") == []


def test_the_command_takes_a_source_and_a_dry_run(api: Api, holdfast: Command) -> None:
    dry = holdfast("import", "--source", "kutt", "--dry-run", FOLDER / "kutt.json")
    assert dry.exit_code == 0
    assert dry.output.splitlines()[0] == "A dry run: nothing is stored. Without --dry-run:"
    assert "Loaded 2 rows into Url" in dry.output
    done = holdfast("import", "--source", "kutt", FOLDER / "kutt.json")
    assert "Loaded 0 users, 2 URLs, 0 events" in done.output
    again = holdfast("import", "--source", "kutt", FOLDER / "kutt.json")
    assert "Loaded 0 rows into Url (2 were there already)" in again.output
