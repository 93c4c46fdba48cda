"""deploy/judge.py beside a real Prometheus that is given the figures of good and bad canaries."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.request import urlopen

import pytest

from deploy import judge, tell
from testkit.servers import ROOT, Server

SECONDS = 60
BOUNDS = ("0.001", "0.0025", "0.005", "0.01", "0.025", "+Inf")
FAST, SLOW = (90, 97, 99, 100, 100, 100), (5, 40, 80, 97, 99, 100)  # percent within each bound
REDIRECT = 'endpoint="redirects.follow_code"'


class Prometheus(Server):
    """Holds `series` and scrapes nobody."""

    def __init__(self, series: str) -> None:
        super().__init__()
        (self.folder / "none.yml").write_text("{}")
        (self.folder / "series").write_text(f"{series}# EOF\n")
        create = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "series", "data"]
        subprocess.run(create, check=True, cwd=self.folder, stdout=subprocess.DEVNULL)
        subprocess.run(["chmod", "-R", "a+rwX", str(self.folder)], check=True)

    def command(self) -> list[str]:
        where = "--config.file=none.yml", "--storage.tsdb.path=data"
        program = shutil.which("prometheus") or "prometheus"
        return [program, *where, f"--web.listen-address=127.0.0.1:{self.port}"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def replica(
    began: int,
    track: str,
    rate: float,
    *,
    failing: float = 0.0,
    within: tuple[int, ...] = FAST,
    leaking: float = 0.0,
    lost: float = 0.0,
    restarts: bool = False,
    up: int = 1,
) -> list[tuple[str, str, Callable[[int], float], int]]:
    """Name, labels, value after so many seconds, and first second of each of its series."""
    canary = track == "canary"
    own = f'job="holdfast",instance="{track}",track="{track}"'
    series: list[tuple[str, str, Callable[[int], float], int]] = [
        ("http_requests_total", f'{own},{REDIRECT},status="302"', lambda s: rate * s, began),
        ("http_requests_total", f'{own},{REDIRECT},status="500"', lambda s: failing * s, began),
        ("redirects_total", own, lambda s: rate * s, began),
        ("clicks_direct_total", own, lambda _: 0, began),
        ("clicks_drained_canary_total", own, lambda s: canary * (rate - lost) * s, began),
        ("clicks_drained_total", own, lambda s: (rate - lost) * s, began),
        ("click_backlog", own, lambda _: 3, began),
        ("process_newest_start_seconds", own, lambda s: 9 + (restarts and s > 30), began),
        ("process_resident_memory_max_bytes", own, lambda s: 80e6 + leaking * s, began),
        ("up", own, lambda s: 1 if s < 30 else up, began),
    ]
    for bound, percent in zip(BOUNDS, within, strict=True):
        labels = f'{own},{REDIRECT},le="{bound}"'
        share = percent / 100
        series.append(
            ("http_request_duration_seconds_bucket", labels, lambda s, k=share: rate * s * k, began)
        )
    return series


def exposed(series: list[tuple[str, str, Callable[[int], float], int]]) -> str:
    lines = []
    for name in dict.fromkeys(each[0] for each in series):
        lines.append(f"# TYPE {name} unknown")
        for _, labels, value, began in (each for each in series if each[0] == name):
            lines += [
                f"{name}{{{labels}}} {value(second)} {began + second}"
                for second in range(SECONDS + 1)
            ]
    return "\n".join(lines) + "\n"


CANARIES: dict[str, tuple[dict[str, Any], set[str], int]] = {
    "good": ({}, set(), judge.PASS),
    "one in ten fails": ({"failing": 1}, {"5xx"}, judge.WORSE),
    "three times as slow": ({"within": SLOW}, {"p95"}, judge.WORSE),
    "leaks": ({"leaking": 2e6}, {"memory"}, judge.WORSE),
    "loses clicks": ({"lost": 1}, {"clicks missing"}, judge.WORSE),
    "a process was killed": ({"restarts": True}, {"restarts"}, judge.WORSE),
    "does not answer": ({"up": 0}, {"restarts"}, judge.WORSE),
    "hardly asked": ({"rate": 0.5}, set(), judge.TOO_FEW),
}


@pytest.fixture(scope="module")
def began() -> int:
    return int(time.time()) - 3 * 3600


@pytest.fixture(scope="module")
def prometheus(began: int) -> Iterator[Prometheus]:
    """All canaries of CANARIES, each 20 minutes after the one before."""
    series = []
    for number, (faults, _, _) in enumerate(CANARIES.values()):
        at = began + number * 20 * 60
        series += replica(at, "stable", 100)
        series += replica(at, "canary", **{"rate": 10, **faults})
    server = Prometheus(exposed(series))
    server.start()
    yield server
    server.destroy()


def rows(prometheus: Prometheus, since: int, *more: str) -> list[judge.Row]:
    given = judge.parsed(["--prometheus", prometheus.url, "--since", str(since), *more])
    return judge.Judge(judge.Prometheus(prometheus.url, given.select, 2), given).rows(
        since + SECONDS
    )


@pytest.mark.services
@pytest.mark.parametrize("name", CANARIES)
def test_each_canary_is_judged_by_the_figure_that_shows_what_is_wrong_with_it(
    prometheus: Prometheus, began: int, name: str
) -> None:
    _, worse, verdict = CANARIES[name]
    found = rows(prometheus, began + list(CANARIES).index(name) * 20 * 60)
    assert {row.name for row in found if row.verdict == "worse"} - {"p99"} == worse
    assert judge.verdict_of(found) == verdict


@pytest.mark.services
def test_without_figures_of_a_canary_nothing_passes(prometheus: Prometheus, began: int) -> None:
    assert judge.verdict_of(rows(prometheus, began - 3600)) == judge.TOO_FEW


@pytest.mark.services
def test_all_replicas_are_compared_with_what_they_were_before(
    prometheus: Prometheus, began: int
) -> None:
    since = began + SECONDS // 2
    given = ["--prometheus", prometheus.url, "--since", str(since), "--of", "stable"]
    asked = judge.parsed([*given, "--stable", str(since - 25), str(since)])
    found = judge.Judge(judge.Prometheus(prometheus.url, asked.select, 2), asked).rows(since + 25)
    assert all(row.texts[0] == row.texts[1] for row in found[:2])
    assert judge.verdict_of(found) == judge.PASS


def test_a_percentile_is_prometheus_own() -> None:
    held = {0.001: 50.0, 0.01: 90.0, float("inf"): 100.0}
    assert judge.percentile(held, 0.5) == 0.001
    assert judge.percentile(held, 0.7) == pytest.approx(0.0055)
    assert judge.percentile(held, 0.99) == 0.01
    assert judge.percentile({}, 0.99) == 0.0


def test_without_a_prometheus_nothing_passes() -> None:
    script = [sys.executable, str(ROOT / "deploy" / "judge.py"), "--seconds", "0"]
    done = subprocess.run(
        [*script, "--prometheus", "http://127.0.0.1:9"], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.partition(":")[0]) == (
        judge.NO_ANSWER,
        "Prometheus has no answer",
    )


def test_discord_is_told_the_figures() -> None:
    told = tell.notification("holdfast:2", "5 %", "figure   canary\n5xx      10.3 %")
    [alert] = told["alerts"]
    assert alert["annotations"]["description"] == "figure canary\n5xx 10.3 %"
    assert json.dumps(told)


def test_both_scripts_need_nothing_but_python() -> None:
    """They are read from standard input by the Python of a container."""
    for name in ("judge", "tell"):
        source = (ROOT / "deploy" / f"{name}.py").read_bytes()
        command = [sys.executable, "-IS", "-", "--help"]
        done = subprocess.run(command, check=True, input=source, capture_output=True)
        assert b"usage: " in done.stdout
