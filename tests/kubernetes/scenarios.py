"""What happens to a service on Kubernetes: a pod is killed, a version comes, a node is drained,
load rises; each under load, and no client may notice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.kubernetes import killing
from tests.kubernetes.cluster import Cluster, wait_until
from tests.kubernetes.overlay import MOST_REPLICAS
from tests.kubernetes.watched import Watched
from tests.stack.compose import Broken
from tests.stack.load import Steady
from tests.stack.report import require

LEAST_REPLICAS = 3
FROZEN_SECONDS = 20
_WAIT = 180
_CANARY_SECONDS = 15
_SHRINKS_SECONDS = 400  # a cluster waits for five minutes, unless told otherwise


def kill_replica(watched: Watched) -> str:
    pod = watched.cluster.pods("app")[0]
    killing.kill(pod)
    _wait_restarted(watched.cluster, "app", pod)
    return "restarted in its pod"


def kill_worker(watched: Watched) -> str:
    [pod] = watched.cluster.pods("worker")
    killing.kill(pod)
    _wait_restarted(watched.cluster, "worker", pod)
    return "restarted in its pod"


def _wait_restarted(cluster: Cluster, component: str, before: dict[str, Any]) -> None:
    name = before["metadata"]["name"]
    count = before["status"]["containerStatuses"][0]["restartCount"]

    def again() -> bool:
        [pod] = [each for each in cluster.pods(component) if each["metadata"]["name"] == name]
        return int(pod["status"]["containerStatuses"][0]["restartCount"]) > count

    wait_until(again, _WAIT, "the restart")
    wait_until(lambda: name in cluster.ready(component), _WAIT, "the pod's readiness")


def freeze_postgres(watched: Watched) -> str:
    cluster = watched.cluster
    [pod] = cluster.get("pods", "-l", "app.kubernetes.io/name=postgres")["items"]
    least = len(cluster.ready("app"))
    with killing.frozen(pod):
        until = time.monotonic() + FROZEN_SECONDS
        while time.monotonic() < until:
            least = min(least, len(cluster.ready("app")))
            time.sleep(1)
    require(least >= LEAST_REPLICAS, f"only {least} replicas stayed in the Service")
    return f"{least} replicas stayed in the Service"


def roll_out(watched: Watched) -> str:
    cluster = watched.cluster
    cluster.deploy("2")
    return _must_run(cluster, "2")


def roll_back(watched: Watched) -> str:
    cluster = watched.cluster
    try:
        cluster.deploy("broken", patience=60)
    except Broken as error:
        require("back at what served before" in str(error), error)
        return f"back by itself; {_must_run(cluster, '2')}"
    raise AssertionError("the broken image was taken for a good one")


def _must_run(cluster: Cluster, version: str) -> str:
    components = ("app", "worker")
    wanted = {cluster.image(version)}
    wait_until(
        lambda: all(cluster.images(each) == wanted for each in components),
        _WAIT,
        "the end of other pods",
    )
    require(len(cluster.ready("app")) >= LEAST_REPLICAS, cluster.ready("app"))
    return f"all pods have image {version}"


def try_canary(watched: Watched) -> str:
    """One replica of another image, by its share of what Nginx sends out."""
    cluster = watched.cluster
    cluster.write_overlay(canary=cluster.image("canary"))
    cluster.deploy("2")
    canaries = [
        each for each in cluster.pods("app") if each["metadata"]["labels"]["track"] == "canary"
    ]
    require(cluster.images("app") == {cluster.image("2"), cluster.image("canary")}, "images")
    [address] = [each["status"]["podIP"] for each in canaries]
    time.sleep(_CANARY_SECONDS)
    upstreams = watched.upstreams(_CANARY_SECONDS - 2)
    replicas = len(cluster.ready("app"))
    share, fair = upstreams.count(f"{address}:8000") / len(upstreams), 1 / replicas
    require(fair / 2 < share < 2 * fair, f"{share:.0%} of the requests, with {replicas} replicas")
    cluster.ask("delete", "deployment", "app-canary")
    cluster.write_overlay()
    return f"it had {share:.0%} of the requests, as one of {replicas} replicas"


def drain(watched: Watched) -> str:
    """As `kubectl drain` does it, but without closing the node, which may be the only one."""
    cluster, refused, least = watched.cluster, 0, LEAST_REPLICAS
    for component in ("app", "nginx", "worker"):
        for pod in cluster.ready(component):
            while not cluster.evict(pod):
                refused += 1
                least = min(least, len(cluster.ready("app")))
                time.sleep(1)
    wanted = {"app": cluster.replicas(), "nginx": 2, "worker": 1}
    wait_until(
        lambda: all(len(cluster.ready(each)) >= count for each, count in wanted.items()),
        _WAIT,
        "new pods",
    )
    require(least >= LEAST_REPLICAS - 1, f"only {least} replicas were ready")
    require(refused, "the budget was never asked")
    return f"never fewer than {least} replicas; the budget refused {refused} times"


def scale(watched: Watched) -> str:
    """Reads cost more than redirects: `heavy` is what the replicas get beside the load."""
    cluster, began = watched.cluster, time.monotonic()
    heavy = Steady(cluster.url(), ["/urls?per_page=100"], 20 * watched.rate, 8, label="heavy")
    with heavy:
        wait_until(lambda: len(cluster.ready("app")) == MOST_REPLICAS, _WAIT, "more replicas")
        up = time.monotonic() - began
    ended = time.monotonic()
    wait_until(
        lambda: cluster.replicas() == LEAST_REPLICAS, _SHRINKS_SECONDS, "fewer replicas again"
    )
    down = time.monotonic() - ended
    require(not heavy.failed(), f"failed: {heavy.failed()}")
    return (
        f"{LEAST_REPLICAS} to {MOST_REPLICAS} ready in {up:.0f} s, back after {down:.0f} s;"
        f" {len(heavy.answers)} reads beside it"
    )


UNDER_LOAD: tuple[tuple[str, Callable[[Watched], str], bool], ...] = (
    ("kill -9 of a replica", kill_replica, True),
    ("kill -9 of the worker", kill_worker, True),
    ("PostgreSQL frozen for 20 s: cached redirects", freeze_postgres, False),
    ("a new image", roll_out, True),
    ("a broken image: back by itself", roll_back, True),
    ("a canary beside the replicas", try_canary, True),
    ("every pod evicted, as by a drain", drain, True),
    ("the autoscaler, up and down", scale, True),
)
"""Name, what happens, and whether the load has reads, too."""
