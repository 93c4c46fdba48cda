"""Compares roll-ups with the events that they were made of, over any connection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from app.redirects.counting import DIMENSIONS, NO_LINK, line_of_event, lines_of
from app.redirects.rollups import ALL_LINKS, first_hour
from app.redirects.visitors import OTHER, Kind

Query = Callable[[str], Iterable[Sequence[Any]]]
"""Runs a statement and returns its rows."""

_EVENTS = """
SELECT url_id, timestamp, details FROM events
WHERE event_type IN ('clicked', 'click', 'redirect') AND url_id IS NOT NULL
"""
_TABLES = {
    "days": "SELECT url_id, day, people, robots FROM click_days",
    "hours": "SELECT url_id, hour, people, robots FROM click_hours",
    "values": "SELECT url_id, dimension, value, people, robots FROM click_values",
    "links": "SELECT id, people_count, robot_count FROM urls",
}
_WHO = ("people", "robots")


def miscounted(query: Query) -> list[str]:
    """What roll-ups and counters say otherwise than the events; nothing when all is right.

    A fold between two of the statements looks like an error: what is wrong is so three times.
    """
    return _compared(query) and _compared(query) and _compared(query)


def _compared(query: Query) -> list[str]:
    counted, told = _counted(query), Tally()
    for line in query(_EVENTS):
        url_id, hour, kind = line_of_event(*line)
        told.add(url_id, hour, kind, 1)
        told.of["links"][url_id, _WHO[kind.robot]] += 1
    told.gather_others(counted)
    wrong = [
        f"{name} {key}: {counted.of[name][key]}, not {told.of[name][key]}"
        for name in _TABLES
        for key in counted.of[name].keys() | told.of[name].keys()
        if counted.of[name][key] != told.of[name][key]
    ]
    both = "SELECT count(*) FROM urls WHERE click_count <> people_count + robot_count"
    unequal = next(iter(query(both)))[0]
    return wrong + [f"{unequal} links have clicks of neither people nor robots"] * bool(unequal)


class Tally:
    """Clicks by table and key; the last part of a key says whose they are."""

    def __init__(self) -> None:
        self.of: dict[str, Counter[tuple[Any, ...]]] = {name: Counter() for name in _TABLES}

    def add(self, url_id: int, hour: int, kind: Kind, number: int) -> None:
        robot, *texts = kind
        who = _WHO[robot]
        for counted in () if url_id == NO_LINK else (url_id, ALL_LINKS):
            self.of["days"][counted, hour // 24, who] += number
            if hour >= first_hour():
                self.of["hours"][counted, hour, who] += number
            for dimension, text in zip(DIMENSIONS, texts, strict=True):
                if text:
                    self.of["values"][counted, dimension, text, who] += number

    def gather_others(self, counted: Tally) -> None:
        """Values for which there was no room count as "other"."""
        stored = {key[:-1] for key in counted.of["values"]}
        for key, number in list(self.of["values"].items()):
            if key[:-1] not in stored:
                del self.of["values"][key]
                self.of["values"][(*key[:2], OTHER, key[-1])] += number


def _counted(query: Query) -> Tally:
    """What the tables hold, and what of the journal is not in them yet."""
    found = Tally()
    for name, sql in _TABLES.items():
        for *key, people, robots in (row for row in query(sql) if row[0] != NO_LINK):
            found.of[name].update({(*key, "people"): people, (*key, "robots"): robots})
    for (url_id, hour, who), number in found.of["hours"].items():
        found.of["days"][url_id, hour // 24, who] += number
    for (entry,) in query("SELECT entry FROM click_journal"):
        for line in lines_of(entry):
            found.add(*line)
    return found
