"""One tier from the beginning to the verdict, its exit code: `python -m loadtests.run TIER`."""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from loadtests import clicks, constant, report
from loadtests.record import Record
from loadtests.tiers import TIERS, Plan, Tier, planned
from loadtests.trouble import TROUBLES
from testkit import service
from testkit.floors import LOCATION
from testkit.servers import ROOT, Missing
from testkit.stack import PYTHON, Stack

_ALONE_SECONDS = 15
_SPARE_SECONDS = 90


@dataclass
class Wishes:
    """The command line and, in capitals, the environment.

    What a changed tier came to is kept apart from the tiers' own results.
    """

    name: str
    tier: Tier
    base_url: str
    pause_seconds: float
    folder: Path
    troubles: list[str]

    @classmethod
    def read(cls) -> Wishes:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("tier", choices=TIERS)
        for name, kind, what in _CHANGES:
            parser.add_argument(
                f"--{name}",
                type=kind,
                default=os.environ.get(name.upper().replace("-", "_")) or None,
                help=what,
            )
        given = parser.parse_args()
        troubles = given.trouble.split(",") if given.trouble else []
        if not TROUBLES.keys() >= set(troubles) or (troubles and given.base_url):
            parser.error(f"trouble is {','.join(TROUBLES)} or some of it, without a BASE_URL")
        changed = any(getattr(given, name.replace("-", "_")) is not None for name, *_ in _CHANGES)
        folder = ROOT / ("var/loadtests" if changed else "loadtests/results") / given.tier
        tier = planned(given.tier, given.users, given.duration)
        pause = tier.pause_seconds if given.pause is None else given.pause
        return cls(given.tier, tier, (given.base_url or "").rstrip("/"), pause, folder, troubles)


_CHANGES = (
    ("users", int, "at the peak"),
    ("duration", float, "seconds"),
    ("pause", float, "seconds between two requests of a user, on average"),
    ("base-url", str, "of a service that runs already"),
    ("trouble", str, "busy, stops or busy,stops: what a busy machine does to the service"),
)


def generate(base_url: str, plan: Plan, *arguments: str) -> tuple[Record, float]:
    """Has Locust carry the plan out; what happened, and the CPU seconds of the generator."""
    command = [
        PYTHON,
        "-m",
        "locust",
        "-f",
        "loadtests/locustfile.py",
        "--headless",
        "--host",
        base_url,
        "--stop-timeout",
        "30",
    ]
    quiet = ["--loglevel", "WARNING", "--only-summary", *arguments]
    used = _children_seconds()
    with tempfile.TemporaryFile("w+") as summary:
        limit = plan.stages[-1][0] + _SPARE_SECONDS
        done = subprocess.run(
            [*command, *quiet],
            cwd=ROOT,
            env={**os.environ, "LOAD_PLAN": plan.dumped()},
            stderr=summary,
            timeout=limit,
            check=False,
        )
        if done.returncode or not os.path.getsize(plan.record):
            summary.seek(0)
            sys.exit(f"Locust ended with {done.returncode}: {summary.read()[-3000:]}")
    return Record.read(plan.record), _children_seconds() - used


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def alone(wishes: Wishes, pause_seconds: float) -> report.Alone:
    """The generator against Nginx' constants, with the users of the tier."""
    with ExitStack() as cleanup:
        record_file = cleanup.enter_context(tempfile.NamedTemporaryFile()).name
        port = constant.answers(cleanup).port
        peak = wishes.tier.peak
        stages = [(0, peak), (_ALONE_SECONDS, peak)]
        plan = Plan(stages, pause_seconds, record_file, 0, LOCATION, wishes.tier.reference)
        record, cpu = generate(f"http://127.0.0.1:{port}", plan)
    return report.Alone(record, cpu)


def loaded(wishes: Wishes, stack: Stack | None) -> report.Run:
    """The service under the tier's load, and its clicks afterwards."""
    base_url = wishes.base_url or f"http://127.0.0.1:{stack.port if stack else 0}"
    tail = service.TAIL if stack else 0
    wishes.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile() as record_file:
        stages, pause = wishes.tier.stages, wishes.pause_seconds
        plan = Plan(stages, pause, record_file.name, tail, reference=wishes.tier.reference)
        before, began = stack.cpu_seconds() if stack else {}, time.monotonic()
        with ExitStack() as trouble:
            begun = [TROUBLES[name](stack) for name in wishes.troubles if stack]
            said = [trouble.enter_context(each) for each in begun]
            html = str(wishes.folder / "report.html")
            record, generator = generate(base_url, plan, "--html", html)
            troubles = [words() for words in said]
        seconds = time.monotonic() - began
    after = stack.cpu_seconds() if stack else {}
    stored = clicks.stored_clicks(base_url, record, 1 if tail else record.first_id)
    cpu = {"generator": generator, **{part: after[part] - before[part] for part in after}}
    return report.Run(record, clicks.compare(record, stored), cpu, seconds, troubles)


def main() -> int:
    wishes = Wishes.read()
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit("told to stop")
    )  # so that what was started is stopped, too
    with ExitStack() as cleanup:
        try:
            _reachable(wishes.base_url)
            _show(
                f"the generator alone, {wishes.tier.peak} users without pauses, against constants"
                " of Nginx"
            )
            at_most = alone(wishes, 0)
            _show("the generator alone, with pauses")
            paused = alone(wishes, wishes.pause_seconds)
            stack = None if wishes.base_url else service.Served(cleanup).stack
        except (Missing, URLError) as problem:
            sys.exit(f"{wishes.base_url or 'the stack'}: {problem}")
        own = "Nginx, three replicas, PostgreSQL, Redis and the worker, started for this"
        _show(f"{wishes.name}: {wishes.base_url or own}")
        run = loaded(wishes, stack)
    return report.publish(
        wishes.name,
        wishes.tier,
        wishes.pause_seconds,
        wishes.folder,
        report.Findings(run, at_most, paused),
    )


def _show(words: str) -> None:
    print(f"\n== {words}", flush=True)


def _reachable(base_url: str) -> None:
    if base_url:
        urlopen(f"{base_url}/health", timeout=10).close()


if __name__ == "__main__":
    sys.exit(main())
