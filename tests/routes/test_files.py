"""The three CSV exports and the import of files over HTTP."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from app.database import db
from tests.answers import check
from tests.conftest import Api
from tests.imports.uploads import post_file

LINKS = "short_code,original_url,title\n"


def rows(api: Api, path: str) -> list[dict[str, str]]:
    answer = check(api.client.get(path), 200)
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def test_an_export_is_a_file_to_be_saved(api: Api) -> None:
    for name in ("users.csv", "urls.csv", "events.csv"):
        answer = api.client.get(f"/{name}")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
        assert answer.text.startswith("id,")
        assert answer.text.count("\r\n") == 1


def test_an_export_has_the_rows_of_the_lists_filters(api: Api) -> None:
    ada, bob = api.user("ada"), api.user("bob")
    first, second = api.url(user_id=ada["id"]), api.url(user_id=bob["id"])
    api.client.put(f"/urls/{second['id']}", json={"is_active": False})
    api.follow(first, 2)
    assert [row["username"] for row in rows(api, "/users.csv")] == ["ada", "bob"]
    codes = {
        path: [row["short_code"] for row in rows(api, f"/urls.csv{path}")]
        for path in ("", f"?user_id={ada['id']}", "?is_active=false", f"?user_id={2**63}")
    }
    assert list(codes.values()) == [
        [first["short_code"], second["short_code"]],
        [first["short_code"]],
        [second["short_code"]],
        [],
    ]
    path = f"/events.csv?url_id={first['id']}&type=click"
    assert [row["event_type"] for row in rows(api, path)] == ["clicked"] * 2
    assert [row["click_count"] for row in rows(api, "/urls.csv")] == ["2", "0"]


def test_what_is_deleted_is_not_exported_and_nothing_refers_to_it(api: Api) -> None:
    url = api.url()
    api.client.delete(f"/urls/{url['id']}")
    assert rows(api, "/urls.csv") == []
    found = rows(api, f"/events.csv?url_id={url['id']}")
    assert [(row["event_type"], row["url_id"]) for row in found] == [
        ("created", ""),
        ("deleted", ""),
    ]


def test_more_rows_than_are_read_at_once_are_all_exported(api: Api) -> None:
    values = ", ".join(f"('p{n}', 'p{n}@b.c', '2024-01-01')" for n in range(2500))
    db.execute_sql(f"INSERT INTO users (username, email, created_at) VALUES {values}")
    assert [row["username"] for row in rows(api, "/users.csv")] == [f"p{n}" for n in range(2500)]


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "'quoted", "''=", r"\N", "\uff1d1", "it's", "1-1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula_and_an_import_undoes_what_defused_it(api: Api, text: str) -> None:
    url = api.url(title=text)
    [row] = rows(api, "/urls.csv")
    assert row["title"][:1] not in {"=", "+", "-", "@", "\t", "\r"}
    assert row["title"] in {text, "'" + text}
    content = api.client.get("/urls.csv").data
    db.execute_sql("DELETE FROM urls")
    check(post_file(api.client, "/urls/import", content), 201)
    assert api.get(f"/urls/{url['id']}")["title"] == text


def test_an_unknown_filter_is_refused_where_strictness_is_preferred(api: Api) -> None:
    strict = {"Prefer": "handling=strict"}
    for name in ("users", "urls", "events"):
        check(api.client.get(f"/{name}.csv?nosuch=1", headers=strict), 400)
    check(api.client.get("/urls.csv?user_id=x"), 400)


def imported(api: Api, content: str, query: str = "", status: int = 201) -> Any:
    return check(post_file(api.client, f"/urls/import{query}", content), status).json


def test_links_are_imported_and_reported(api: Api) -> None:
    report = imported(
        api,
        f"{LINKS}new,https://example.com/,A\nnew,https://example.com/,A\n"
        "new,https://example.com/2,B\nusers,https://example.com/,\nbad,example,\n",
    )
    note = f"is the same as an earlier row, merged into id {api.get('/urls')[0]['id']}"
    assert report == {
        "imported": 2,
        "count": 2,
        "created": 1,
        "skipped": 1,
        "failed": 3,
        "total": 5,
        "errors": [
            {"line": 4, "error": "short_code: is taken by another link", "value": "new"},
            {"line": 5, "error": "short_code: is the name of a route", "value": "users"},
            {
                "line": 6,
                "error": "original_url: must be an absolute http or https URL with a host",
                "value": "example",
            },
        ],
        "kind": "urls",
        "conflicts": 1,
        "notes": [{"line": 3, "error": note, "value": ""}],
        "dry_run": False,
    }
    assert api.client.get("/new").headers["Location"] == "https://example.com/"


def test_a_code_that_led_nowhere_leads_to_its_imported_link_at_once(api: Api) -> None:
    assert api.client.get("/late").status_code == 404
    imported(api, f"{LINKS}late,https://example.com/late,\n")
    assert api.client.get("/late").headers["Location"] == "https://example.com/late"


def test_users_and_events_are_imported_too(api: Api) -> None:
    report = imported(api, "id,username,email\n7,ada,ada@example.com\n")
    assert (report["kind"], report["created"]) == ("users", 1)
    report = imported(api, "event_type,user_id\nshared,7\nshared,8\n")
    assert (report["kind"], report["created"]) == ("events", 2)
    assert report["notes"] == [
        {"line": 3, "error": "user_id refers to nothing, loaded without", "value": ""}
    ]


def test_a_dry_run_stores_nothing(api: Api) -> None:
    report = imported(api, f"{LINKS}new,https://example.com/,\n", "?dry_run=true")
    assert (report["created"], report["dry_run"]) == (1, True)
    assert api.get("/urls") == []
    assert imported(api, f"{LINKS}new,https://example.com/,\n")["created"] == 1


def test_when_all_rows_conflict_nothing_is_imported(api: Api) -> None:
    imported(api, f"{LINKS}x,https://example.com/,\n")
    answer = post_file(api.client, "/urls/import", f"{LINKS}x,https://example.com/2,\n")
    assert answer.status_code == 400
    refused: Any = answer.json
    assert refused["errors"] == {"line 2": "short_code: is taken by another link (got 'x')"}
    assert (refused["failed"], refused["conflicts"], refused["imported"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("query", "field"), [("?source=nosuch", "source"), ("?dry_run=maybe", "dry_run")]
)
def test_a_wrong_parameter_is_refused(api: Api, query: str, field: str) -> None:
    refused = imported(api, f"{LINKS}x,https://example.com/,\n", query, 400)
    assert list(refused["errors"]) == [field]
    assert api.get("/urls") == []


def test_a_file_of_another_system_is_imported_by_its_name(api: Api) -> None:
    report = imported(api, "keyword,url\nx,https://example.com/\n", "?source=yourls")
    assert report["created"] == 1
    refused = imported(api, "keyword,url\nx,https://example.com/\n", "?source=kutt", 400)
    assert list(refused["errors"]) == ["original_url", "short_code"]
