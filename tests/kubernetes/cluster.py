"""The overlay `try` on the current context's cluster, in a namespace of its own: up, looked at,
down again with all that it stored.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from testkit.servers import ROOT
from tests.kubernetes import overlay
from tests.stack.compose import Broken, docker
from tests.stack.pace import wait_for

PATIENCE_SECONDS = 300
VERSIONS = ("1", "2", "canary", "broken")
_KUSTOMIZE = f"{ROOT}/.venv/bin/kubectl kustomize"
_FOREIGN = ("postgres:17-alpine", "redis:8-alpine", "nginx:1.30-alpine")


def run(command: Sequence[str], timeout: float = 120, **more: Any) -> str:
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=timeout, cwd=ROOT, **more
    )
    if done.returncode:
        said = (done.stderr + done.stdout)[-3000:]
        raise Broken(f"{shlex.join(command)[:200]}: {said}")
    return done.stdout.strip()


def kubectl(*arguments: str, **more: Any) -> str:
    return run(["kubectl", *arguments], **more)


class Cluster:
    """What is deployed, and images of it: the first, a newer one, and one that does not work."""

    def __init__(self) -> None:
        self.namespace = f"holdfast-test-{secrets.token_hex(3)}"
        self.node = os.environ.get("KUBE_NODE", "127.0.0.1")
        self.folder = Path(tempfile.mkdtemp(prefix="kubernetes-", dir=_var()))
        self.dumps = Path(tempfile.mkdtemp(prefix="holdfast-dumps-"))
        self.dumps.chmod(0o777)  # a pod of another user writes there
        self.is_old = int(re.sub(r"\D", "", self._version()["minor"])) < 25

    @staticmethod
    def _version() -> dict[str, str]:
        found: dict[str, str] = json.loads(kubectl("get", "--raw", "/version"))
        return found

    @property
    def version(self) -> str:
        return self._version()["gitVersion"]

    def image(self, version: str) -> str:
        return f"{self.namespace}:{version}"

    def build(self) -> str:
        """Builds the images, and brings what is missing to the nodes by KUBE_LOAD."""
        docker("build", "-q", "-t", self.image("1"), ".", timeout=600)
        for version, line in (
            ("2", "LABEL version=2"),
            ("canary", "LABEL version=3"),
            ("broken", 'CMD ["python", "-c", "raise SystemExit(1)"]'),
        ):
            made = f"FROM {self.image('1')}\n{line}\n"
            docker("build", "-q", "-t", self.image(version), "-", input=made)
        ours = [self.image(version) for version in VERSIONS]
        load = shlex.split(os.environ.get("KUBE_LOAD", ""))
        missing = [each for each in _FOREIGN if each not in self._images_of_nodes()]
        if load:
            run([*load, *ours, *missing], timeout=600)
        return f"{len(ours)} of ours, {len(missing) if load else 0} others loaded"

    @staticmethod
    def _images_of_nodes() -> str:
        return kubectl("get", "nodes", "-o", "jsonpath={.items[*].status.images[*].names}")

    def write_overlay(self, canary: str = "") -> None:
        text = overlay.text(self.folder, self.namespace, self.is_old, canary)
        (self.folder / "kustomization.yaml").write_text(text)

    def deploy(self, version: str, patience: int = PATIENCE_SECONDS) -> str:
        """What deploy/kubernetes/deploy.sh says; raises Broken when it fails."""
        environ = {**os.environ, "KUSTOMIZE": _KUSTOMIZE, "PATIENCE": str(patience)}
        command = ["deploy/kubernetes/deploy.sh", str(self.folder), self.image(version)]
        return run(command, timeout=4 * patience, env=environ)

    def down(self) -> None:
        kubectl("delete", "namespace", self.namespace, "--ignore-not-found", timeout=300)
        kubectl("delete", "persistentvolume", self.namespace, "--ignore-not-found", timeout=120)
        docker("image", "rm", "-f", *(self.image(each) for each in VERSIONS))
        for folder in (self.folder, self.dumps):
            shutil.rmtree(folder, ignore_errors=True)

    # ---- what is there ----

    def ask(self, *arguments: str, **more: Any) -> str:
        return kubectl("-n", self.namespace, *arguments, **more)

    def get(self, *arguments: str) -> Any:
        return json.loads(self.ask("get", *arguments, "-o", "json"))

    def pods(self, component: str) -> list[dict[str, Any]]:
        """Those that are not ending."""
        found = self.get("pods", "-l", f"app.kubernetes.io/component={component}")["items"]
        return [each for each in found if "deletionTimestamp" not in each["metadata"]]

    def ready(self, component: str) -> list[str]:
        """The names of pods that are ready and not ending."""
        return [each["metadata"]["name"] for each in self.pods(component) if is_ready(each)]

    def images(self, component: str) -> set[str]:
        pods = self.pods(component)
        return {container["image"] for each in pods for container in each["spec"]["containers"]}

    def replicas(self) -> int:
        """How many the autoscaler wants."""
        return int(self.get("deployment", "app")["spec"].get("replicas", 1))

    def port(self, service: str) -> int:
        return int(self.get("service", service)["spec"]["ports"][0]["nodePort"])

    def url(self) -> str:
        return f"http://{self.node}:{self.port('nginx')}"

    def secret(self, name: str) -> str:
        return kubectl(
            "-n", self.namespace, "get", "secret", "stores",
            "-o", f"go-template={{{{.data.{name} | base64decode}}}}",
        )  # fmt: skip

    def test_servers(self) -> dict[str, str]:
        """The overlay's own database and Redis, as the test suite wants to be told."""
        database, cached = self.secret("database_password"), self.secret("redis_password")
        stores = f"{self.node}:{self.port('postgres')}", f"{self.node}:{self.port('redis')}"
        return {
            "TEST_DATABASE_URL": f"postgresql+pool://holdfast:{database}@{stores[0]}/holdfast",
            "TEST_REDIS_URL": f"redis://:{cached}@{stores[1]}/0",
        }

    def evict(self, pod: str) -> bool:
        """Whether the budget allowed it."""
        version = "policy/v1beta1" if self.is_old else "policy/v1"
        wish = {"apiVersion": version, "kind": "Eviction", "metadata": {"name": pod}}
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/eviction"
        try:
            kubectl("create", "--raw", path, "-f", "-", input=json.dumps(wish))
        except Broken as error:
            if "disruption budget" in str(error):
                return False
            raise
        return True


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """As wait_for, with a pause between two looks: each is a process of its own."""

    def look() -> bool:
        if condition():
            return True
        time.sleep(1)
        return False

    wait_for(look, seconds, what)


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _var() -> Path:
    folder = ROOT / "var"
    folder.mkdir(exist_ok=True)
    return folder
