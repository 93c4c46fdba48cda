"""The archive's scripts and files, and how its drill judges."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from testkit.webserver import ROOT
from tests.drills.archived_outcome import Result, expect_kept
from tests.drills.standstill import is_silent

COMPOSE, ARCHIVE = (
    yaml.safe_load((ROOT / name).read_text())["services"]["postgres"]
    for name in ("docker-compose.yml", "deploy/archive/compose.yml")
)
EXAMPLE = (ROOT / "deploy" / "archive" / "pgbackrest.conf.example").read_text()


def judged(clicks: dict[str, float], stored: Sequence[str], lost_links: Sequence[float]) -> Result:
    result = Result("a disaster", kept_until=100.0, lost_at=200.0, drained=99.0)
    expect_kept(result, clicks, Counter(stored), lost_links)
    return result


@pytest.mark.parametrize("script", ["deploy/archive/restore-to.sh", "deploy/restore-to.sh"])
@pytest.mark.parametrize("moment", ["2026-11-29 12:00:00", "2026-11-29", "yesterday", ""])
def test_a_moment_without_its_zone_is_refused_before_anything_is_done(
    script: str, moment: str
) -> None:
    done = subprocess.run(
        [str(ROOT / script), moment],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.returncode in (1, 2)
    assert re.search("has no time zone|usage: ", done.stderr), done.stderr


def test_the_archive_changes_nothing_of_the_service_but_what_it_adds() -> None:
    assert ARCHIVE["command"][: len(COMPOSE["command"])] == COMPOSE["command"]
    assert set(ARCHIVE) == {"image", "build", "command", "environment", "networks", "volumes"}
    assert set(COMPOSE["networks"]) <= set(ARCHIVE["networks"])
    image = ARCHIVE["build"]["args"]["POSTGRES_IMAGE"]
    assert image == f"${{POSTGRES_IMAGE:-{COMPOSE['image']}}}"


def test_the_example_fits_the_container_and_lets_nothing_but_five_values_be_filled_in() -> None:
    data = next(each for each in COMPOSE["volumes"] if each.startswith("postgres:"))
    assert f"pg1-path={data.split(':')[1]}\n" in EXAMPLE
    assert re.findall(r"=(S3_[A-Z]+)$", EXAMPLE, re.MULTILINE) == [
        "S3_ENDPOINT",
        "S3_BUCKET",
        "S3_REGION",
        "S3_KEY",
        "S3_SECRET",
    ]


def test_what_is_lost_between_the_last_segment_and_the_disaster_is_as_expected() -> None:
    clicks = {"early": 50.0, "between": 150.0, "during": 201.0}
    result = judged(clicks, ["early", "during"], lost_links=[150.0])
    assert result.wrong == []
    assert (result.clicks["lost"], result.clicks["waited"], result.rpo) == (1, 1, 50.0)


@pytest.mark.parametrize(
    ("stored", "lost_links"),
    [
        (["during"], []),
        (["early"], []),
        (["early", "early", "during"], []),
        (["early", "during"], [99.0]),
    ],
    ids=["an early click lost", "one of the outage lost", "one twice", "an early link lost"],
)
def test_anything_else_is_wrong(stored: list[str], lost_links: list[float]) -> None:
    assert len(judged({"early": 50.0, "during": 201.0}, stored, lost_links).wrong) == 1


@pytest.mark.services  # it needs promtool
def test_the_real_rule_is_asked_about_samples() -> None:
    def samples(archived: int, failed: int) -> list[list[Any]]:
        return [[number * archived, number * failed, number, 60] for number in range(20)]

    found = [is_silent(samples(*each)) for each in ((1, 0), (1, 1), (0, 1), (0, 0))]
    assert found == [True, True, False, False]
