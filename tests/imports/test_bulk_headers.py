"""POST /users/bulk: headers, separators, blank lines and encodings as other programs write them."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.conftest import Api
from tests.imports.uploads import counts, post_csv

ADA = "ada,ada@example.com\n"
ENDLESS = '"\n' + f'",{"b" * 100_000},"\n' * 20
"""One row, for the end of each line is quoted."""


@pytest.mark.parametrize(
    "content",
    [
        '"size\nin cm","a,b;c\td",username,email\n1,2,ada,ada@example.com\n',
        '"a,b,c,d";username;email\n1;ada;ada@example.com\n',
        '"a;b;c;d",username,email\n1,ada,ada@example.com\n',
        'username;email;"one\r\n""two""\r\nthree"\r\nada;ada@example.com;1\r\n',
        "username;email;size, colour, weight, height\nada;ada@example.com;1\n",
        '"username", "email"\n"ada", "ada@example.com"\n',
        ' " USERNAME " ,EMAIL\nada,ada@example.com\n'.lstrip(),
        'username,email;"x\nada,ada@example.com\n'.replace(";", ",", 1).replace('"', ""),
        'userna"me,username,email\nx,ada,ada@example.com\n',
        "username,email,\nada,ada@example.com,\n",
        ",username,email\n0,ada,ada@example.com\n",
        "\xa0username\u3000,\temail\n" + ADA,
        "username,email\r\rada,ada@example.com\r",
        "username,email\n" + ADA + "\x0c\n",
        "sep=;\nusername;email\nada;ada@example.com\n",
        "sep=,\nusername,email\n" + ADA,
        "sep=\t\r\nusername\temail\r\nada\tada@example.com\r\n",
        '"sep=;"\r\nusername;email\r\nada;ada@example.com\r\n',
        "SEP=;\nusername;email\nada;ada@example.com\n",
        "sep=|\nusername|email\nada|ada@example.com\n",
        "sep=,,,\nusername,email\n" + ADA,
        "\ufeffsep=;\nusername;email\nada;ada@example.com\n",
        "sep=;\n\ufeffusername;email\nada;ada@example.com\n",
        "sep=;\n\n;;\nusername;email\nada;ada@example.com\n",
        'sep=;\nusername;email;"a,b,c,d,e"\nada;ada@example.com;\n',
        "\n\r\n  \n,,,\n;;\n\t\nusername,email\n" + ADA,
        "\ufeff\n\nusername,email\n" + ADA,
        '"",""\nusername,email\n' + ADA,
        'username,email\n\n,\n,,,,,,,\n  ,  \n"",""\n' + ADA + ",\n \n",
        "username;email\n;\n;;;;\nada;ada@example.com\n",
    ],
)
def test_what_other_programs_write_is_read(client: FlaskClient, api: Api, content: str) -> None:
    answer = post_csv(client, content)
    assert (answer.status_code, answer.json.get("total")) == (201, 1), answer.text
    assert [(user["username"], user["email"]) for user in api.get("/users")] == [
        ("ada", "ada@example.com")
    ]


@pytest.mark.parametrize(
    ("before", "line"),
    [
        ("username,email\n", 2),
        ("\n\nusername,email\n", 4),
        ("sep=,\nusername,email\n", 3),
        ("\r\n,,\r\nsep=,\r\n\r\nusername,email\r\n", 6),
        ('username,email,"a\nb\r\nc"\n', 4),
        ('\nsep=;\n\nusername;email;"a\n\nb"\n\n;;\n', 9),
        ("username,email\r\r\r", 4),
        ('username,email,note\n\n,,\nada,ada@example.com,"a\n\nb"\n\n', 8),
        ("username,email\n" + "a" * 3_000_000 + "\n", 3),
        ("username,email\n" + "a" * (2**20 - 1) + "\r\n", 3),
        ('username,email\n"' + ",\n" * 70_000 + '"\n"\n', 70_004),
        ("username,email\n" + ENDLESS, 23),
    ],
    ids=range(12),
)
def test_lines_are_numbered_as_in_an_editor(client: FlaskClient, before: str, line: int) -> None:
    separator = ";" if ";" in before.partition("username")[2][:2] else ","
    good = f"eve{separator}eve@example.com\n"
    answer = post_csv(client, before + f"bob{separator}nowhere\n{good}")
    assert answer.status_code == 201, answer.text
    assert [error for error in answer.json["errors"] if error["line"] == line] == [
        {"line": line, "error": "email: not a valid email address", "value": "nowhere"}
    ]


@pytest.mark.parametrize(
    "content",
    [
        ("username,email\n" + ADA).encode("utf-16"),
        ("username,email\n" + ADA).encode("utf-16-le"),
        ("username,email\n" + ADA).encode("utf-16-be"),
        ("\ufeffusername,email\n" + ADA).encode("utf-16-be"),
        ("\n\nusername,email\n" + ADA).encode("utf-16-le"),
        ("username,email\n" + ADA).encode("utf-32"),
        ("username,email\n" + ADA + "Zoë,zoe@example.com\n").encode("cp1252"),
        ("username,email,größe\n" + ADA).encode("cp1252"),
        ("sep=;\nusername;email;größe\nada;ada@example.com;\n").encode("cp1252"),
    ],
    ids=range(9),
)
def test_another_encoding_is_refused_with_advice(client: FlaskClient, content: bytes) -> None:
    answer = post_csv(client, content)
    assert (answer.status_code, counts()["users"]) == (400, 0)
    assert 'save it as "CSV UTF-8"' in answer.json["message"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Email,username,EMAIL\n", "The file has more than one column email"),
        ("sep=;\n\n", "The file is empty"),
        ("sep=;\n", "The file is empty"),
        (",,;\n\n \n", "The file is empty"),
        ("sep=;\nusername,email\n" + ADA, "The file has no column email and no column username"),
        ("sep=\nusername,email\n" + ADA, "The file has no column email and no column username"),
        ('username,email,"x\n' + "a\n" * 9_000, "The file is not a CSV file: its header "),
        ('"' + "a" * 2_000_000, "The file is not a CSV file: its header "),
        ("username,email," + "a," * 900_000, "The file is not a CSV file: its header "),
    ],
    ids=range(9),
)
def test_a_header_that_cannot_be_used_is_refused(
    client: FlaskClient, content: str, message: str
) -> None:
    answer = post_csv(client, content)
    assert (answer.status_code, counts()["users"]) == (400, 0)
    assert answer.json["message"].startswith(message), answer.json["message"]


def test_a_column_that_is_of_no_use_may_be_there_twice(client: FlaskClient) -> None:
    assert post_csv(client, "x,username,email,x\n1,ada,ada@example.com,2\n").json["created"] == 1


def test_a_row_that_is_too_long_is_one_bad_row(client: FlaskClient) -> None:
    rows = f"{'a,' * 1_000_000}\n" + ADA + ENDLESS + "bob,bob@example.com\n"
    report = post_csv(client, "username,email\n" + rows).json
    assert report["created"] == 2
    assert {"line": 2, "error": "is longer than 1,048,576 characters", "value": ""} in report[
        "errors"
    ]
