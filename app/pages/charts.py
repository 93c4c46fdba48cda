"""What a chart of clicks shows: its shapes, its labels, and the table that says the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

HEIGHT = 100
"""Of the plot, in its own units; it is as wide as it has points."""
_MOST_BARS = 100
"""With more points the bars touch, have no names of their own, and the table is by larger units."""
_STEPS = (1, 2, 4, 6, 8, 10)

Series = list[dict[str, Any]]


class Row(NamedTuple):
    """A line of the table, or what a bar stands for."""

    name: str
    people: int
    robots: int

    @property
    def words(self) -> str:
        """Such as 5 people, 1 robot."""
        people = "1 person" if self.people == 1 else f"{self.people:,} people"
        return f"{people}, {self.robots:,} robot{'' if self.robots == 1 else 's'}"


class Chart(NamedTuple):
    """`people` and `robots` are paths of areas, `robots` that of both together; `gaps` parts bars.

    `lines` are those across: how far below the top, in percent, and the value there.
    `labels`: of the first point, the middle and the last one.
    """

    title: str
    about: str
    points: int
    people: str
    robots: str
    gaps: str
    lines: list[tuple[float, str]]
    labels: list[str]
    bars: list[Row]
    unit: str
    rows: list[Row]


def drawn(series: Series, by: str) -> Chart:
    """The chart of `series` as the API has it; `by` is day or hour."""
    names, few = _names(series, by), len(series) <= _MOST_BARS
    points = [
        Row(name, each["people"], each["robots"]) for name, each in zip(names, series, strict=True)
    ]
    top = _nice(max((row.people + row.robots for row in points), default=0))
    heights = [_heights(row, top) for row in points]
    return Chart(
        title=f"Clicks per {by}",
        about=_about(points),
        points=len(points),
        people=_area(people for people, _ in heights),
        robots=_area(both for _, both in heights),
        gaps="".join(f"M{place} 0v{HEIGHT}" for place in range(1, len(points))) if few else "",
        lines=[(5, _short(top)), *[(45, _short(top // 2))] * (top > 1), (85, "0")],
        labels=[names[0], names[len(names) // 2], names[-1]] if len(names) > 2 else names[:1],
        bars=points if few else [],
        unit=by.capitalize() if few else _LARGER[by][0],
        rows=points if few else list(_summed(series, by)),
    )


def _nice(most: int) -> int:
    """A round number from `most` on, of which there is a half without a fraction from 2 on."""
    scale = int("1" + "0" * (len(str(most)) - 1))
    return next(step * scale for step in _STEPS if step * scale >= max(1, most))


def _short(number: int) -> str:
    """10k for 10,000, 2M for 2,000,000."""
    for unit, name in ((1_000_000, "M"), (1000, "k")):
        if number >= max(unit, 10_000) and number % unit == 0:
            return f"{number // unit:,}{name}"
    return f"{number:,}"


def _heights(row: Row, top: int) -> tuple[int, int]:
    """Of people, and of both; what there is, is seen."""
    people = max(1, round(row.people * HEIGHT / top)) if row.people > 0 else 0
    both = round((row.people + row.robots) * HEIGHT / top)
    return people, max(both, people + 1) if row.robots > 0 else people


def _area(heights: Iterable[int]) -> str:
    """A path around columns of these heights, each as wide as one unit."""
    steps, last = ["M0 0"], 0
    for height, same in groupby(heights):
        steps.append(f"v{height - last}" * (height != last) + f"h{len(list(same))}")
        last = height
    return "".join((*steps, "V0z"))


# ---- words ----


def _names(series: Series, by: str) -> list[str]:
    moments = [datetime.fromisoformat(point["date"]) for point in series]
    years = len({moment.year for moment in moments}) > 1
    return [_name(moment, years, by) for moment in moments]


def _name(moment: datetime, years: bool, by: str) -> str:
    day = f"{moment.day} {moment:%b}" + (f" {moment.year}" if years else "")
    return f"{day} {moment:%H:%M}" if by == "hour" else day


def _about(points: list[Row]) -> str:
    """The chart in a sentence."""
    if not points:
        return "No days"
    spread = f"from {points[0].name} to {points[-1].name}"
    total = Row("", sum(row.people for row in points), sum(row.robots for row in points))
    if not (total.people or total.robots):
        return f"No clicks {spread}"
    most = max(points, key=lambda row: (row.people, row.robots))
    return f"{total.words} {spread}; most people: {most.name}, {most.words}"


_LARGER = {"day": ("Month", "%b %Y", 7), "hour": ("Day", "%d %b %Y", 10)}
"""What the table is by when it would be long: its name, its form, and as much of a point's date."""


def _summed(series: Series, by: str) -> Iterator[Row]:
    _, form, length = _LARGER[by]
    for start, group in groupby(series, key=lambda point: str(point["date"])[:length]):
        points = list(group)
        name = format(datetime.fromisoformat(f"{start}-01"[:10]), form).lstrip("0")
        yield Row(name, *(sum(point[who] for point in points) for who in ("people", "robots")))
