"""Files of JSON with all items on one line, with nothing but bad ones, and with huge ones."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from app.database import db
from app.errors import InvalidInput
from app.imports import importing
from app.schemas import ImportQuery
from tests.conftest import Api


def imported(content: str, dry_run: bool = False) -> Any:
    query = ImportQuery(source="kutt", dry_run=dry_run)
    return importing.import_file(io.BytesIO(content.encode()), query)


def items(*codes: str, target: str = "https://example.com/") -> str:
    """All of them on one line."""
    return json.dumps([{"address": code, "target": target} for code in codes])


@pytest.mark.parametrize("dry_run", [True, False])
def test_the_first_of_several_items_on_a_line_with_one_code_counts(api: Api, dry_run: bool) -> None:
    report = imported(items("a", "b", "a", "b", "a"), dry_run)
    assert (report.created, report.skipped, report.failed) == (2, 3, 0)
    assert [note.line for note in report.notes] == [1, 1, 1]


@pytest.mark.parametrize("dry_run", [True, False])
def test_items_on_one_line_conflict_with_links_and_with_each_other(api: Api, dry_run: bool) -> None:
    imported(items("a", target="https://example.com/first"))
    both = items("a", "b")[:-1] + "," + items("b", target="https://example.com/2")[1:]
    report = imported(both, dry_run)
    assert (report.created, report.failed) == (1, 2)
    assert [(bad.line, bad.value) for bad in report.errors] == [(1, "a"), (1, "b")]


def test_items_of_one_line_that_span_several_batches_keep_their_order(api: Api) -> None:
    first = [{"address": f"c{n % 700}", "target": f"https://example.com/{n}"} for n in range(1500)]
    report = imported(json.dumps(first))
    assert (report.created, report.conflicts) == (700, 800)
    stored = db.execute_sql("SELECT short_code, original_url FROM urls").fetchall()
    assert dict(stored) == {f"c{n}": f"https://example.com/{n}" for n in range(700)}


def test_several_bad_items_on_a_line_are_all_reported(api: Api) -> None:
    report = imported(items("a b", "fine", "c d", "e f"))
    assert [(bad.line, bad.value) for bad in report.errors] == [
        (1, "a b"),
        (1, "c d"),
        (1, "e f"),
    ]


@pytest.mark.parametrize("item", ["1", "{}", '{"address": "a b", "target": "https://a.b"}'])
def test_a_file_of_very_many_bad_items_is_no_export(api: Api, item: str) -> None:
    with pytest.raises(InvalidInput, match=r"no export of kutt: 1\d,\d{3} of its first") as refusal:
        imported(f"[{','.join([item] * 30_000)}]")
    assert refusal.value.errors is not None
    assert list(refusal.value.errors) == ["line 1"]


def test_one_good_item_among_ten_is_worth_any_number_of_bad_ones(api: Api) -> None:
    rows = (items(f"c{n // 10}")[1:-1] if n % 10 == 0 else "1" for n in range(15_000))
    report = imported(f"[{','.join(rows)}]", dry_run=True)
    assert (report.created, report.failed) == (1500, 13_500)


def test_an_item_of_very_many_objects_is_too_large(api: Api) -> None:
    inside = '{"a":1},' * 60_000
    with pytest.raises(InvalidInput, match="too large an item, on line 1"):
        imported(f'[{{"tags": [{inside}1]}}]')


def test_an_item_that_is_longer_than_any_link_is_bad(api: Api) -> None:
    fields = ",".join(f'"{n}": {n}' for n in range(10_000))
    report = imported(f"[{items('a')[1:-2]}, {fields}}},{items('b')[1:-1]}]")
    assert report.created == 1
    assert [bad.error for bad in report.errors] == ["is longer than 65,536 characters"]


def test_empty_pages_may_come_before_between_and_behind_others(api: Api) -> None:
    empty = '{"data": [ ]}\n'
    page = f'{{"data": {items("a")}}}\n{empty}{{"data": {items("b")}}}\n'
    assert imported(empty * 3 + page + empty * 10_000).created == 2
    assert imported(empty).total == 0
