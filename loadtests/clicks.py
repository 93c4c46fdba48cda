"""Compares the service's click counters with the redirects that the users were answered."""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from urllib.request import urlopen

from loadtests.record import Record


class Clicks(NamedTuple):
    """`unknown` are requests that broke: they may be clicks or not."""

    answered: int
    stored: int
    lost: int
    too_many: int
    unknown: int


def compare(record: Record, stored: dict[str, int]) -> Clicks:
    """Per link, so that too many clicks of one do not hide too few of another."""
    lost = sum(max(0, count - stored.get(code, 0)) for code, count in record.clicks.items())
    more = sum(
        max(0, count - record.clicks[code] - record.unknown[code]) for code, count in stored.items()
    )
    return Clicks(record.clicks.total(), sum(stored.values()), lost, more, record.unknown.total())


def stored_clicks(base_url: str, record: Record, first_id: int) -> dict[str, int]:
    """The counter of each link that was followed, among all from that id on."""
    followed, after, found = record.clicks.keys() | record.unknown.keys(), first_id - 1, {}
    while followed and (page := _get(f"{base_url}/urls?per_page=100&after={after}")):
        found.update(
            {url["short_code"]: url["click_count"] for url in page if url["short_code"] in followed}
        )
        after = page[-1]["id"]
    return found


def _get(address: str) -> Any:
    with urlopen(address, timeout=60) as answer:
        return json.load(answer)
