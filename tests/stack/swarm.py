"""Deploys docker-stack.yml on a Swarm of this one engine, checks its promises under load, and
removes it all: `python -m tests.stack.swarm`.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from testkit.servers import ROOT, free_port
from tests.discord import Discord
from tests.stack import links
from tests.stack.alerts import Alerts
from tests.stack.clicks import exact
from tests.stack.compose import Broken, docker, engine_answers, fetch, host_address
from tests.stack.load import Steady
from tests.stack.pace import wait_for
from tests.stack.report import Report, require
from tests.stack.run import NO_ENGINE, end_at
from tests.stack.swarmed import NAME, networks, reach_grafana, type_in

_SECONDS = 60 * 60  # an end to hanging
_SECRETS = (
    "chaos_token",
    "database_password",
    "grafana_password",
    "monitor_password",
    "postgres_password",
)
_LOOPBACK = ("--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:2377")


class Swarm:
    """The stack, and images of it: the first one, a newer one, and one that does not work."""

    def __init__(self, discord: str) -> None:
        self.discord, self.tag = discord, secrets.token_hex(3)
        self.ports = {name: str(free_port()) for name in ("APP_PORT",)}
        self.url = f"http://127.0.0.1:{self.ports['APP_PORT']}"
        self.codes: list[str] = []
        self.loads: list[Steady] = []

    def image(self, version: str) -> str:
        return f"holdfast:{self.tag}-{version}"

    def build(self) -> None:
        docker("build", "-q", "-t", self.image("1"), ".", timeout=300)
        for version, line in (
            ("2", "LABEL version=2"),
            ("broken", 'CMD ["python", "-c", "raise SystemExit(1)"]'),
        ):
            docker(
                "build",
                "-q",
                "-t",
                self.image(version),
                "-",
                input=f"FROM {self.image('1')}\n{line}\n",
            )

    def begin(self) -> None:
        docker("swarm", "init", *_LOOPBACK)
        node = docker("info", "--format", "{{.Swarm.NodeID}}")
        docker("node", "update", "--label-add", "holdfast=data", node)
        for name in _SECRETS:
            docker("secret", "create", f"holdfast_{name}", "-", input=secrets.token_hex(24))
        password = secrets.token_hex(24)
        docker("secret", "create", "holdfast_redis_password", "-", input=password)
        passwords = json.dumps({"redis://redis:6379": password})
        docker("secret", "create", "holdfast_redis_passwords", "-", input=passwords)
        docker("secret", "create", "holdfast_discord_webhook_url", "-", input=self.discord)

    def deploy(self) -> str:
        environ = {
            **os.environ,
            **self.ports,
            "HOLDFAST_IMAGE": self.image("1"),
            "CONFIGS": self.tag,
            "AUTO_SEED": "true",
        }
        files = ("-c", "docker-stack.yml", "-c", "docker-stack.ci.yml")
        docker(
            "stack",
            "deploy",
            "--detach=true",
            "--resolve-image",
            "never",
            *files,
            NAME,
            env=environ,
            timeout=120,
        )
        wait_for(self.is_complete, 180, f"all tasks: {self.replicas()}")
        wait_for(self.is_healthy, 60, "health through Nginx")
        self.codes = links.make(self.url)
        return ", ".join(f"{name} {state}" for name, state in self.replicas().items())

    def end(self) -> None:
        label = f"--filter=label=com.docker.stack.namespace={NAME}"
        with suppress(Broken, TimeoutError):
            docker("stack", "rm", NAME)
            wait_for(lambda: not self.containers(), 60, "the end of all tasks")
        docker("swarm", "leave", "--force")
        _remove("rm -f -v", docker("ps", "-aq", label))
        _remove("volume rm", docker("volume", "ls", "-q", label))
        _remove(
            "image rm -f", docker("image", "ls", "-q", f"--filter=reference=holdfast:{self.tag}-*")
        )

    def containers(self, service: str = "") -> list[str]:
        wanted = (
            f"label=com.docker.swarm.service.name={NAME}_{service}"
            if service
            else f"label=com.docker.stack.namespace={NAME}"
        )
        return docker("ps", "-q", "--filter", wanted).split()

    def replicas(self) -> dict[str, str]:
        """Such as {"app": "3/3"}; a service that has done its work is not named."""
        lines = docker(
            "stack", "services", NAME, "--format", "{{.Name}} {{.Replicas}}"
        ).splitlines()
        return {
            name.removeprefix(f"{NAME}_"): state
            for name, state, *_ in map(str.split, lines)
            if "migrate" not in name
        }

    def is_complete(self) -> bool:
        return all(len(set(state.split("/"))) == 1 for state in self.replicas().values())

    def is_healthy(self) -> bool:
        try:
            status, body, _ = fetch(f"{self.url}/health")
        except OSError:
            return False
        return status == 200 and json.loads(body)["status"] == "ok"

    @contextmanager
    def load(self, label: str) -> Iterator[Steady]:
        """Around something that no client may notice."""
        self.loads.append(Steady(self.url, links.mixed(self.codes), label=label))
        with self.loads[-1] as load:
            wait_for(lambda: len(load.answers) > 200, 20, "the load")
            yield load
            time.sleep(2)
        require(not load.failed(), f"failed: {load.failed()}")

    def healthy_apps(self) -> list[dict[str, Any]]:
        ids = self.containers("app")
        found: list[dict[str, Any]] = json.loads(docker("inspect", *ids)) if ids else []
        return [
            each for each in found if each["State"].get("Health", {}).get("Status") == "healthy"
        ]

    def prometheus(self, query: str) -> list[Any]:
        (container,) = self.containers("prometheus")
        asked = f"http://127.0.0.1:9090/api/v1/query?query={query}"
        found: list[Any] = json.loads(docker("exec", container, "wget", "-qO-", asked))["data"][
            "result"
        ]
        return found

    def nginx_knows(self) -> int:
        (container,) = self.containers("nginx")
        return docker("exec", container, "cat", "/tmp/replicas.conf").count(":8000")

    def update(self, image: str) -> None:
        docker(
            "service", "update", "--detach", "--no-resolve-image", "--image", image, f"{NAME}_app"
        )

    def update_state(self) -> str:
        return docker(
            "service",
            "inspect",
            "--format",
            "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}",
            f"{NAME}_app",
        )


def _remove(command: str, names: str) -> None:
    if names:
        docker(*command.split(), *names.split())


def kill_a_task(swarm: Swarm, alerts: Alerts) -> str:
    with (
        swarm.load("task") as load,
        alerts.told_of(
            "kill -9 of a task", ("InstanceDown|InstanceRestarted|InstanceVanished", "any", 60)
        ),
    ):
        victim = swarm.healthy_apps()[0]
        os.kill(victim["State"]["Pid"], signal.SIGKILL)
        began = time.monotonic()
        wait_for(
            lambda: victim["Id"] not in {each["Id"] for each in swarm.healthy_apps()},
            20,
            "the death of the task",
        )
        wait_for(lambda: len(swarm.healthy_apps()) == 3, 60, "three healthy tasks")
        back = time.monotonic() - began
    return f"replaced after {back:.1f} s; {load.summary()}"


def roll_out(swarm: Swarm) -> str:
    with swarm.load("update") as load:
        began = time.monotonic()
        swarm.update(swarm.image("2"))
        wait_for(lambda: swarm.update_state() == "completed", 240, "the end of the update")
        took = time.monotonic() - began
    images = {each["Config"]["Image"] for each in swarm.healthy_apps()}
    require(images == {swarm.image("2")}, images)
    return f"after {took:.0f} s; {load.summary()}"


def roll_back(swarm: Swarm) -> str:
    with swarm.load("broken") as load:
        began = time.monotonic()
        swarm.update(swarm.image("broken"))
        wait_for(
            lambda: swarm.update_state() == "rollback_completed", 240, "the end of the rollback"
        )
        took = time.monotonic() - began
    wait_for(lambda: len(swarm.healthy_apps()) == 3, 60, "three healthy tasks")
    images = {each["Config"]["Image"] for each in swarm.healthy_apps()}
    require(images == {swarm.image("2")}, images)
    return f"after {took:.0f} s; {load.summary()}"


def scale(swarm: Swarm) -> str:
    known: list[str] = []
    with swarm.load("scale") as load:
        for count in (5, 3):
            began = time.monotonic()
            docker("service", "scale", "--detach", f"{NAME}_app={count}")
            wait_for(
                lambda count=count: len(swarm.healthy_apps()) == count, 90, f"{count} healthy tasks"
            )  # type: ignore[misc]
            wait_for(
                lambda count=count: swarm.nginx_knows() == count, 30, f"{count} replicas in Nginx"
            )  # type: ignore[misc]
            wait_for(
                lambda count=count: len(swarm.prometheus('up{job="holdfast"}==1')) == count,
                60,
                f"{count} targets",
            )  # type: ignore[misc]
            known.append(f"{count} after {time.monotonic() - began:.0f} s")
    return f"{', '.join(known)}, in Nginx and in Prometheus; {load.summary()}"


def watch_disks(swarm: Swarm) -> str:
    """What HostDiskSpaceLow looks at, which leaves out what is read only."""
    query = (
        'node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs|overlay"}'
        "+unless+node_filesystem_readonly==1"
    )
    wait_for(lambda: bool(swarm.prometheus(query)), 30, "a disk of the host")
    return ", ".join(each["metric"]["mountpoint"] for each in swarm.prometheus(query))


def restore(swarm: Swarm) -> str:
    """Types what docs/backup.md says, after the database was lost."""
    dump, load = re.findall(
        r"```sh\n(.+?)```",
        (ROOT / "docs" / "backup.md").read_text().split("### In a Swarm")[1],
        re.DOTALL,
    )[:2]
    (postgres,) = swarm.containers("postgres")
    with tempfile.NamedTemporaryFile() as file:
        type_in(dump, file.name)
        (later,) = links.make(swarm.url, 1)
        docker("exec", postgres, "dropdb", "-U", "postgres", "--force", "holdfast")
        docker("exec", postgres, "createdb", "-U", "postgres", "-O", "holdfast", "holdfast")
        began = time.monotonic()
        said = type_in(load, file.name)
        wait_for(
            lambda: len(swarm.healthy_apps()) == 3 and swarm.is_healthy(),
            60,
            "health through Nginx",
        )
    require(
        all(links.follow(swarm.url, code)[0] == 302 for code in swarm.codes),
        "links of the dump do not work",
    )
    require(
        links.follow(swarm.url, later)[0] == 404,
        "a link that is younger than the dump is still followed",
    )
    return f"{time.monotonic() - began:.0f} s; {re.findall('Deleted .*', said)[0]}"


def clicks(swarm: Swarm) -> str:
    return exact(swarm.url, swarm.loads, docker("service", "logs", "--raw", f"{NAME}_nginx"))


def _check(report: Report, swarm: Swarm, alerts: Alerts) -> None:
    report.step("three images, a Swarm of one node, its secrets", _prepare, swarm)
    report.step("docker stack deploy", swarm.deploy)
    if report.failures:
        return
    checks: tuple[tuple[str, Callable[[Swarm], str]], ...] = (
        ("a new image at 100 requests/s", roll_out),
        ("a broken image at 100 requests/s: back by itself", roll_back),
        ("3 -> 5 -> 3 tasks at 100 requests/s", scale),
        ("every click that was answered is stored", clicks),
        ("the node's disks are watched", watch_disks),
        ("networks are encrypted, and only Nginx has a port", networks),
        ("Grafana is reached as the document says", reach_grafana),
        ("the database is lost, and restored as the document says", restore),
    )
    report.step("kill -9 of a task at 100 requests/s", kill_a_task, swarm, alerts)
    for name, check in checks:
        report.step(name, check, swarm)
    report.step("the end of every fault was told", alerts.wait_resolved, 120)
    print(f"\n{alerts.table()}\nalso told: {', '.join(alerts.others()) or 'nothing'}")


def _prepare(swarm: Swarm) -> None:
    swarm.build()
    swarm.begin()


def main() -> int:
    if (
        not engine_answers()
        or docker("info", "--format", "{{.Swarm.LocalNodeState}}") != "inactive"
    ):
        print(
            "swarm stage: no Docker engine outside of a Swarm can be reached here, nothing of it"
            " was checked"
        )
        return NO_ENGINE
    end_at(_SECONDS)
    report = Report()
    with Discord(host=host_address()) as discord:
        swarm = Swarm(discord.url)
        try:
            _check(report, swarm, Alerts(discord))
        finally:
            swarm.end()
    return report.verdict()


if __name__ == "__main__":
    sys.exit(main())
