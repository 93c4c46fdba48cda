"""Compose, Swarm, the scripts and the workflows agree with the code, with each other and with the
house's rules for containers.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import Any

import pytest
import yaml

from app.__main__ import main
from app.config import Settings
from app.schemas import RESERVED
from monitoring.alert_relay.settings import Settings as RelaySettings
from testkit.webserver import ROOT

ONCE = {"secrets", "migrate"}
SINGLE_PROGRAM_IMAGES = {"redis-exporter", "nginx-exporter"}
OURS = "${HOLDFAST_IMAGE:-holdfast:latest}"
FILES = {name: (ROOT / name).read_text() for name in ("docker-compose.yml", "docker-stack.yml")}
STACK_VARIABLES = set(re.findall(r"\$\{([A-Z_]+)", " ".join(FILES.values())))
COMPOSE, SWARM = (yaml.safe_load(text) for text in FILES.values())
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in (ROOT / ".github" / "workflows").glob("*.yml")
}
CI = WORKFLOWS["ci"]["jobs"]

composed = pytest.mark.parametrize("name", COMPOSE["services"])
swarmed = pytest.mark.parametrize("name", SWARM["services"])
either = pytest.mark.parametrize("stack", [COMPOSE, SWARM], ids=["compose", "swarm"])


def readable_by_the_application() -> set[str]:
    """Every variable that app/config.py looks at."""
    settings = {setting.name.upper() for setting in fields(Settings)}
    folded = {f"DATABASE_{part}" for part in ("NAME", "HOST", "PORT", "USER", "PASSWORD")} | {
        f"REDIS_{part}" for part in ("HOST", "PORT", "PASSWORD")
    }
    from_files = {
        f"{name}_FILE"
        for name in (settings | {"DATABASE_PASSWORD", "REDIS_PASSWORD"})
        - {"PROMETHEUS_MULTIPROC_DIR"}
    }
    return settings | folded | from_files


def services_of_ours(stack: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: service for name, service in stack["services"].items() if service["image"] == OURS
    }


def make_targets(text: str) -> set[str]:
    return set(re.findall(r"\bmake ([a-z][a-z-]+)", text))


@either
def test_every_variable_of_the_applications_containers_is_one_that_it_reads(
    stack: dict[str, Any],
) -> None:
    for name, service in services_of_ours(stack).items():
        if name != "alert-relay":
            assert set(service["environment"]) <= readable_by_the_application(), name


@either
def test_every_variable_of_the_relays_container_is_one_that_it_reads(stack: dict[str, Any]) -> None:
    known = {setting.name.upper() for setting in fields(RelaySettings)} | {
        "DISCORD_WEBHOOK_URL_FILE"
    }
    assert set(stack["services"]["alert-relay"]["environment"]) <= known


@either
def test_every_variable_of_nginx_is_one_that_its_script_reads(stack: dict[str, Any]) -> None:
    read = set(re.findall(r"\$\{?([A-Z_]{4,})", (ROOT / "nginx" / "start.sh").read_text()))
    only_for_tls = {name for name in read if name.startswith("TLS_")}
    assert set(stack["services"]["nginx"]["environment"]) == read - only_for_tls
    if stack is COMPOSE:
        assert set(COMPOSE["services"]["nginx-tls"]["environment"]) == read


def test_a_page_of_nginx_takes_no_other_code_and_no_link_has_its_own() -> None:
    conf = (ROOT / "nginx" / "nginx.conf").read_text()
    named = re.findall(r"location = /(nginx-\S+) \{", conf)
    errors = re.findall(r"/(nginx-[a-z-]+)\$form", conf)
    assert {"nginx-health", "nginx-import-error"} <= {*named, *errors} <= RESERVED
    matched = re.findall(r"location ~ \^/nginx-\S+ \{", conf)
    assert [each for each in matched if not each.endswith("$ {")] == []


def test_the_nginx_with_tls_is_the_other_one_but_for_tls() -> None:
    plain, tls = (dict(COMPOSE["services"][name]) for name in ("nginx", "nginx-tls"))
    assert tls.pop("profiles") == ["tls"]
    assert tls.pop("ports") == ["${HTTP_PORT:-80}:8080", "${TLS_PORT:-443}:8443"]
    own = {"TLS_CERTIFICATE", "TLS_KEY", "TLS_PORT"}
    environment = {name: tls["environment"][name] for name in tls["environment"].keys() - own}
    *volumes, folder = tls["volumes"]
    assert (folder["target"], folder["read_only"]) == ("/run/tls", True)
    assert {**tls, "environment": environment, "volumes": volumes} == {
        name: value for name, value in plain.items() if name != "ports"
    }


def test_whoever_switches_tls_on_learns_to_close_the_plain_port() -> None:
    for name in ("docker-compose.yml", ".env.example", "docs/deployment.md"):
        named = re.findall(r".*(?:--profile |PROFILES=)tls.*", (ROOT / name).read_text())
        assert named, name
        assert all("APP_PORT=127.0.0.1:8000" in line for line in named), name


def test_replicas_have_the_same_settings_in_both_files() -> None:
    assert set(COMPOSE["services"]["app1"]["environment"]) == set(
        SWARM["services"]["app"]["environment"]
    )
    for name in ("app2", "app3"):
        assert {**COMPOSE["services"][name], "environment": None} == {
            **COMPOSE["services"]["app1"],
            "environment": None,
        }
        assert COMPOSE["services"][name]["environment"] == COMPOSE["services"]["app1"][
            "environment"
        ] | {"INSTANCE": name}


def test_both_files_have_the_same_services_from_the_same_images() -> None:
    compose = {
        re.sub(r"^app\d$", "app", name): service["image"]
        for name, service in COMPOSE["services"].items()
        if name not in ("secrets", "nginx-tls")
    }
    assert compose == {name: service["image"] for name, service in SWARM["services"].items()}


@pytest.mark.parametrize(
    "name", ["postgres", "redis", "worker", "migrate", "alert-relay", "nginx-exporter"]
)
def test_both_files_start_the_same_program(name: str) -> None:
    assert COMPOSE["services"][name]["command"] == SWARM["services"][name]["command"]


@either
def test_every_command_of_our_containers_exists(stack: dict[str, Any]) -> None:
    [started] = re.findall(r"^CMD (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    given = [service.get("command", []) for service in services_of_ours(stack).values()]
    ours = [command for command in (json.loads(started), *given) if command[:1] == ["holdfast"]]
    assert {name for _, name in ours} == {"serve", "worker", "migrate"} <= set(main.commands)


@either
def test_every_foreign_image_has_a_version(stack: dict[str, Any]) -> None:
    foreign = {service["image"] for service in stack["services"].values()} - {OURS}
    assert [image for image in foreign if not re.fullmatch(r"[\w./-]+:v?\d[\w.-]*", image)] == []


def test_only_nginx_listens_to_the_world() -> None:
    published = {
        name: service["ports"]
        for name, service in COMPOSE["services"].items()
        if "ports" in service
    }
    assert published.pop("nginx") == ["${APP_PORT:-8000}:8080"]
    assert published.pop("nginx-tls") == ["${HTTP_PORT:-80}:8080", "${TLS_PORT:-443}:8443"]
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_a_swarm_publishes_only_what_asks_for_a_password_or_is_meant_for_everybody() -> None:
    assert {name for name, service in SWARM["services"].items() if "ports" in service} == {"nginx"}
    assert "GF_AUTH_ANONYMOUS_ENABLED" not in SWARM["services"]["grafana"]["environment"]


@composed
def test_a_container_comes_back_has_limits_and_rotates_its_log(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["restart"] == ("no" if name in ONCE else "unless-stopped")
    assert re.fullmatch(r"\d+m", service["mem_limit"])
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}


@composed
def test_a_container_cannot_do_more_than_it_must(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert name == "postgres" or not service.get("cap_add")
    assert not service.get("privileged")


@swarmed
def test_a_task_comes_back_has_limits_and_rotates_its_log(name: str) -> None:
    service = SWARM["services"][name]
    assert service["deploy"]["restart_policy"]["condition"] == (
        "on-failure" if name in ONCE else "any"
    )
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    assert (service["cap_drop"], service["read_only"]) == (["ALL"], True)


@either
def test_every_service_that_stays_says_how_it_is(stack: dict[str, Any]) -> None:
    asked = {
        name
        for name, service in stack["services"].items()
        if service.get("healthcheck", {"disable": True}).get("disable") is not True
    }
    assert asked == set(stack["services"]) - ONCE - SINGLE_PROGRAM_IMAGES
    assert (
        "HEALTHCHECK" in (ROOT / "Dockerfile").read_text()
    )  # what replicas are asked; their own entries only say when


def test_a_swarm_starts_a_new_replica_before_it_ends_the_old_and_undoes_a_bad_version() -> None:
    deploy = SWARM["services"]["app"]["deploy"]
    assert deploy["replicas"] == 3
    assert (
        deploy["update_config"]["order"],
        deploy["update_config"]["parallelism"],
        deploy["update_config"]["failure_action"],
    ) == (
        "start-first",
        1,
        "rollback",
    )


@either
def test_every_volume_network_secret_and_config_is_declared_and_used(stack: dict[str, Any]) -> None:
    for kind in ("volumes", "networks", "secrets", "configs"):
        used = {
            _source(each)
            for service in stack["services"].values()
            for each in service.get(kind, [])
        }
        assert {name for name in used if name and "/" not in name} == set(stack.get(kind, {})), kind


def _source(entry: str | dict[str, str]) -> str:
    return entry.get("source", "") if isinstance(entry, dict) else entry.partition(":")[0]


def test_every_file_that_is_mounted_exists() -> None:
    mounted = {
        _source(each)
        for service in COMPOSE["services"].values()
        for each in service.get("volumes", [])
    }
    configs = {config["file"] for config in SWARM["configs"].values()}
    assert [
        path
        for path in mounted | configs
        if path.startswith("./") or "." in path
        if "./var/" not in path  # what is there is the operator's
        if not (ROOT / re.sub(r"\$\{[A-Z_]+:-(.*?)\}", r"\1", path)).exists()
    ] == []


def test_replicas_have_the_folder_of_hosts_where_documents_say() -> None:
    for name in ("app1", "app2", "app3"):
        [folder] = [each for each in COMPOSE["services"][name]["volumes"] if isinstance(each, dict)]
        assert folder["source"] == "${HOSTS_FOLDER:-./deploy/hosts}"
        assert (folder["target"], folder["read_only"]) == ("/etc/holdfast/hosts", True)
    pages = "docs/configuration.md", "docs/security.md", ".env.example", "deploy/hosts/README.md"
    for page in pages:
        named = re.findall(r"(/etc\S*/)blocked\.txt", (ROOT / page).read_text())
        assert set(named) == {f"{folder['target']}/"}, page


def test_the_deployment_has_every_file_that_the_stack_mounts() -> None:
    mounted = {
        re.sub(r"^\./([^/]+).*", r"\1", _source(each))
        for service in COMPOSE["services"].values()
        for each in service.get("volumes", [])
        if _source(each).startswith("./")
    }
    workflow = (ROOT / ".github" / "workflows" / "deploy.yml").read_text()
    script = (ROOT / "deploy" / "deploy.sh").read_text()
    [sent] = re.findall(r"git archive HEAD (.*?) \|", workflow)
    [taken] = re.findall(r'cp -R "\$here"/\{(.*?)\} "\$home"', script)
    assert mounted | {"docker-compose.yml", "deploy"} == set(sent.split()) == set(taken.split(","))
    assert 'mkdir -p "$home/deploy/hosts"' in script  # before a new replica mounts it


def test_a_swarm_is_given_every_file_of_nginx_and_every_rule() -> None:
    present = {
        str(path.relative_to(ROOT))
        for folder in ("nginx", "postgres", "monitoring/prometheus/rules")
        for path in (ROOT / folder).iterdir()
        if path.name != "kustomization.yaml"  # Kubernetes' list of these files
    }
    assert present <= {config["file"] for config in SWARM["configs"].values()}


def test_every_target_of_prometheus_is_a_service_and_every_replica_is_a_target() -> None:
    jobs = yaml.safe_load((ROOT / "monitoring" / "prometheus" / "prometheus.yml").read_text())[
        "scrape_configs"
    ]
    hosts = {
        target.partition(":")[0]
        for job in jobs
        for config in job["static_configs"]
        for target in config["targets"]
    }
    assert hosts - {"localhost"} <= set(COMPOSE["services"])
    assert {name for name in COMPOSE["services"] if name.startswith("app")} <= hosts
    assert set(COMPOSE["services"]["nginx"]["environment"]["APP_SERVERS"].split()) <= hosts


def test_a_deployment_replaces_every_service_that_is_made_of_our_image() -> None:
    pattern = re.search(r"grep -vE '(\^.*\$)'", (ROOT / "deploy" / "deploy.sh").read_text())
    assert pattern
    assert {name for name in COMPOSE["services"] if re.search(pattern[1], name)} == set(
        services_of_ours(COMPOSE)
    )


def test_workflows_may_read_and_nothing_else_and_end_by_themselves() -> None:
    for workflow in WORKFLOWS.values():
        assert workflow["permissions"] == {"contents": "read"}
        assert all(
            "permissions" not in job and ("uses" in job or job["timeout-minutes"] <= 60)
            for job in workflow["jobs"].values()
        )


def test_every_action_of_a_workflow_has_a_version() -> None:
    used = [
        step["uses"]
        for workflow in WORKFLOWS.values()
        for job in workflow["jobs"].values()
        for step in job.get("steps", [])
        if "uses" in step
    ]
    assert [
        action for action in used if not re.fullmatch(r"actions/[\w-]+@v\d+(\.\d+)*", action)
    ] == []


def test_nothing_is_deployed_before_everything_else_has_passed() -> None:
    assert set(CI["deploy"]["needs"]) == set(CI) - {"deploy"}
    assert CI["deploy"]["uses"] == "./.github/workflows/deploy.yml"
    assert set(WORKFLOWS["deploy"][True]) == {"workflow_call"}  # "on" is a boolean to YAML 1.1


def test_the_workflow_checks_what_the_local_run_checks() -> None:
    offered = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    in_ci = make_targets(
        " ".join(step.get("run", "") for job in CI.values() for step in job.get("steps", []))
    )
    assert in_ci <= offered
    assert make_targets(re.sub(r"(?m)^step .*", "", (ROOT / ".ci" / "run").read_text())) <= in_ci


@pytest.mark.parametrize(
    ("text", "column"),
    [(FILES["docker-compose.yml"], "Compose"), (FILES["docker-stack.yml"], "Swarm")],
    ids=["compose", "swarm"],
)
def test_the_configuration_page_has_every_variable_of_the_stack(text: str, column: str) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    rows = re.findall(
        r"^\| `([A-Z_]+)` \|(.*?)\| .* \| (both|Compose|Swarm) \|$", page, re.MULTILINE
    )
    documented = {
        name: default.strip(" `") for name, default, where in rows if where in ("both", column)
    }
    [passed] = re.findall(r"pass through, with the defaults above: ([^.]+)\.", page)
    own = dict(re.findall(r"^\| `([A-Z_]+)` \|(.*?)\| .* \| `app/", page, re.MULTILINE))
    documented |= {name: own[name].strip(" `") for name in re.findall("`([A-Z_]+)`", passed)}
    taken = dict(re.findall(r"\$\{([A-Z_]+):-((?:[^{}]|\$\{[^}]*\})*)\}", text))
    taken |= (
        {"GRAFANA_URL": documented["GRAFANA_URL"]}
        if column == "Swarm"
        else dict(re.findall(r"\$\{(GRAFANA_PORT):-(\d+)\}", text))
    )
    assert documented == taken


def test_every_install_from_a_lock_takes_what_the_lock_names_and_resolves_nothing() -> None:
    installs = [
        line
        for name in ("Makefile", "Dockerfile")
        for line in (ROOT / name).read_text().splitlines()
        if "--require-hashes" in line
    ]
    assert len(installs) == 2
    assert all("--no-deps" in line and "--only-binary :all:" in line for line in installs)
