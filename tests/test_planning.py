"""The tables of docs/capacity.md are what the arithmetic prints."""

from __future__ import annotations

from benchmarks import planning
from testkit.webserver import ROOT

CAPACITY = (ROOT / "docs" / "capacity.md").read_text()


def test_every_table_of_the_plan_is_in_the_document() -> None:
    for table in (planning.by_links(), planning.by_rate(), planning.by_both()):
        assert "\n".join(table) in CAPACITY


def test_what_one_part_bears_is_what_the_plan_counts_with() -> None:
    costs = {**planning.CPU_US}
    costs["drain"] = costs["worker"] + costs["postgres"]
    rows = (("replica (", "app"), ("Nginx |", "nginx"), ("Redis |", "redis"), ("drain: ", "drain"))
    for start, part in rows:
        [row] = [line for line in CAPACITY.splitlines() if line.startswith(f"| {start}")]
        assert f"| {costs[part]} us |" in row
        bears = int(row.split("|")[3].split()[0].replace(",", ""))
        assert abs(bears - 1e6 / costs[part]) < 100


def test_a_plan_grows_with_what_is_asked_of_it() -> None:
    assert planning.installations(100) == 1 < planning.installations(100_000)
    assert planning.redis_bytes(10**9, 100) == planning.redis_bytes(10**6, 100)
    assert planning.price(10**9, 100) > planning.price(10**6, 100)
