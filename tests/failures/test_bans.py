"""A ban while its links are followed: when the command ends, no process leads to the host."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import closing
from typing import Any

import pytest

from testkit.load import Client, Line
from testkit.servers import HANGS_SECONDS, ROOT
from tests.failures.conftest import Installation

pytestmark = pytest.mark.services

LINKS = 700  # more than one batch
BAD, GOOD = "https://a.evil.example/", "https://example.com/"


def command(installation: Installation, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "app", "links", *arguments],
        cwd=ROOT,
        env=installation.app.environ,
        check=True,
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
    ).stdout


def make(client: Client, address: str, count: int) -> list[str]:
    made = client.json("POST", "/urls/bulk", {"urls": [{"original_url": address}] * count})
    return [result["url"]["short_code"] for result in made["results"]]


def follow_all(port: int, codes: list[str]) -> list[int]:
    with closing(Line(port)) as line:
        return [line.follow(code)[0] for code in codes]


def test_a_ban_under_load_leaves_no_process_that_leads_to_the_host(
    installation: Installation,
) -> None:
    port, client = installation.app.port, installation.client
    bad, good = make(client, BAD, LINKS), make(client, GOOD, 5)
    seen: list[int] = []
    over = threading.Event()

    def follow() -> None:
        while not over.wait(0.01):
            seen.extend(follow_all(port, bad[:20]))

    follower = threading.Thread(target=follow)
    follower.start()
    try:
        said = command(installation, "ban", "evil.example")
    finally:
        over.set()
        follower.join()
    assert said == f"{LINKS} links to evil.example lead nowhere now\n"
    assert set(follow_all(port, bad)) == {451}
    assert set(follow_all(port, good)) == {302}
    assert set(seen) <= {302, 451}
    status, _, answer = client.request("POST", "/urls", {"original_url": BAD})
    assert (status, b"leads to a host that is banned" in answer) == (400, True)
    assert clicks(client) == seen.count(302) + len(good)
    command(installation, "unban", "evil.example")
    assert set(follow_all(port, bad)) == {302}


def clicks(client: Client) -> Any:
    totals = client.json("GET", "/stats")["totals"]
    return totals["people"] + totals["robots"]
