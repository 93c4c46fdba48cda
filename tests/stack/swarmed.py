"""How a deployed Swarm stands: its networks, its ports, and the documents' ways into it."""

from __future__ import annotations

import json
import re
import subprocess

from testkit.servers import ROOT
from tests.stack.compose import docker, get_json
from tests.stack.report import require

NAME = "holdfast"
"""The stack's; the secrets of docker-stack.yml are called so."""


def networks(_swarm: object) -> str:
    names = docker(
        "network", "ls", "-q", f"--filter=label=com.docker.stack.namespace={NAME}"
    ).split()
    found = json.loads(docker("network", "inspect", *names))
    plain = [each["Name"] for each in found if each["Options"].get("encrypted") != "true"]
    require(len(found) == 4 and not plain, f"not encrypted: {plain}")
    services = docker("stack", "services", "-q", NAME).split()
    open_ = [
        each["Spec"]["Name"]
        for each in json.loads(docker("service", "inspect", *services))
        if each["Endpoint"].get("Ports")
    ]
    require(open_ == [f"{NAME}_nginx"], f"with a port: {open_}")
    return ", ".join(sorted(each["Name"] for each in found))


def reach_grafana(_swarm: object) -> str:
    page = (ROOT / "docs" / "deployment.md").read_text().split("### The way to Grafana")[1]
    address = type_in(re.findall(r"```sh\n(.+?)```", page, re.DOTALL)[0], "").strip()
    return f"database {get_json(f'http://{address}:3000/api/health')['database']}"


def type_in(commands: str, file: str) -> str:
    done = subprocess.run(
        ["bash", "-euc", commands.replace("FILE", file)],
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
    )
    require(done.returncode == 0, done.stdout + done.stderr)
    return done.stdout
