"""What an import makes of a link's rules, tags and counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.database import db
from app.imports import importing
from app.imports.report import LoadReport
from tests.conftest import Api

HEADER = (
    "short_code,original_url,expires_at,expired_url,max_clicks,redirect_status,forward_query,tags,"
    "click_count,people_count,robot_count\n"
)


@pytest.fixture
def load(api: Api, tmp_path: Path) -> Any:
    def write_and_load(*contents: str, **options: Any) -> LoadReport:
        paths = []
        for number, content in enumerate(contents):
            (tmp_path / f"{number}").write_text(content, newline="")
            paths.append(str(tmp_path / f"{number}"))
        return importing.load(paths, **options)

    return write_and_load


def row(code: str, columns: str) -> Any:
    return db.execute_sql(f"SELECT {columns} FROM urls WHERE short_code = '{code}'").fetchone()


def tags(code: str) -> set[str]:
    found = db.execute_sql(
        f"SELECT tag FROM url_tags JOIN urls ON urls.id = url_id WHERE short_code = '{code}'"
    )
    return {tag for (tag,) in found.fetchall()}


RULES = (
    "expires_at, expired_url, max_clicks, redirect_status, forward_query, tags, click_count, "
    "people_count, robot_count"
)


def test_all_rules_of_a_link_are_stored(load: Any) -> None:
    report = load(
        HEADER + "full,https://example.com/,2020-01-02T03:04:05+01:00,https://example.com/over,7,"
        '308,true,"[""b, c"", ""a|d""]",9,5,4\n'
        "none,https://example.com/,,,,,,,,,\n"
    )
    assert (report.files[0].created, report.files[0].errors) == (2, [])
    moment, *rest = row("full", RULES)
    assert str(moment) == "2020-01-02 02:04:05"
    assert rest == ["https://example.com/over", 7, 308, 1, '["b, c", "a|d"]', 9, 5, 4]
    assert tags("full") == {"b, c", "a|d"}
    assert row("none", RULES) == (None, None, None, 302, 0, "[]", 0, 0, 0)
    assert tags("none") == set()


def test_a_file_without_rules_makes_plain_links(load: Any) -> None:
    load("short_code,original_url\nplain,https://example.com/\n")
    assert row("plain", RULES) == (None, None, None, 302, 0, "[]", 0, 0, 0)


@pytest.mark.parametrize("cell", ["a, b ,a,,", "a|b", '"[""a"",""b""]"', " b | a"])
def test_tags_are_an_array_or_are_between_commas_or_bars(load: Any, cell: str) -> None:
    quoted = cell if cell.startswith('"') else f'"{cell}"'
    load(f"short_code,original_url,tags\nx,https://example.com/,{quoted}\n")
    assert tags("x") == {"a", "b"}


BAD = {
    "max_clicks,0": "max_clicks: must be from 1 to 2^63 - 1",
    "max_clicks,-1": "max_clicks: must be from 1 to 2^63 - 1",
    "redirect_status,303": "redirect_status: must be 301, 302, 307 or 308",
    "expires_at,soon": "expires_at: is not a date",
    "expired_url,example": "expired_url: must be an absolute http or https URL with a host",
    "forward_query,maybe": "forward_query: must be true or false",
    "click_count,-1": "click_count: must be a whole number from 0",
    f"tags,{'t' * 51}": "tags: must be at most 50 characters",
    f'tags,"{",".join(map(str, range(21)))}"': "tags: must be at most 20 tags",
    "tags,[1]": "tags: must be a JSON array of texts",
    'tags,"[""""]"': "tags: must not be empty",
    'tags,"[""\\u0000""]"': "tags: must not contain NUL or lone surrogates",
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_rule_is_a_bad_row(load: Any, case: str) -> None:
    name, _, cell = case.partition(",")
    report = load(f"short_code,original_url,{name}\nx,https://example.com/,{cell}\n")
    assert [bad.reason for bad in report.files[0].errors] == [BAD[case]]


LINKS = "id,short_code,original_url,click_count\n11,x,https://example.com/,5\n"


def clicks(*numbers: int) -> str:
    rows = "".join(f"{number},11,clicked,2024-01-06,\n" for number in numbers)
    return f"id,url_id,event_type,timestamp,details\n{rows}"


def test_clicks_of_an_imported_count_are_part_of_it(load: Any) -> None:
    load(LINKS, clicks(1, 2, 3))
    assert row("x", "click_count") == (5,)
    load(clicks(4, 5))
    assert row("x", "click_count") == (5,)
    load(clicks(5, 6, 7))
    assert row("x", "click_count") == (7,)


def test_more_clicks_than_the_imported_count_are_added(load: Any) -> None:
    load(LINKS, clicks(*range(1, 8)))
    assert row("x", "click_count") == (7,)


def test_clicks_after_the_import_are_added(load: Any, api: Api) -> None:
    load(LINKS)
    api.client.get("/x")
    load(clicks(*range(101, 106)))
    assert api.get("/urls/11")["click_count"] == 6


def test_a_code_of_another_link_is_a_conflict_and_stays_as_it_is(load: Any, api: Api) -> None:
    load("short_code,original_url\nx,https://example.com/\ngone,https://example.com/\n")
    api.client.delete(f"/urls/{row('gone', 'id')[0]}")
    report = load(
        "short_code,original_url\nx,https://example.com/2\nx,https://example.com/\n"
        "gone,https://example.com/\nnew,https://example.com/\nnew,https://example.com/2\n"
    ).files[0]
    assert (report.created, report.skipped, report.conflicts) == (1, 4, 3)
    assert report.taken == [
        (line, "short_code: is taken by another link", code)
        for line, code in ((2, "x"), (4, "gone"), (6, "new"))
    ]
    assert row("x", "original_url") == ("https://example.com/",)


def test_a_conflict_has_no_other_note(load: Any) -> None:
    report = load("short_code,original_url\nx,https://example.com/\nx,https://example.com/2\n")
    assert report.notes == []


@pytest.mark.parametrize("size", [1, 3])
def test_a_dry_run_reports_what_an_import_would_and_stores_nothing(load: Any, size: int) -> None:
    load("id,short_code,original_url\n5,y,https://example.com/\n")
    files = (
        "id,username,email\n3,ada,ada@example.com\n3,bob,bob@example.com\n,ada,eve@example.com\n",
        "id,user_id,short_code,original_url,tags,click_count\n"
        "5,3,a,https://example.com/,t,1\n,,b,https://example.com/,,\n,,y,https://example.com/2,,\n"
        f"{2**62 + 1},8,c,https://example.com/,,\n",
        "id,url_id,event_type,timestamp\n1,5,clicked,2024-01-01\n,5,clicked,2024-01-01\n",
    )[:size]
    before = everything()
    dry = load(*files, dry_run=True)
    assert everything() == before
    real = load(*files)
    assert [(each.created, each.skipped, each.taken) for each in dry.files] == [
        (each.created, each.skipped, each.taken) for each in real.files
    ]
    assert len(dry.notes) == len(real.notes)


def everything() -> list[Any]:
    return [
        db.execute_sql(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
        for table in ("users", "urls", "url_tags", "events", "imported_counts")
    ]


def test_a_dry_run_uses_no_ids(load: Any, api: Api) -> None:
    load(f"id,username,email\n{2**61},ada,ada@example.com\n,bob,bob@example.com\n", dry_run=True)
    assert api.user("eve")["id"] < 2**61


def test_the_code_of_a_deleted_users_link_is_a_conflict(load: Any, api: Api) -> None:
    user = api.user("ada")
    code = api.url(user_id=user["id"])["short_code"]
    api.client.delete(f"/users/{user['id']}")
    report = load(
        f"short_code,original_url\n{code},https://example.com/\nnew,https://example.com/\n"
    ).files[0]
    assert (report.created, report.skipped, report.conflicts) == (1, 1, 1)
    assert report.taken == [(2, "short_code: is taken by another link", code)]
    assert row(code, "id") is None
