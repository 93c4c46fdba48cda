"""Charts: their shapes, their labels, and the table that says the same."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from app.pages import charts


def days(*counts: tuple[int, int], first: date = date(2026, 11, 1)) -> list[dict[str, Any]]:
    """A series by day of pairs of people and robots."""
    return [
        {"date": str(first + timedelta(days=ago)), "people": people, "robots": robots}
        for ago, (people, robots) in enumerate(counts)
    ]


def test_robots_stand_on_people() -> None:
    chart = charts.drawn(days((0, 0), (3, 1), (2, 0)), "day")
    assert chart.lines == [(5, "4"), (45, "2"), (85, "0")]
    assert chart.people == "M0 0h1v75h1v-25h1V0z"
    assert chart.robots == "M0 0h1v100h1v-50h1V0z"


def test_a_single_click_among_many_is_seen() -> None:
    chart = charts.drawn(days((10_000, 0), (1, 0), (0, 1), (1, 1)), "day")
    assert chart.people == "M0 0v100h1v-99h1v-1h1v1h1V0z"
    assert chart.robots == "M0 0v100h1v-99h2v1h1V0z"


@pytest.mark.parametrize(
    ("most", "values"),
    [
        (0, ["1", "0"]),
        (1, ["1", "0"]),
        (2, ["2", "1", "0"]),
        (3, ["4", "2", "0"]),
        (7, ["8", "4", "0"]),
        (9, ["10", "5", "0"]),
        (11, ["20", "10", "0"]),
        (650, ["800", "400", "0"]),
        (999, ["1,000", "500", "0"]),
        (9999, ["10k", "5,000", "0"]),
        (700_000, ["800k", "400k", "0"]),
        (800_001, ["1M", "500k", "0"]),
        (3_000_000, ["4M", "2M", "0"]),
    ],
)
def test_the_axis_ends_with_a_round_number_that_has_a_half(most: int, values: list[str]) -> None:
    assert [value for _, value in charts.drawn(days((most, 0)), "day").lines] == values


def test_days_have_a_year_where_there_are_two() -> None:
    within = charts.drawn(days(*[(0, 0)] * 3), "day")
    assert within.labels == ["1 Nov", "2 Nov", "3 Nov"]
    across = charts.drawn(days((0, 0), (0, 0), first=date(2026, 12, 31)), "day")
    assert [row.name for row in across.rows] == ["31 Dec 2026", "1 Jan 2027"]


def test_hours_have_the_time_of_their_zone() -> None:
    series = [{"date": "2026-11-29T14:30:00+05:30", "people": 1, "robots": 0}]
    chart = charts.drawn(series, "hour")
    assert (chart.labels, chart.unit) == (["29 Nov 14:30"], "Hour")


def test_a_sentence_says_what_the_chart_shows() -> None:
    chart = charts.drawn(days((1, 0), (2000, 1), (0, 5)), "day")
    assert chart.about == (
        "2,001 people, 6 robots from 1 Nov to 3 Nov; most people: 2 Nov, 2,000 people, 1 robot"
    )
    assert charts.drawn(days((0, 0)), "day").about == "No clicks from 1 Nov to 1 Nov"


def test_a_long_table_is_by_months() -> None:
    chart = charts.drawn(days(*[(1, 2)] * 101), "day")
    assert chart.unit == "Month"
    assert [tuple(row) for row in chart.rows] == [
        ("Nov 2026", 30, 60),
        ("Dec 2026", 31, 62),
        ("Jan 2027", 31, 62),
        ("Feb 2027", 9, 18),
    ]
    assert chart.bars == []
    assert chart.gaps == ""


def test_a_long_table_of_hours_is_by_days() -> None:
    series = [
        {"date": f"2026-11-0{day}T{hour:02}:00:00+00:00", "people": 1, "robots": 0}
        for day in range(1, 6)
        for hour in range(24)
    ]
    rows = charts.drawn(series, "hour").rows
    assert [tuple(row) for row in rows] == [(f"{day} Nov 2026", 24, 0) for day in range(1, 6)]


def test_a_thousand_points_are_a_small_picture() -> None:
    chart = charts.drawn(days(*[(number % 97, number % 89) for number in range(1000)]), "day")
    assert len(chart.people) + len(chart.robots) < 16_000
