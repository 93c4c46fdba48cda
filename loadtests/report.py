"""What a run is told by: the table on the screen and, in its folder, JSON, CSV and a picture."""

from __future__ import annotations

import csv
import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from loadtests import plots
from loadtests.clicks import Clicks
from loadtests.record import Figures, Record, by_name, by_second, figures, length
from loadtests.reference import PER_ROUND
from loadtests.tiers import Outcome, Tier, broken_promises
from testkit.servers import ROOT


class Alone(NamedTuple):
    """The generator against constants."""

    record: Record
    cpu_seconds: float


class Run(NamedTuple):
    record: Record
    clicks: Clicks
    cpu_seconds: dict[str, float]
    seconds: float
    troubles: list[str]


class Findings(NamedTuple):
    run: Run
    at_most: Alone
    paused: Alone


def publish(name: str, tier: Tier, pause_seconds: float, folder: Path, found: Findings) -> int:
    """Writes and prints it all; 0 when the tier was passed."""
    names, timeline = by_name(found.run.record.requests), by_second(found.run.record.requests)
    result = _result(name, tier, pause_seconds, found)
    (folder / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    _write_table(
        folder / "requests.csv",
        ("request", *Figures._fields),
        [(key, *row) for key, row in names.items()],
    )
    _write_table(
        folder / "timeline.csv",
        ("second", "users", *Figures._fields),
        [(second, users, *row) for second, (users, row) in timeline.items()],
    )
    title = (
        f"{name}: up to {tier.peak} users on {result['machine']['cores']} cores, generator"
        f" included, commit {result['commit']}"
    )
    plots.draw(folder / "plot.svg", title, timeline)
    text = _text(result, names)
    (folder / "result.txt").write_text(text)
    print(
        f"\n{text}\nreport.html, requests.csv, timeline.csv, result.json and plot.svg are in"
        f" {os.path.relpath(folder)}"
    )
    return 0 if result["passed"] else 1


def _result(name: str, tier: Tier, pause_seconds: float, found: Findings) -> dict[str, Any]:
    run = found.run
    total = figures(run.record.requests, length(run.record.requests))
    seen = (total.requests, total.failures, total.p95_ms, run.clicks.lost, run.clicks.too_many)
    wrong = broken_promises(Outcome(*seen, tier.p95_limit_ms))
    return {
        "tier": name,
        "passed": not wrong,
        "wrong": wrong,
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "commit": commit(),
        "machine": {
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
        },
        "stages": [list(stage) for stage in tier.stages],
        "pause_seconds": [pause_seconds * share for share in tier.pause_shares],
        "troubles": run.troubles,
        "all": total._asdict(),
        "failures": dict(run.record.failures().most_common(20)),
        "clicks": run.clicks._asdict(),
        "cpu_microseconds_per_request": {
            part: round(seconds / max(1, total.requests) * 1e6)
            for part, seconds in run.cpu_seconds.items()
        },
        "cores_used": {
            part: round(seconds / run.seconds, 2) for part, seconds in run.cpu_seconds.items()
        },
        "generator_alone_without_pauses": _alone(found.at_most),
        "generator_alone_with_pauses": _alone(found.paused),
    }


def _alone(alone: Alone) -> dict[str, Any]:
    """The constants are right whatever is asked, so that a failure is the generator's own."""
    requests = alone.record.requests
    return {
        **figures(requests, length(requests))._asdict(),
        "cpu_microseconds_per_request": round(alone.cpu_seconds / max(1, len(requests)) * 1e6),
    }


def commit() -> str:
    """What is measured, marked when files other than results differ from it."""
    try:
        changed = _git(
            "status",
            "--porcelain",
            "--untracked-files=no",
            "--",
            ".",
            ":(exclude)loadtests/results",
        )
        return _git("rev-parse", "--short=12", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def _write_table(path: Path, header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows((header, *rows))


def _text(result: dict[str, Any], names: dict[str, Figures]) -> str:
    stages = ", ".join(f"{users} at {moment:.0f} s" for moment, users in result["stages"])
    heading = f"{result['tier']}: users {stages}; each pauses {_pauses(result)}"
    where = (
        f"commit {result['commit']}, {result['date']} UTC, {result['machine']['cores']} cores,"
        " generator included"
    )
    columns = ("requests", "failed", "req/s", "p50 ms", "p95 ms", "p99 ms", "slowest")
    rows = [("all", Figures(**result["all"])), *names.items()]
    lines = [heading, where, *result["troubles"], ""]
    lines += [f"{'':46}" + "".join(f"{column:>10}" for column in columns)]
    lines += [
        f"{name:46}{row[0]:10,}{row[1]:10,}" + "".join(f"{value:10,.1f}" for value in row[2:])
        for name, row in rows
    ]
    clicks, cpu = result["clicks"], result["cpu_microseconds_per_request"]
    lines += [
        "",
        (
            f"clicks: {clicks['answered']:,} answered, {clicks['stored']:,} stored,"
            f" {clicks['lost']} lost, {clicks['too_many']} too many"
        ),
    ]
    costs = ", ".join(f"{part} {cost}" for part, cost in cpu.items())
    lines += [f"CPU us per request: {costs}; all servers {_servers(cpu):,}"]
    lines += [
        "cores used: "
        + ", ".join(f"{part} {share}" for part, share in result["cores_used"].items())
    ]
    lines += _alone_text(result) + [
        f"{count} x {words}" for words, count in result["failures"].items()
    ]
    return "\n".join(
        [
            *lines,
            "",
            "passed" if result["passed"] else "NOT PASSED: " + "; ".join(result["wrong"]),
            "",
        ]
    )


def _pauses(result: dict[str, Any]) -> str:
    low, high = result["pause_seconds"]
    if low == high:
        return f"{low:g} s twice in a round of {PER_ROUND} requests"
    return f"{low:g} to {high:g} s between requests"


def _servers(cpu: dict[str, int]) -> int:
    return sum(cost for part, cost in cpu.items() if part != "generator")


def _alone_text(result: dict[str, Any]) -> list[str]:
    """Not a figure of Holdfast: what the generator can do when nothing holds it up."""
    lines = [
        "",
        "the generator alone, same users, Nginx answering constants (nothing of Holdfast):",
    ]
    for words, key in (
        ("without pauses, its limit", "generator_alone_without_pauses"),
        ("with the same pauses", "generator_alone_with_pauses"),
    ):
        each = result[key]
        cost = each["cpu_microseconds_per_request"]
        lines.append(
            f"  {words:26} {each['per_second']:8,.0f} req/s   p95 {each['p95_ms']:6.1f} ms   {cost}"
            f" CPU us per request   {each['failures']} failures"
        )
    return lines
