"""Brings the Compose stack up under a name of its own, checks every promise about it, and takes it
down: `python -m tests.stack.run`.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from typing import Any

from testkit.servers import ROOT
from tests.discord import Discord
from tests.stack import front_door, replicas, standing
from tests.stack.alerts import Alerts
from tests.stack.clicks import exact
from tests.stack.compose import Stack, docker, engine_answers, host_address
from tests.stack.faults import Faults
from tests.stack.report import Failed, Report

NO_ENGINE = 3
_SECONDS = 45 * 60  # an end to hanging, as all timeouts of whole commands are
_CONTRACT = (
    "tests/routes",
    *(
        f"tests/test_{name}.py"
        for name in ("odd_requests", "odd_inputs", "odd_addresses", "openapi", "problems")
    ),
)


def main() -> int:
    if not engine_answers():
        print("container stage: no Docker engine can start here, nothing of it was checked")
        return NO_ENGINE
    end_at(_SECONDS)
    report = Report()
    with Discord(host=host_address()) as discord:
        stack = Stack(
            f"hf{secrets.token_hex(3)}", AUTO_SEED="true", DISCORD_WEBHOOK_URL=discord.url
        )
        try:
            _check(report, stack, Alerts(discord))
        finally:
            stack.down()
    return report.verdict()


def end_at(seconds: int) -> None:
    """Whatever hangs, or whoever ends this: what was started is taken down."""
    for name in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(name, _end)
    signal.alarm(seconds)


def _end(number: int, _frame: Any) -> None:
    sys.exit(f"ended before the end, by {signal.Signals(number).name}")


def _check(report: Report, stack: Stack, alerts: Alerts) -> None:
    report.heading("docker compose up --build -d --wait")
    report.step("the stack comes up", stack.up)
    if report.failures:
        return
    standing.check(report, stack)
    report.heading("nobody asks")
    faults = Faults(stack, alerts)
    report.step(
        "Nginx stopped, worker stopped, no traffic",
        faults.silence,
        lambda: _meanwhile(report, stack),
    )
    report.heading("the contract through Nginx, with three replicas")
    report.step(
        "the suite's tests that speak only HTTP", contract, stack.url(), stack.test_servers()
    )
    replicas.check(report, stack)
    report.heading("faults under load")
    _break(report, Faults(stack, alerts))
    print(f"\n{alerts.table()}\nalso told: {', '.join(alerts.others()) or 'nothing'}")


def _meanwhile(report: Report, stack: Stack) -> None:
    front_door.check(report, stack)
    standing.check_watchdog(report, stack)


def _break(report: Report, faults: Faults) -> None:
    report.step("kill -9 of a replica at 100 requests/s", faults.kill, "app1")
    report.step("GET /chaos at 100 requests/s", faults.chaos)
    report.step("every panel of every dashboard shows something", _panels, faults.stack)
    report.step("Redis stopped at 100 requests/s", faults.redis)
    report.step("PostgreSQL stopped at 100 requests/s", faults.postgres)
    report.step("5xx and p95 over their limits", faults.slow_and_failing)
    report.step("every click that was answered is stored", _exact, faults)
    report.step("the end of every fault was told", faults.alerts.wait_resolved, 120)


def contract(url: str, servers: dict[str, str], *left_out: str) -> str:
    """As the suite runs them in the process, but over HTTP.

    What needs the inside of the process is left out, and what `left_out` names.
    """
    options = [
        "--no-cov",
        "--tb=short",
        "-p",
        "tests.stack.through",
        "-p",
        "no:cacheprovider",
        "-m",
        "not services",
        *(f"--deselect={test}" for test in left_out),
    ]
    return _run(
        ["-m", "pytest", *options, *_CONTRACT],
        {"HOLDFAST_URL": url, **servers},
    )


def _exact(faults: Faults) -> str:
    log = docker(
        "logs", f"{faults.stack.project}-nginx-1"
    )  # Compose puts a terminal's command before each line
    return exact(faults.stack.url(), faults.loads, log)


def _panels(stack: Stack) -> str:
    return _run(["-m", "monitoring.check_panels", stack.url("PROMETHEUS_PORT")], {})


def _run(command: list[str], environ: dict[str, str]) -> str:
    """Its last line; all of it when it fails."""
    done = subprocess.run(
        [sys.executable, *command],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environ},
        timeout=1500,
    )
    if done.returncode:
        raise Failed(done.stdout[-6000:] + done.stderr[-2000:])
    return done.stdout.strip().splitlines()[-1]


if __name__ == "__main__":
    sys.exit(main())
