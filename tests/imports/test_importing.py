"""What real CSV files contain, and what loading them makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.errors import InvalidInput
from app.imports import importing
from app.imports.report import LoadReport
from tests.conftest import Api
from tests.imports.uploads import counts, tables

Load = Callable[..., LoadReport]

USERS = (
    "id,username,email,created_at\n1,ada,ada@example.com,2024-01-01 10:00:00\n"
    "2,bob,bob@example.com,2024-01-02 10:00:00\n"
)
URLS = (
    "id,user_id,short_code,original_url,title,is_active,created_at,updated_at\n"
    "11,1,abc123,https://example.com/a,First,True,2024-01-03 10:00:00,2024-01-03 10:00:00\n"
    "12,2,424242,https://example.com/b,,False,2024-01-04 10:00:00,2024-01-05 10:00:00\n"
)
EVENTS = (
    "id,url_id,user_id,event_type,timestamp,details\n"
    '101,11,1,created,2024-01-03 10:00:00,"{""short_code"": ""abc123"", ""original_url"": ""https://example.com/a""}"\n'
    '102,12,2,updated,2024-01-05 10:00:00,"{""field"": ""is_active"", ""new_value"": false}"\n'
)
PRODUCTS = "id,name,category,price,stock\n1,Mug,kitchen,12.50,3\n"


@pytest.fixture
def load(client: FlaskClient, tmp_path: Path) -> Load:
    """Loads files of these contents, in this order."""

    def write_and_load(*contents: str | bytes, strict: bool = False) -> LoadReport:
        paths = []
        for number, content in enumerate(contents):
            path = tmp_path / f"{number}.csv"
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            paths.append(str(path))
        return importing.load(paths, strict)

    return write_and_load


def _notes(report: LoadReport) -> list[str]:
    return [Path(note).name for note in report.notes]


def _reasons(report: LoadReport) -> list[tuple[int, str]]:
    return [(bad.line, bad.reason) for file in report.files for bad in file.errors]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_files_are_loaded_whole_in_whatever_order_they_are_given(
    load: Load, api: Api, order: Sequence[int]
) -> None:
    files = (USERS, URLS, EVENTS, PRODUCTS)
    report = load(*(files[number] for number in order))
    assert (report.notes, _reasons(report)) == ([], [])
    assert api.get("/users/2") == {
        "id": 2,
        "username": "bob",
        "email": "bob@example.com",
        "created_at": "2024-01-02T10:00:00",
    }
    assert api.get("/urls/12")["is_active"] is False
    assert api.get("/urls/11")["title"] == "First"
    assert api.get("/events/102")["details"] == {"field": "is_active", "new_value": False}
    assert api.get("/products")[0] == {
        "id": 1,
        "name": "Mug",
        "category": "kitchen",
        "price": 12.5,
        "stock": 3,
    }


def test_codes_of_digits_alone_and_loaded_links_work(load: Load, client: FlaskClient) -> None:
    load(USERS, URLS.replace("False", "t"))
    assert client.get("/424242").headers["Location"] == "https://example.com/b"


def test_loading_again_changes_nothing(load: Load) -> None:
    files = (
        USERS
        + "3,ADA,ada@EXAMPLE.com,\n,eve,eve@example.com,\n"
        + "9223372036854775807,zoe,zoe@example.com,\n",
        URLS
        + "13,3,abc123,https://example.com/c,,,,\n11,9,zzz,https://example.com/d,,1,2024-01-01,2024-01-01\n",
        EVENTS
        + ",11,,clicked,2024-01-07,{}\n,11,,clicked,2024-01-07,{}\n101,11,1,clicked,2024-01-08,x\n"
        + EVENTS.splitlines()[1],
        PRODUCTS + ",Cup,kitchen,3,0\n1,Jug,kitchen,8,1\n",
    )
    first = load(*files)
    before = tables()
    again = load(*files)
    assert tables() == before
    assert [file.created for file in again.files] == [0, 0, 0, 0]
    assert (
        [file.created + file.skipped for file in first.files]
        == [file.skipped for file in again.files]
        == [5, 4, 6, 3]
    )


def test_new_rows_get_ids_behind_the_loaded_ones(load: Load, api: Api) -> None:
    load(USERS, URLS, EVENTS, PRODUCTS)
    assert api.user("eve")["id"] > 2
    assert api.url()["id"] > 12
    assert api.event()["id"] > 102


def test_a_repeated_user_is_merged_and_what_is_its_own_follows(load: Load, api: Api) -> None:
    users = USERS + "3,ada,ada@other.example,\n4,carl,BOB@example.com,\n5,dora,dora@example.com,\n"
    urls = (
        URLS
        + "13,3,merge1,https://example.com/,,1,,\n14,4,merge2,https://example.com/,,1,,\n15,5,merge3,https://example.com/,,1,,\n"
    )
    events = EVENTS + "103,13,3,shared,2024-01-06,{}\n104,14,4,shared,2024-01-06,{}\n"
    report = load(events, urls, users)
    assert _notes(report) == [
        "2.csv:4: is the same as an earlier row, merged into id 1",
        "2.csv:5: is the same as an earlier row, merged into id 2",
    ]
    assert [user["username"] for user in api.get("/users")] == ["ada", "bob", "dora"]
    assert [api.get(f"/urls/{number}")["user_id"] for number in (13, 14, 15)] == [1, 2, 5]
    assert [api.get(f"/events/{number}")["user_id"] for number in (103, 104)] == [1, 2]


def test_a_user_who_is_stored_under_another_id_is_met_by_its_links(load: Load, api: Api) -> None:
    stored = api.user("ada")["id"]
    load(
        "id,username,email\n900001,ada,ada@example.com\n",
        "id,user_id,short_code,original_url\n77,900001,mine,https://example.com/\n",
    )
    assert api.get("/urls/77")["user_id"] == stored


def test_what_refers_to_a_row_that_got_a_new_id_refers_to_it_still(load: Load, api: Api) -> None:
    api.user("somebody")
    taken = api.get("/users")[0]["id"]
    load(
        f"id,username,email\n{taken},ada,ada@example.com\n9223372036854775807,bob,bob@example.com\n",
        f"id,user_id,short_code,original_url\n1,{taken},first1,https://example.com/\n2,9223372036854775807,second,https://example.com/\n",
    )
    names = {user["id"]: user["username"] for user in api.get("/users")}
    assert [names[url["user_id"]] for url in api.get("/urls")] == ["ada", "bob"]


@pytest.mark.parametrize("owner", ["999999", "0", "-4", "nobody", "9223372036854775808", "9" * 30])
def test_a_row_whose_owner_does_not_exist_is_loaded_without_and_reported(
    load: Load, api: Api, owner: str
) -> None:
    report = load(
        f"id,user_id,short_code,original_url\n5,{owner},abc123,https://example.com/\n",
        f"id,url_id,user_id,event_type\n6,{owner},{owner},shared\n",
    )
    assert api.get("/urls/5")["user_id"] is None
    assert (api.get("/events/6")["url_id"], api.get("/events/6")["user_id"]) == (None, None)
    assert _notes(report) == [
        "0.csv:2: user_id refers to nothing, loaded without",
        "1.csv:2: url_id refers to nothing, loaded without",
        "1.csv:2: user_id refers to nothing, loaded without",
    ]


@pytest.mark.parametrize(
    ("text", "active"),
    [
        *((t, True) for t in ("True", "true", "1", "t", "T", " TRUE ", "")),
        *((f, False) for f in ("False", "0", "f", "F")),
    ],
)
def test_booleans_of_every_spelling_are_read(load: Load, api: Api, text: str, active: bool) -> None:
    load(f"id,short_code,original_url,is_active\n1,abc123,https://example.com/,{text}\n")
    assert api.get("/urls/1")["is_active"] is active


@pytest.mark.parametrize(
    ("text", "details"),
    [
        ("", {}),
        ("{}", {}),
        (' {"a": [1, null, "ä"]} ', {"a": [1, None, "ä"]}),
        ("hello", {"raw": "hello"}),
        ("{'a': 1}", {"raw": "{'a': 1}"}),
        ("[1]", {"raw": "[1]"}),
        ("null", {"raw": "null"}),
        ('{"a": NaN}', {"raw": '{"a": NaN}'}),
        ('{"a": 1e999}', {"raw": '{"a": 1e999}'}),
        (r'{"a": "\u0000"}', {"raw": r'{"a": "\u0000"}'}),
        (r'{"\ud800": 1}', {"raw": r'{"\ud800": 1}'}),
        ('{"a": ' * 100 + "1" + "}" * 100, {"raw": '{"a": ' * 100 + "1" + "}" * 100}),
        ('{"a": ' * 2_000, {"raw": '{"a": ' * 2_000}),
    ],
    ids=range(13),
)
def test_details_that_are_no_json_object_are_kept_raw(
    load: Load, api: Api, text: str, details: dict[str, Any]
) -> None:
    quoted = text.replace('"', '""')
    load(f'event_type,details\nshared,"{quoted}"\n')
    assert [event["details"] for event in api.get("/events")] == [details]


def test_a_deleted_event_does_not_delete_an_active_link(load: Load, client: FlaskClient) -> None:
    load(USERS, URLS, EVENTS + '103,11,1,deleted,2024-01-06,"{""reason"": ""user_requested""}"\n')
    assert client.get("/abc123").status_code == 302


def test_clicks_are_counted_under_each_of_their_names(load: Load, api: Api) -> None:
    clicks = "".join(
        f",11,,{name},2024-01-06,{{}}\n"
        for name in ("clicked", "click", "redirect", "clicked", "shared")
    )
    load(USERS, URLS, EVENTS + clicks + ",999999,,clicked,2024-01-06,{}\n")
    assert api.get("/urls/11")["click_count"] == api.get("/urls/11/stats")["redirect_count"] == 4
    load(EVENTS + clicks + ",11,,clicked,2024-01-07,{}\n")
    assert api.get("/urls/11")["click_count"] == 5


BAD_ROWS = {
    "11,x": "original_url: is missing",
    "1,,https://example.com/,,": "short_code: must be 1 to 64 letters, digits, - or _",
    "1,a b,https://example.com/,,": "short_code: must be 1 to 64 letters, digits, - or _",
    f"1,{'a' * 65},https://example.com/,,": "short_code: must be 1 to 64 letters, digits, - or _",
    "1,metrics,https://example.com/,,": "short_code: is the name of a route",
    "1,x,example.com,,": "original_url: must be an absolute http or https URL",
    "1,x,javascript:alert(1),,": "original_url: must be an absolute http or https URL",
    f"1,x,https://example.com/,{'t' * 256},": "title: must be at most 255 characters",
    "1,x,https://example.com/,,perhaps": "is_active: must be true or false",
    "1,x\x00,https://example.com/,,": "contains NUL or is not valid UTF-8",
    "1,x,https://example.com/,a,1,2": "has 6 fields where the header has 5",
}


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS.items(), ids=range(len(BAD_ROWS)))
def test_a_bad_row_is_skipped_and_reported_with_line_and_reason(
    load: Load, row: str, reason: str
) -> None:
    report = load(
        f"id,short_code,original_url,title,is_active\n7,good01,https://example.com/\n{row}\n8,good02,https://example.com/\n"
    )
    [(line, said)] = _reasons(report)
    assert (line, said[: len(reason)]) == (3, reason)
    assert (report.files[0].created, counts()["urls"]) == (2, 2)


def test_bytes_that_are_not_utf8_spoil_one_row_only(load: Load, api: Api) -> None:
    report = load(b"username,email\nM\xfcller,m@example.com\nada,ada@example.com\n")
    assert _reasons(report) == [(2, "contains NUL or is not valid UTF-8")]
    assert [user["username"] for user in api.get("/users")] == ["ada"]


def test_bom_crlf_and_semicolons_are_read(load: Load) -> None:
    report = load("\ufeff" + USERS.replace(",", ";").replace("\n", "\r\n"))
    assert (report.files[0].created, report.files[0].failed) == (2, 0)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1,Mug,kitchen,cheap,1", "price: must be a number"),
        ("1,Mug,kitchen,NaN,1", "price: must be between 0 and 10,000,000,000"),
        ("1,Mug,kitchen,-1,1", "price: must be between 0 and 10,000,000,000"),
        ("1,Mug,kitchen,1,-1", "stock: must be a whole number from 0"),
        ("1,Mug,kitchen,1,some", "stock: must be a whole number from 0"),
    ],
)
def test_bad_products_are_reported(load: Load, row: str, reason: str) -> None:
    assert _reasons(load(f"id,name,category,price,stock\n{row}\n")) == [(2, reason)]


def test_strict_loading_stops_at_the_first_bad_row_with_nothing_loaded(load: Load) -> None:
    with pytest.raises(
        InvalidInput,
        match=r"1\.csv:3: original_url: must be an absolute http or https URL.*; "
        "nothing was loaded",
    ):
        load(
            USERS,
            "short_code,original_url\nabc123,https://example.com/\nabc124,nowhere\nabc125,neither\n",
            strict=True,
        )
    assert sum(counts().values()) == 0


def test_an_event_that_stands_twice_in_a_file_is_one_event(load: Load) -> None:
    report = load(USERS, URLS, EVENTS, EVENTS)
    assert counts()["events"] == 2
    assert (report.files[2].created, report.files[3].created, report.files[3].skipped) == (2, 0, 2)


def test_details_are_stored_as_json_text(load: Load, api: Api) -> None:
    load("event_type,details\nshared,not json\n")
    assert [json.loads(row[5]) for row in tables()["events"]] == [{"raw": "not json"}]
