"""POST /users/bulk: what a file may look like, and what becomes of its rows."""

from __future__ import annotations

from datetime import datetime

import pytest
from flask.testing import FlaskClient

from app.database import now
from tests.conftest import Api
from tests.imports.uploads import post_csv, tables


def test_the_report_counts_every_row_of_the_file(client: FlaskClient, api: Api) -> None:
    api.user("eve")
    answer = post_csv(
        client, "username,email\nada,ada@example.com\neve,eve@example.com\nbob,nonsense\n"
    )
    assert answer.status_code == 201
    assert answer.json == {
        "imported": 2,
        "count": 2,
        "created": 1,
        "skipped": 1,
        "failed": 1,
        "total": 3,
        "errors": [{"line": 4, "error": "email: not a valid email address", "value": "nonsense"}],
    }


@pytest.mark.parametrize(
    "content",
    [
        b"username,email\nada,ada@example.com\n",
        b"username,email\nada,ada@example.com",
        b"\xef\xbb\xbfusername,email\nada,ada@example.com\n",
        b'\xef\xbb\xbf"username","email"\n"ada","ada@example.com"\n',
        b"username,email\r\nada,ada@example.com\r\n",
        b"username,email\rada,ada@example.com\r",
        b"username;email\nada;ada@example.com\n",
        b"username\temail\nada\tada@example.com\n",
        b" Email ,\tUSERNAME \n ada@example.com ,  ada\n",
        b"colour,email,size,username\nred,ada@example.com,3,ada\n",
        b"username,email,created_at,id\nada,ada@example.com\n",
        b"username,email\n\n\nada,ada@example.com,\n\n",
    ],
)
def test_a_file_of_any_usual_form_is_read(client: FlaskClient, api: Api, content: bytes) -> None:
    answer = post_csv(client, content)
    assert (answer.status_code, answer.json["imported"], answer.json["failed"]) == (201, 1, 0)
    assert [(user["username"], user["email"]) for user in api.get("/users")] == [
        ("ada", "ada@example.com")
    ]


def test_what_is_quoted_is_kept_as_it_is(client: FlaskClient, api: Api) -> None:
    post_csv(client, 'username;email\n"a;d""a\nb\\c\td";ada@example.com\nÄöß 💡;"ü@exämple.com"\n')
    assert [user["username"] for user in api.get("/users")] == ['a;d"a\nb\\c\td', "Äöß 💡"]


def test_lines_are_counted_as_an_editor_does_also_after_quoted_newlines(
    client: FlaskClient,
) -> None:
    answer = post_csv(
        client,
        'note,username,email\n"one\r\ntwo\nthree",ada,ada@example.com\n\n"x\ny",bob,bad\nz,eve,worse\n',
    )
    assert [error["line"] for error in answer.json["errors"]] == [6, 8]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2024-01-31 10:20:30", "2024-01-31T10:20:30"),
        ("2024-01-31T10:20:30", "2024-01-31T10:20:30"),
        ("2024-01-31 10:20:30.987654", "2024-01-31T10:20:30"),
        ("2024-01-31T10:20:30.9Z", "2024-01-31T10:20:30"),
        ("2024-01-31T10:20:30Z", "2024-01-31T10:20:30"),
        ("2024-01-31T00:20:30+02:00", "2024-01-30T22:20:30"),
        ("2024-01-31 22:20:30-0530", "2024-02-01T03:50:30"),
        ("2024-01-31 10:20+01", "2024-01-31T09:20:00"),
        ("2024-01-31 102030.5", "2024-01-31T10:20:30"),
        (" 2024-01-31 ", "2024-01-31T00:00:00"),
    ],
)
def test_dates_become_utc(client: FlaskClient, api: Api, given: str, kept: str) -> None:
    assert (
        post_csv(client, f"username,email,created_at\nada,ada@example.com,{given}\n").json[
            "created"
        ]
        == 1
    )
    assert api.get("/users")[0]["created_at"] == kept


def test_an_empty_date_is_now(client: FlaskClient, api: Api) -> None:
    before = now()
    post_csv(client, "username,email,created_at\nada,ada@example.com,\n")
    assert before <= datetime.fromisoformat(api.get("/users")[0]["created_at"]) <= now()


@pytest.mark.parametrize(
    ("row", "error", "value"),
    [
        ("bob", "email: is missing", ""),
        (",bob@example.com", "username: must not be empty", ""),
        ("   ,bob@example.com", "username: must not be empty", "   "),
        ("bob,", "email: must not be empty", ""),
        ("bob,bob@", "email: not a valid email address", "bob@"),
        (f"{'b' * 101},bob@example.com", "username: must be at most 100 characters", "b" * 100),
        (f"bob,{'b' * 250}@example.com", "email: must be at most 255 characters", "b" * 100),
        ("b\x00b,bob@example.com", "contains NUL or is not valid UTF-8", r"b\x00b,bob@example.com"),
        ("bob,bob@example.com,yesterday", "created_at: is not a date", "yesterday"),
        ("bob,bob@example.com,2024-02-30", "created_at: is not a date", "2024-02-30"),
        (
            "bob,bob@example.com,0001-01-01T00:00:00+01:00",
            "created_at: is not a date",
            "0001-01-01T00:00:00+01:00",
        ),
        (
            "bob,bob@example.com,2024-01-01,more",
            "has 4 fields where the header has 3",
            "bob,bob@example.com,2024-01-01,more",
        ),
        (
            f"{'b' * 140_000}\x00,bob@example.com",
            "is not readable as CSV: field larger than field limit (131072)",
            "",
        ),
    ],
)
def test_a_bad_row_is_reported_with_its_line_and_value_and_the_rest_is_imported(
    client: FlaskClient, api: Api, row: str, error: str, value: str
) -> None:
    answer = post_csv(
        client, f"username,email,created_at\nada,ada@example.com,\n{row}\neve,eve@example.com,\n"
    )
    assert answer.status_code == 201
    assert answer.json["errors"] == [{"line": 3, "error": error, "value": value}]
    assert [answer.json[name] for name in ("imported", "failed", "total")] == [2, 1, 3]
    assert [user["username"] for user in api.get("/users")] == ["ada", "eve"]


def test_at_most_100_errors_are_listed_but_all_are_counted(client: FlaskClient) -> None:
    answer = post_csv(client, "username,email\n" + "bob,bad\n" * 150 + "ada,ada@example.com\n")
    assert (len(answer.json["errors"]), answer.json["failed"], answer.json["imported"]) == (
        100,
        150,
        1,
    )


def test_ids_are_kept_and_new_ones_follow_them(client: FlaskClient, api: Api) -> None:
    post_csv(
        client,
        "id,username,email\n700,ada,ada@example.com\n,bob,bob@example.com\n300,eve,eve@example.com\n",
    )
    ids = {user["username"]: user["id"] for user in api.get("/users")}
    assert (ids["ada"], ids["eve"]) == (700, 300)
    assert ids["bob"] > 700
    assert api.user("zoe")["id"] > ids["bob"]


def test_the_largest_id_of_all_is_replaced_so_that_there_is_a_next_one(
    client: FlaskClient, api: Api
) -> None:
    assert (
        post_csv(client, "id,username,email\n9223372036854775807,ada,ada@example.com\n").json[
            "created"
        ]
        == 1
    )
    assert api.get("/users")[0]["id"] < api.user("bob")["id"] < 2**63 - 1


@pytest.mark.parametrize(
    "identity", ["0", "-1", "x", "1.5", "٣", "9223372036854775807", "9223372036854775808", "9" * 40]
)
def test_an_id_that_cannot_be_kept_is_replaced_and_the_sequence_goes_on(
    client: FlaskClient, api: Api, identity: str
) -> None:
    answer = post_csv(
        client,
        f"id,username,email\n{identity},ada,ada@example.com\n{identity},bob,bob@example.com\n",
    )
    assert (answer.json["created"], answer.json["failed"]) == (2, 0)
    ids = [user["id"] for user in api.get("/users")] + [
        api.user("eve")["id"],
        api.user("zoe")["id"],
    ]
    assert len(set(ids)) == 4
    assert all(0 < each < 2**63 for each in ids)


def test_a_taken_id_is_replaced(client: FlaskClient, api: Api) -> None:
    first = api.user("ada")["id"]
    answer = post_csv(
        client,
        f"id,username,email\n{first},bob,bob@example.com\n"
        f"{first + 5},eve,eve@example.com\n{first + 5},zoe,zoe@example.com\n",
    )
    assert answer.json["created"] == 3
    ids = {user["username"]: user["id"] for user in api.get("/users")}
    assert (ids["ada"], ids["eve"]) == (first, first + 5)
    assert min(ids["bob"], ids["zoe"]) > first + 5


def test_who_is_twice_in_the_file_or_stored_is_stored_once_and_counted(
    client: FlaskClient, api: Api
) -> None:
    api.user("ada")
    answer = post_csv(
        client,
        "username,email\nada,other@example.com\nnew,ADA@Example.com\nbob,bob@example.com\nbob,bob2@example.com\nrob,BOB@example.com\nbob,bob@example.com\n",
    )
    assert [
        answer.json[name] for name in ("imported", "created", "skipped", "failed", "total")
    ] == [6, 1, 5, 0, 6]
    assert [user["email"] for user in api.get("/users")] == ["ada@example.com", "bob@example.com"]


def test_a_row_that_shares_something_only_with_a_repeated_row_is_an_account_of_its_own(
    client: FlaskClient, api: Api
) -> None:
    content = "username,email\n" + "".join(
        f"u{(n + 1) // 2},e{n // 2}@example.com\n" for n in range(41)
    )
    assert (
        post_csv(client, content).json["created"],
        post_csv(client, content).json["created"],
    ) == (21, 0)
    assert [user["username"] for user in api.get("/users?per_page=100")] == [
        f"u{n}" for n in range(21)
    ]


def test_the_same_file_again_answers_the_same_and_changes_nothing(client: FlaskClient) -> None:
    content = (
        "id,username,email,created_at\n5,ada,ada@example.com,\n5,bob,bob@example.com,\n"
        "x,eve,eve@example.com,\n7,bob,rob@example.com,\n8,zoe,\n"
    )
    first = post_csv(client, content).json
    before = tables()
    again = post_csv(client, content).json
    assert [again[name] for name in ("imported", "created", "failed", "total")] == [
        first["imported"],
        0,
        1,
        5,
    ]
    assert tables() == before


def test_a_file_of_nothing_but_a_header_imports_nothing(client: FlaskClient) -> None:
    for content in ("username,email", "email;username\r\n", "username,email\n\n\n"):
        answer = post_csv(client, content)
        assert (answer.status_code, answer.json) == (
            201,
            {
                "imported": 0,
                "count": 0,
                "created": 0,
                "skipped": 0,
                "failed": 0,
                "total": 0,
                "errors": [],
            },
        )
