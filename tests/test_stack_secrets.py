"""Each container of the stack has its own secrets and rights only, and each client its share."""

from __future__ import annotations

import re
from typing import Any

from testkit.webserver import ROOT
from tests.test_stack_files import COMPOSE, OURS, SWARM, _source, either

OWN_SECRETS = {
    "app": {"chaos_token", "database_password", "redis_password"},
    "grafana": {"grafana_password"},
    "migrate": {"database_password", "redis_password"},
    "postgres": {"database_password", "monitor_password", "postgres_password"},
    "postgres-exporter": {"monitor_password"},
    "redis": {"redis_password"},
    "redis-exporter": {"redis_passwords"},
    "worker": {"database_password", "redis_password"},
}
"""What each container may know; the Swarm's relay has its webhook beside it."""


def test_a_container_of_a_swarm_has_its_own_secrets_only() -> None:
    given = {
        name: set(service["secrets"])
        for name, service in SWARM["services"].items()
        if "secrets" in service
    }
    assert given.pop("alert-relay") == {"discord_webhook_url"}
    assert given.pop("canary") == OWN_SECRETS["app"]
    assert given == OWN_SECRETS


def test_a_container_of_compose_has_its_own_secrets_only() -> None:
    maker = COMPOSE["services"]["secrets"]
    given = _given_by("\n".join(maker["command"]))
    mounted = {
        name: _secrets_of(service)
        for name, service in COMPOSE["services"].items()
        if name != "secrets"
    }
    for name, volumes in mounted.items():
        known = set().union(*(given[volume.removeprefix("secrets-")] for volume in volumes))
        assert known == OWN_SECRETS.get(re.sub(r"^app\d$|^canary$", "app", name), set()), name
    assert {_source(volume) for volume in maker["volumes"]} == {"secrets"} | {
        f"secrets-{name}" for name in given
    }


def _secrets_of(service: dict[str, Any]) -> list[str]:
    """The volumes with secrets; none is mounted in a way that it could be written to."""
    found = [
        volume for volume in service.get("volumes", []) if _source(volume).startswith("secrets")
    ]
    assert all(volume.endswith(":/run/holdfast:ro") for volume in found)
    return [_source(volume) for volume in found]


def _given_by(script: str) -> dict[str, set[str]]:
    given = {
        to: set(names.split())
        for to, names in re.findall(r"^give ([\w-]+) (.+)$", script, re.MULTILINE)
    }
    return given | {
        to: {name} for to, name in re.findall(r"^keep \.\./([\w-]+)/(\w+) ", script, re.MULTILINE)
    }


@either
def test_every_secret_that_a_container_reads_is_one_that_it_has(stack: dict[str, Any]) -> None:
    for name, service in stack["services"].items():
        read = {
            path.rpartition("/")[2]
            for path in _environment(service).values()
            if re.match("/run/(holdfast|secrets)/", path)
        }
        assert read <= OWN_SECRETS.get(
            re.sub(r"^app\d$|^canary$", "app", name), {"discord_webhook_url"}
        ), name


@either
def test_the_application_is_no_superuser_and_who_watches_has_a_role_of_its_own(
    stack: dict[str, Any],
) -> None:
    services = stack["services"]
    assert (
        "POSTGRES_USER" not in services["postgres"]["environment"]
    )  # so that the superuser is called postgres
    assert services["postgres-exporter"]["environment"]["DATA_SOURCE_USER"] == "monitor"
    assert services["worker"]["environment"]["DATABASE_USER"] == "holdfast"
    roles = (ROOT / "postgres" / "roles.sql").read_text()
    assert all(f"ALTER ROLE {role} LOGIN NOSUPERUSER" in roles for role in ("holdfast", "monitor"))


@either
def test_no_password_is_in_a_command_or_a_variable(stack: dict[str, Any]) -> None:
    for name, service in stack["services"].items():
        words = f"{service.get('command', '')} {service.get('healthcheck', {}).get('test', '')}"
        assert not re.search(r"--requirepass|--pass|redis-cli -a|PGPASSWORD", words), name
        secrets = {
            key
            for key in _environment(service)
            if re.search("PASS|TOKEN|WEBHOOK", key) and not key.endswith("FILE")
        }
        assert secrets <= {"CHAOS_TOKEN", "DISCORD_WEBHOOK_URL"}, (
            name
        )  # what an operator may give in .env


def _environment(service: dict[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in service.get("environment", {}).items()}


@either
def test_redis_wants_a_password_and_is_asked_with_it(stack: dict[str, Any]) -> None:
    redis = stack["services"]["redis"]
    assert "requirepass $$(cat $$REDIS_PASSWORD_FILE)" in redis["command"][-1]
    assert "REDISCLI_AUTH" in redis["healthcheck"]["test"][1]


@either
def test_one_address_cannot_ask_for_everything(stack: dict[str, Any]) -> None:
    environment = _environment(stack["services"]["nginx"])
    wanted = {
        "RATE_LIMIT": 1000,
        "CONNECTION_LIMIT": 1000,
        "HEADER_TIMEOUT": 15,
        "BODY_TIMEOUT": 30,
        "KEEPALIVE_TIMEOUT": 65,
    }
    assert {name: environment[name] for name in wanted} == {
        name: f"${{{name}:-{default}}}" for name, default in wanted.items()
    }
    script = (ROOT / "nginx" / "start.sh").read_text()
    assert all(f"${{{name}:-{default}}}" in script for name, default in wanted.items())


def test_an_image_is_of_a_version_that_the_page_names() -> None:
    page = (ROOT / "docs" / "deployment.md").read_text()
    foreign = {service["image"] for service in COMPOSE["services"].values()} - {OURS}
    assert [image for image in foreign if f"| `{image}` |" not in page] == []


def test_what_goes_between_the_nodes_of_a_swarm_is_encrypted() -> None:
    assert all(
        network["driver_opts"] == {"encrypted": "true"} for network in SWARM["networks"].values()
    )
