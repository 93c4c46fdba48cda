"""Numbers, dates, booleans and nothing as other programs write them into CSV files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.imports import importing
from app.imports.report import LoadReport
from tests.conftest import Api
from tests.imports.uploads import tables

Load = Callable[[str], LoadReport]


@pytest.fixture
def load(client: FlaskClient, tmp_path: Path) -> Load:
    def write_and_load(content: str) -> LoadReport:
        path = tmp_path / "some.csv"
        path.write_text(content)
        return importing.load([str(path)])

    return write_and_load


def _reasons(report: LoadReport) -> list[str]:
    return [bad.reason for bad in report.files[0].errors]


@pytest.mark.parametrize("seven", ["7", "7.0", "7.00", "7.", " 7.0 ", "007", "7.000000000000000"])
def test_a_whole_number_may_have_a_fraction_of_zero(load: Load, api: Api, seven: str) -> None:
    load(f"id,username,email\n{seven},ada,ada@example.com\n")
    load(f"id,user_id,short_code,original_url\n{seven},{seven},abc123,https://example.com/\n")
    load(f"id,url_id,user_id,event_type\n{seven},{seven},{seven},shared\n")
    load(f"id,name,category,price,stock\n{seven},Mug,kitchen,{seven},{seven}\n")
    assert api.get("/urls/7")["user_id"] == 7
    event: dict[str, Any] = api.get("/events/7")
    assert (event["url_id"], event["user_id"]) == (7, 7)
    [product] = tables()["products"]
    assert [float(product[place]) for place in (0, 3, 4)] == [7, 7, 7]


@pytest.mark.parametrize(
    "odd", ["7.5", "7.01", "7,0", "-7.0", "+7", "7e0", ".0", ".", "7.0.0", "\u0667", "1_0"]
)
def test_anything_else_is_no_whole_number(load: Load, api: Api, odd: str) -> None:
    quoted = f'"{odd}"'
    report = load(f"id,name,category,price,stock\n1,Mug,kitchen,1,{quoted}\n")
    assert _reasons(report) == ["stock: must be a whole number from 0"]
    report = load(f"id,user_id,short_code,original_url\n5,{quoted},a1,https://example.com/\n")
    assert api.get("/urls/5")["user_id"] is None
    assert report.notes[0].endswith("user_id refers to nothing, loaded without")


@pytest.mark.parametrize("zero", ["0", "0.0", "00", "0."])
def test_a_stock_may_be_zero(load: Load, zero: str) -> None:
    load(f"id,name,category,price,stock\n1,Mug,kitchen,1,{zero}\n")
    assert [product[4] for product in tables()["products"]] == [0]


NOTHING = ["", " ", "NULL", "null", "None", "NaN", "nan", "NaT", "<NA>", "N/A", "#N/A", r"\N"]


@pytest.mark.parametrize("nothing", NOTHING)
def test_nothing_has_many_names_where_no_text_can_stand(load: Load, api: Api, nothing: str) -> None:
    header = "id,user_id,short_code,original_url,is_active,created_at,updated_at\n"
    row = f"{nothing},{nothing},abc123,https://example.com/,{nothing},{nothing},{nothing}\n"
    report = load(header + row)
    assert (report.notes, _reasons(report)) == ([], [])
    [url] = api.get("/urls")
    assert (url["user_id"], url["is_active"]) == (None, True)


@pytest.mark.parametrize(("text", "title"), [("None", "None"), ("NULL", "NULL"), (r"\N", None)])
def test_a_title_is_text_and_only_what_no_text_can_be_is_nothing(
    load: Load, api: Api, text: str, title: str | None
) -> None:
    load(f"id,short_code,original_url,title\n1,abc123,https://example.com/,{text}\n")
    assert api.get("/urls/1")["title"] == title


@pytest.mark.parametrize(
    ("text", "active"),
    [("1.0", True), ("0.0", False), ("on", True), ("OFF", False), ("YES", True), ("No", False)],
)
def test_truth_has_many_names(load: Load, api: Api, text: str, active: bool) -> None:
    load(f"id,short_code,original_url,is_active\n1,abc123,https://example.com/,{text}\n")
    assert api.get("/urls/1")["is_active"] is active


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-31 10:20:30 UTC", "2024-01-31T10:20:30"),
        ("2024-01-31 10:20:30 +0200", "2024-01-31T08:20:30"),
        ("2024-01-31t10:20:30z", "2024-01-31T10:20:30"),
        ("2024-01-31T10:20:30.123456789Z", "2024-01-31T10:20:30"),
        ("2024-01-31 10:20:30.5-05", "2024-01-31T15:20:30"),
        ("20240131T102030Z", "2024-01-31T10:20:30"),
        ("20240131", "2024-01-31T00:00:00"),
    ],
)
def test_moments_have_many_forms(load: Load, api: Api, text: str, moment: str) -> None:
    load(f"id,username,email,created_at\n5,ada,ada@example.com,{text}\n")
    assert api.get("/users/5")["created_at"] == moment


@pytest.mark.parametrize(
    "text",
    [
        *("1712012301234", "1706696430", "2024-01-31x10:20", "31.01.2024", "1/31/2024", "45322.43"),
        *("2024-01-31 25:00:00", "2024-01-31 10:20:30 CET", "2024-01-31T", "2024", "10:20:30"),
    ],
)
def test_what_could_mean_several_moments_or_none_is_a_bad_row(load: Load, text: str) -> None:
    report = load(f"username,email,created_at\nada,ada@example.com,{text}\n")
    assert _reasons(report) == ["created_at: is not a date"]
