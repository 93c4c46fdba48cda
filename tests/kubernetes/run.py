"""Deploys Holdfast on the cluster of kubectl's context, checks every promise about it, and removes
it: `python -m tests.kubernetes.run`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from tests.kubernetes import standing
from tests.kubernetes.cluster import Cluster, kubectl, wait_until
from tests.kubernetes.scenarios import LEAST_REPLICAS, UNDER_LOAD
from tests.kubernetes.watched import Line, Watched, table
from tests.stack import links
from tests.stack.compose import Broken
from tests.stack.report import Report
from tests.stack.run import contract, end_at

NO_CLUSTER = 3
_SECONDS = 40 * 60  # an end to hanging
_ABOUT_LOGS = (  # each replica has a log of its own here
    "tests/routes/test_logs.py",
    "tests/routes/test_inputs.py::test_a_sane_request_id_is_echoed_everywhere",
)
_RATE = float(os.environ.get("KUBE_RATE", "100"))


def main() -> int:
    try:
        server = kubectl(
            "config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"
        )
        kubectl("get", "--raw", "/readyz", timeout=20)
    except (Broken, OSError, subprocess.TimeoutExpired):
        print("kubernetes stage: kubectl reaches no cluster, nothing of it was checked")
        return NO_CLUSTER
    if not is_for_tests(server):
        print(f"{server} is not on this machine. To test there: KUBE_CONTEXT=<its context>")
        return 2
    end_at(_SECONDS)
    cluster, report = Cluster(), Report()
    lines: list[Line] = []
    try:
        _check(report, cluster, lines)
    finally:
        cluster.down()
        print(
            f"\nKubernetes {cluster.version}, {_RATE:.0f} requests/s\n\n{table(lines)}", flush=True
        )
    return report.verdict()


def is_for_tests(server: str) -> bool:
    """Whether its interface has an address of this machine, or its context was named."""
    named = os.environ.get("KUBE_CONTEXT", "")
    if named:
        return named == kubectl("config", "current-context")
    try:
        with socket.create_server((urlsplit(server).hostname or "", 0)):
            return True
    except OSError:
        return False


def _check(report: Report, cluster: Cluster, lines: list[Line]) -> None:
    def step(name: str, check: Callable[..., str], *arguments: Any) -> None:
        line, began = Line(name), time.monotonic()
        lines.append(line)
        found = report.step(name, check, *arguments)
        line.seconds = time.monotonic() - began
        line.more = found or ""
        line.wrong = "" if found is not None else "see above"

    step("three images on the nodes", cluster.build)
    step("deploy.sh, from nothing", _deploy, cluster)
    if report.failures:
        return
    step("a link is made and followed through the Service", standing.follow_a_link, cluster)
    step("a replica is confined", standing.is_confined, cluster)
    suite = "the suite's tests that speak only HTTP"
    if _is_wanted(suite):
        step(suite, contract, cluster.url(), cluster.test_servers(), *_ABOUT_LOGS)
    step("a backup by the CronJob", standing.backs_up, cluster)
    codes = links.make(cluster.url())
    for name, happens, reads in UNDER_LOAD:
        if not _is_wanted(name):
            continue
        line = Line(name)
        lines.append(line)
        report.step(name, _under_load, Watched(cluster, codes, line, _RATE, reads), happens)


def _is_wanted(name: str) -> bool:
    """NAMES has parts of names, with commas between; blank for all."""
    return any(part in name for part in os.environ.get("NAMES", "").split(","))


def _deploy(cluster: Cluster) -> str:
    cluster.write_overlay()
    cluster.deploy("1")
    wait_until(lambda: len(cluster.ready("app")) == LEAST_REPLICAS, 120, "the autoscaler")
    return f"{len(cluster.ready('app'))} replicas serve"


def _under_load(watched: Watched, happens: Callable[[Watched], str]) -> str:
    line = watched.line
    line.wrong = "it did not end"
    try:
        with watched:
            line.more = happens(watched)
    except Exception as error:
        line.wrong = f"{type(error).__name__}: {error}"[:200].replace("\n", " ")
        raise
    line.wrong = ""
    return f"{line.seconds:.0f} s; {line.more}; {watched.load.summary()}"


if __name__ == "__main__":
    sys.exit(main())
