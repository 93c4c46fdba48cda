"""Writes the overlay of the test: `try`, with ports on the nodes, the users of the images at hand,
and backups.
"""

from __future__ import annotations

import os
from pathlib import Path

from testkit.servers import ROOT
from tests.stack.compose import docker

_KUSTOMIZATION = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: {namespace}
resources: [{resources}]
components: [{components}/backups]
patches:
"""
_PATCH = """\
  - target: {{kind: {kind}, name: {name}}}
    patch: '- {{op: {op}, path: {path}, value: {value}}}'
"""
_USERS = {
    "postgres": ("StatefulSet", "/spec/template/spec", "postgres:17-alpine"),
    "redis": ("StatefulSet", "/spec/template/spec", "redis:8-alpine"),
    "backup": ("CronJob", "/spec/jobTemplate/spec/template/spec", "postgres:17-alpine"),
}
MOST_REPLICAS = 5


def text(folder: Path, namespace: str, is_old: bool, canary: str = "") -> str:
    """The kustomization.yaml for `folder`; `canary` is the image of one replica more."""
    kubernetes = os.path.relpath(ROOT / "deploy" / "kubernetes", folder)
    resources = [f"{kubernetes}/{'kubernetes-1.20' if is_old else 'try'}"]
    patches = _patches(is_old)
    if canary:
        resources.append(f"{kubernetes}/canary/app")
        for kind in ("containers", "initContainers"):
            path = f"/spec/template/spec/{kind}/0/image"
            patches.append(_patch("Deployment", "app-canary", "replace", path, canary))
        path = "/spec/template/spec/containers/0/image"
        patches.append(_patch("Job", "migrate", "replace", path, canary))
    head = _KUSTOMIZATION.format(
        namespace=namespace,
        resources=", ".join(resources),
        components=f"{kubernetes}/components",
    )
    return head + "".join(patches)


def _patches(is_old: bool) -> list[str]:
    made = [
        _patch("Service", name, "add", "/spec/type", "NodePort")
        for name in ("nginx", "postgres", "redis")
    ]
    made.append(
        _patch("HorizontalPodAutoscaler", "app", "replace", "/spec/maxReplicas", MOST_REPLICAS)
    )
    for name, (kind, path, image) in _USERS.items():
        user = "redis" if name == "redis" else "postgres"
        uid = int(docker("run", "--rm", "--network=none", "--entrypoint=id", image, "-u", user))
        made.append(_patch(kind, name, "replace", f"{path}/securityContext/runAsUser", uid))
    if is_old:  # the component is added after the overlay that changes these words
        made.append(_patch("CronJob", "backup", "replace", "/apiVersion", "batch/v1beta1"))
    return made


def _patch(kind: str, name: str, op: str, path: str, value: object) -> str:
    return _PATCH.format(kind=kind, name=name, op=op, path=path, value=value)


def volume(name: str, folder: Path) -> str:
    """A volume on this machine, for clusters that make none by themselves."""
    return f"""\
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {name}}}
spec:
  capacity: {{storage: 20Gi}}
  accessModes: [ReadWriteOnce]
  hostPath: {{path: {folder}}}
"""
