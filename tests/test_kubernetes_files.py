"""The files for Kubernetes agree with the code, with the Compose stack and with the house's rules
for containers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.__main__ import main
from monitoring import kubernetes_rules
from tests.kubernetes.run import is_for_tests
from tests.test_stack_files import COMPOSE, ROOT, readable_by_the_application

FOLDER = ROOT / "deploy" / "kubernetes"
SERVICES = COMPOSE["services"]
DRAIN_SECONDS = 8  # graceful_timeout of app/serving.py


def documents(pattern: str = "**/*.yaml") -> Iterator[dict[str, Any]]:
    for path in sorted(FOLDER.glob(pattern)):
        yield from filter(None, yaml.safe_load_all(path.read_text()))


def is_kustomization(document: dict[str, Any]) -> bool:
    return document.get("kind") in ("Kustomization", "Component")


def _template(document: dict[str, Any]) -> Any:
    spec = document["spec"]
    return spec["jobTemplate"]["spec"]["template"] if "jobTemplate" in spec else spec["template"]


WORKLOADS = {
    document["metadata"]["name"]: document
    for document in documents()
    if document.get("kind") in ("Deployment", "StatefulSet", "Job", "CronJob")
}
PODS = {name: _template(document)["spec"] for name, document in WORKLOADS.items()}
LABELS = [_template(document)["metadata"]["labels"] for document in WORKLOADS.values()]
CONTAINERS = {
    f"{name}/{container['name']}": container
    for name, pod in PODS.items()
    for container in (*pod.get("initContainers", []), *pod["containers"])
}
podded = pytest.mark.parametrize("name", PODS)
contained = pytest.mark.parametrize("name", CONTAINERS)


def test_nothing_of_it_is_missing() -> None:
    assert set(WORKLOADS) == {"app", "worker", "migrate", "nginx", "postgres", "redis", "backup"}


@podded
def test_a_pod_is_as_restricted_as_pod_security_asks(name: str) -> None:
    pod = PODS[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False  # else a Service sets REDIS_PORT
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    kinds = {kind for volume in pod["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}


@contained
def test_a_container_cannot_do_more_than_it_must_and_says_what_it_needs(name: str) -> None:
    container = CONTAINERS[name]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    assert set(container["resources"]["limits"]) == {"memory"}


@contained
def test_no_container_has_more_memory_than_in_compose(name: str) -> None:
    service = {"app": "app1", "backup": "postgres"}.get(name.partition("/")[0], name.split("/")[0])
    most = CONTAINERS[name]["resources"]["limits"]["memory"]
    assert most.replace("Mi", "m") == SERVICES[service]["mem_limit"]


@contained
def test_every_mounted_volume_is_one_of_the_pod(name: str) -> None:
    pod = PODS[name.partition("/")[0]]
    mounted = {mount["name"] for mount in CONTAINERS[name]["volumeMounts"]}
    assert mounted <= {volume["name"] for volume in pod["volumes"]}


def _settings() -> set[str]:
    return {
        literal.partition("=")[0]
        for document in documents("**/kustomization.yaml")
        for generator in document.get("configMapGenerator", [])
        for literal in generator.get("literals", [])
    }


def test_every_variable_is_one_that_is_read() -> None:
    nginx = set(re.findall(r"\$\{?([A-Z_]{4,})", (ROOT / "nginx" / "start.sh").read_text()))
    ours = readable_by_the_application()
    assert _settings() <= ours | nginx
    for name, container in CONTAINERS.items():
        given = {each["name"] for each in container.get("env", [])}
        if container["image"] == "holdfast":
            assert given <= ours, name
    assert {each["name"] for each in CONTAINERS["nginx/nginx"]["env"]} <= nginx | {"NAMESPACE"}


def test_images_are_those_of_the_compose_stack() -> None:
    foreign = {each["image"] for each in CONTAINERS.values()} - {"holdfast"}
    assert foreign <= {service["image"] for service in SERVICES.values()}


def test_every_command_of_ours_exists() -> None:
    commands = [each.get("command", []) for each in CONTAINERS.values()]
    ours = {command[1] for command in commands if command[:1] == ["holdfast"]}
    assert ours == {"migrate", "worker"} <= set(main.commands)


def test_the_stores_to_try_are_started_as_in_compose() -> None:
    assert CONTAINERS["postgres/postgres"]["args"] == SERVICES["postgres"]["command"]
    compose, ours = SERVICES["redis"]["command"][2], CONTAINERS["redis/redis"]["command"][2]
    plain = compose.replace("$$REDIS_PASSWORD_FILE", "/run/holdfast/redis_password")
    assert ours.replace(" --dir /data", "") == plain.replace("$$(", "$(")


def test_who_is_alive_is_asked_as_in_compose() -> None:
    probes = CONTAINERS["worker/worker"]["livenessProbe"], SERVICES["worker"]["healthcheck"]
    assert probes[0]["exec"]["command"][2] == probes[1]["test"][1].replace("$$", "$")


@pytest.mark.parametrize("name", ["app", "nginx"])
def test_who_serves_goes_on_until_nobody_sends_it_requests(name: str) -> None:
    pod = PODS[name]
    [container] = pod["containers"]
    [_, pause] = container["lifecycle"]["preStop"]["exec"]["command"]
    assert int(pause) + 2 * DRAIN_SECONDS <= pod["terminationGracePeriodSeconds"]
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
    update = WORKLOADS[name]["spec"]["strategy"]["rollingUpdate"]
    assert update == {"maxSurge": 1, "maxUnavailable": 0}


def test_a_replica_begins_when_it_can_serve_all_and_stays_without_postgresql() -> None:
    app = CONTAINERS["app/app"]
    assert app["startupProbe"]["httpGet"]["path"] == "/health/ready"
    for probe in ("readinessProbe", "livenessProbe"):
        assert app[probe]["httpGet"]["path"] == "/health"


def _selectors(found: Any) -> Iterator[dict[str, str]]:
    """Every matchLabels, and what a Service selects."""
    if isinstance(found, list):
        for each in found:
            yield from _selectors(each)
    if isinstance(found, dict):
        if "matchLabels" in found:
            yield found["matchLabels"]
        for value in found.values():
            yield from _selectors(value)


def test_every_selector_finds_pods() -> None:
    chosen = [
        selector
        for document in documents()
        if not is_kustomization(document)
        for selector in _selectors(document)
    ]
    chosen += [each["spec"]["selector"] for each in documents() if each.get("kind") == "Service"]
    ours = [each for each in chosen if "kubernetes.io/metadata.name" not in each]
    assert len(ours) > 15
    assert [each for each in ours if not any(each.items() <= it.items() for it in LABELS)] == []


def test_every_file_is_part_of_an_overlay() -> None:
    for path in sorted(FOLDER.glob("**/kustomization.yaml")):
        document = yaml.safe_load(path.read_text())
        named = [*document.get("resources", []), *document.get("components", [])]
        assert [each for each in named if not (path.parent / each).exists()] == [], path
        beside = {each.name for each in path.parent.glob("*.yaml")} - {"kustomization.yaml"}
        assert beside - {"adapter.yaml"} <= set(named), path  # that one is for a Helm chart


@pytest.mark.parametrize("folder", ["nginx", "postgres"])
def test_a_pod_is_given_every_file_that_it_starts_with(folder: str) -> None:
    [listed] = yaml.safe_load((ROOT / folder / "kustomization.yaml").read_text())[
        "configMapGenerator"
    ]
    present = {path.name for path in (ROOT / folder).iterdir()}
    assert {*listed["files"], "kustomization.yaml"} == present


def test_the_rules_for_kubernetes_are_those_of_the_stack() -> None:
    """`make rules` writes them."""
    assert kubernetes_rules.TARGET.read_text() == kubernetes_rules.build()


def test_only_rules_about_hosts_and_exporters_are_left_out() -> None:
    def groups(paths: list[Path], *way: str) -> Iterator[dict[str, Any]]:
        for path in paths:
            for document in yaml.safe_load_all(path.read_text()):
                for step in way:
                    document = document[step]
                yield from document

    made = list(groups([kubernetes_rules.TARGET], "spec", "groups"))
    written = groups(sorted(kubernetes_rules.FOLDER.glob("*.yml")), "groups")
    assert made == [group for group in written if group["name"] not in ("host", "watching")]


def test_old_names_of_interfaces_are_those_of_kubernetes_1_20() -> None:
    old = yaml.safe_load((FOLDER / "kubernetes-1.20" / "kustomization.yaml").read_text())
    assert {
        patch["target"]["kind"]: yaml.safe_load(patch["patch"])[0]["value"]
        for patch in old["patches"]
    } == {
        "HorizontalPodAutoscaler": "autoscaling/v2beta2",
        "PodDisruptionBudget": "policy/v1beta1",
        "CronJob": "batch/v1beta1",
    }


def test_a_test_deletes_nothing_on_a_cluster_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBE_CONTEXT", raising=False)
    assert is_for_tests("https://127.0.0.1:6443")
    assert not is_for_tests("https://192.0.2.1:6443")
    assert not is_for_tests("https://cluster.invalid")
