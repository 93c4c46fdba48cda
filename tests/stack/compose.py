"""The Compose stack under a name and on ports of its own: up, looked at, down again with all that
it stored.
"""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from testkit.servers import ROOT, free_port
from tests.stack.pace import wait_for

PORTS = ("APP_PORT", "GRAFANA_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT", "RELAY_PORT")
REPLICAS = ("app1", "app2", "app3")
ONCE = ("secrets", "migrate")


class Broken(Exception):
    """A command failed; the text has its last words."""


def docker(*arguments: str, timeout: float = 300, **more: Any) -> str:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        ["docker", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=ROOT,
        **more,
    )
    if done.returncode:
        raise Broken(f"docker {' '.join(arguments)[:200]}: {(done.stderr or done.stdout)[-2000:]}")
    return done.stdout.strip()


def engine_answers() -> bool:
    try:
        docker("version", "--format", "{{.Server.Version}}")
        docker("compose", "version")
    except (Broken, OSError, subprocess.TimeoutExpired):
        return False
    return True


def host_address() -> str:
    """Where containers reach this host."""
    return docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}")


class Stack:
    """docker-compose.yml as it is, with no .env file; `environ` is what an operator would set."""

    def __init__(self, project: str, **environ: str) -> None:
        self.project = project
        self.ports = {name: int(os.environ.get(name, 0)) or free_port() for name in PORTS}
        self.image = f"holdfast:{project}"
        self._secrets: dict[str, str] = {}
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name in ("PATH", "HOME") or name.startswith("DOCKER_")
        }
        self.environ = {
            **inherited,
            **{name: str(port) for name, port in self.ports.items()},
            "HOLDFAST_IMAGE": self.image,
            **environ,
        }

    def compose(self, *arguments: str, timeout: float = 600, **more: Any) -> str:
        return docker(
            "compose",
            "-p",
            self.project,
            "--env-file",
            os.devnull,
            *arguments,
            timeout=timeout,
            env=self.environ,
            **more,
        )

    def up(self) -> None:
        self.compose("up", "--build", "-d", "--wait", timeout=900)

    def down(self) -> None:
        self.compose("down", "-v", "--remove-orphans", "--timeout", "5", timeout=600)
        docker("image", "rm", "-f", self.image)

    def url(self, port: str = "APP_PORT") -> str:
        return f"http://127.0.0.1:{self.ports[port]}"

    def services(self) -> list[str]:
        return self.compose("config", "--services").split()

    def inspect_all(self) -> dict[str, dict[str, Any]]:
        """What the engine knows about each service's container."""
        labels = (f"com.docker.compose.project={self.project}", "com.docker.compose.oneoff=False")
        ids = docker("ps", "-aq", *(f"--filter=label={label}" for label in labels)).split()
        return {
            each["Config"]["Labels"]["com.docker.compose.service"]: each
            for each in json.loads(docker("inspect", *ids))
        }

    def inspect(self, service: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(docker("inspect", f"{self.project}-{service}-1"))
        return found[0]

    def pid(self, service: str) -> int:
        return int(self.inspect(service)["State"]["Pid"])

    def address(self, service: str, network: str = "back") -> str:
        """Its address on one of the stack's networks, which the host reaches as well."""
        return str(
            self.inspect(service)["NetworkSettings"]["Networks"][f"{self.project}_{network}"][
                "IPAddress"
            ]
        )

    def secret(self, name: str) -> str:
        """One of the application's, or the superuser's."""
        if name not in self._secrets:
            service = "postgres" if name == "postgres_password" else "app1"
            self._secrets[name] = self.compose(
                "exec", "-T", service, "cat", f"/run/holdfast/{name}"
            )
        return self._secrets[name]

    def sql(self, statement: str) -> str:
        return self.compose("exec", "-T", "postgres", "psql", "-U", "holdfast", "-qtAc", statement)

    def rows(self, statement: str) -> list[list[Any]]:
        """What a statement returns, whatever its texts hold."""
        found = self.sql(f"SELECT coalesce(json_agg(found), '[]') FROM ({statement}) AS found")
        return [list(row.values()) for row in json.loads(found)]

    def stop(self, service: str) -> None:
        docker("stop", f"{self.project}-{service}-1")

    def start(self, service: str) -> None:
        """This one alone: Compose would run again what it depends on."""
        docker("start", f"{self.project}-{service}-1")

    def is_healthy(self, service: str) -> bool:
        state = self.inspect(service)["State"]
        return bool(
            state["Running"] and state.get("Health", {}).get("Status", "healthy") == "healthy"
        )

    def wait_healthy(self, *services: str, seconds: float = 60) -> None:
        wait_for(lambda: all(map(self.is_healthy, services)), seconds, f"the health of {services}")

    def test_servers(self) -> dict[str, str]:
        """The stack's own database and Redis, as the test suite wants to be told."""
        url = self.database_url("holdfast", "database_password").replace(
            "postgresql", "postgresql+pool"
        )
        return {"TEST_DATABASE_URL": url, "TEST_REDIS_URL": self.redis_url()}

    def database_url(self, user: str = "postgres", password: str = "postgres_password") -> str:
        """The superuser's way, unless somebody else is named."""
        return (
            f"postgresql://{user}:{self.secret(password)}@{self.address('postgres')}:5432/holdfast"
        )

    def redis_url(self) -> str:
        return f"redis://:{self.secret('redis_password')}@{self.address('redis')}:6379/0"

    def prometheus(self, path: str) -> Any:
        return get_json(f"{self.url('PROMETHEUS_PORT')}/api/v1/{path}")["data"]


def get_json(url: str) -> Any:
    return json.loads(fetch(url)[1])


def fetch(
    url: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, bytes, Any]:
    """Status, body and headers of one request on a new connection; follows no redirect."""
    _, _, host, target = url.split("/", 3)
    with closing(HTTPConnection(host, timeout=40)) as connection:
        connection.request(
            method,
            f"/{target}",
            body,
            {name.replace("_", "-"): value for name, value in headers.items()},
        )
        response = connection.getresponse()
        return response.status, response.read(), response.headers


def rule_files() -> list[Path]:
    return sorted((ROOT / "monitoring" / "prometheus" / "rules").glob("*.yml"))
