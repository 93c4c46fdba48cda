"""Stops the archive's server, and asks the real alert rule about the real pg_stat_archiver."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from testkit.archive import ObjectStore
from testkit.machine import wait_for
from testkit.servers import ROOT
from testkit.stack import need

_RULES = ROOT / "monitoring" / "prometheus" / "rules" / "alerts-servers.yml"
_SAMPLE_SECONDS, _TOLD_SECONDS = 2, 30
"""A sample of 2 s is given to Prometheus as one of 30 s, so that the drill is over sooner."""
_SQL = """
SELECT archived_count, failed_count, tup_inserted, setting FROM pg_stat_archiver,
    pg_stat_database, pg_settings WHERE datname = 'holdfast' AND name = 'archive_timeout'
"""
_SERIES = (
    "pg_stat_archiver_archived_count",
    "pg_stat_archiver_failed_count",
    'pg_stat_database_tup_inserted{datname="holdfast"}',
    "pg_settings_archive_timeout_seconds",
)

Query = Callable[[str], list[Any]]


def standstill(store: ObjectStore, query: Query) -> bool:
    """Prints when the alert fires for an archive that works, one that is away and one that hangs.

    Returns whether one of them is not as expected.
    """
    query("CREATE TABLE IF NOT EXISTS written (n integer)")
    works = _sample(query, 25)
    store.kill()
    away = _sample(query, 25)
    store.start()
    before = query(_SQL)[0][0]
    wait_for(lambda: bool(query(_SQL)[0][0] > before), what="the archive to go on")
    with store.frozen():
        hangs = _sample(query, 25)
    wait_for(lambda: bool(query(_SQL)[0][0] > hangs[-1][0]), what="the archive to go on")
    expected = (("works", works, False), ("is away", away, True), ("hangs", hangs, True))
    print(
        "\n| The archive | segments | failures | rows written | alert |\n|---|---:|---:|---:|---|"
    )
    return sum(_judged(name, samples, fires) for name, samples, fires in expected) > 0


def _sample(query: Query, times: int) -> list[list[int]]:
    """The four numbers, every _SAMPLE_SECONDS, while one row is written each time."""
    found = []
    for _ in range(times):
        query("INSERT INTO written VALUES (1)")
        time.sleep(_SAMPLE_SECONDS)
        found.append([int(number) for number in query(_SQL)[0]])
    return found


def _judged(name: str, samples: list[list[int]], expected: bool) -> bool:
    """Prints a line; returns whether it is not as expected."""
    fires = not is_silent(samples)
    moved = [last - first for first, last in zip(samples[0], samples[-1], strict=True)]
    said = "fires" if fires else "silent"
    judged = "as expected" if fires == expected else "NOT AS EXPECTED"
    print(f"| {name} | {moved[0]} | {moved[1]} | {moved[2]} | {said}, {judged} |", flush=True)
    return fires != expected


def is_silent(samples: list[list[int]]) -> bool:
    """Whether the rule is silent at every one of these samples."""
    series = [
        {
            "series": _labelled(name),
            "values": " ".join(str(sample[index]) for sample in samples),
        }
        for index, name in enumerate(_SERIES)
    ]
    quiet = [
        {"eval_time": f"{number * _TOLD_SECONDS}s", "alertname": "ArchivingStalled"}
        for number in range(len(samples))
    ]
    test = {"interval": f"{_TOLD_SECONDS}s", "input_series": series, "alert_rule_test": quiet}
    plan = {"rule_files": [str(_RULES)], "evaluation_interval": "30s", "tests": [test]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test.yml"
        path.write_text(yaml.safe_dump(plan))
        command = [need("promtool", "prometheus"), "test", "rules", str(path)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0 or "got:" in done.stderr + done.stdout, done.stderr
    return done.returncode == 0


def _labelled(name: str) -> str:
    labels = 'job="postgres",instance="postgres-exporter",server="postgres:5432"'
    return name.replace("}", f",{labels}}}") if "}" in name else f"{name}{{{labels}}}"
