"""The stack's Nginx beside a canary: who gets it, how long, and what if it is gone."""

from __future__ import annotations

import http.client
import shutil
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from testkit.servers import wait_for
from tests.front_door import FrontDoor, Replica, answer
from tests.test_front_door_renewal import WatchingDoor

pytestmark = pytest.mark.services

AGENTS = [f"visitor {number}" for number in range(400)]


def own(folder: Path) -> None:
    """Nginx' user may change what nginx/start.sh wrote before."""
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, "nobody", "nogroup")


class Canaried(WatchingDoor):
    """Before two replicas and a canary; `weigh` is what deploy/canary.sh does."""

    def __init__(self, canary: Replica, *replicas: Replica) -> None:
        super().__init__(*replicas, CANARY_SERVER=canary.address)
        own(self.folder)

    def weigh(self, weight: int) -> None:
        """Returns when all worker processes have the new configuration."""
        wait_for(lambda: len(self.workers()) == 2, what="its worker processes")
        before = self.workers()
        (self.folder / "canary-weight").write_text(f"{weight}\n")
        wait_for(lambda: self.workers().isdisjoint(before), what="the reload")

    def workers(self) -> set[int]:
        """Those that are ending too."""
        return set(filter(is_worker, self.children()))


def is_worker(pid: int) -> bool:
    """Not one that is gone meanwhile."""
    with suppress(OSError):
        return b"nginx: worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def ask(door: FrontDoor, agent: str) -> int:
    """On a connection of its own: a reload closes those that are idle."""
    with closing(http.client.HTTPConnection("127.0.0.1", door.port, timeout=20)) as connection:
        connection.request("GET", "/aaaaaa", headers={"User-Agent": agent})
        return connection.getresponse().status


def visitors(replica: Replica) -> set[str]:
    """Who has asked it since the last call."""
    seen, replica.seen[:] = list(replica.seen), []
    lines = (line for request in seen for line in request.decode().splitlines())
    return {line.partition(": ")[2] for line in lines if line.startswith("User-Agent: ")}


@pytest.fixture
def replicas() -> Iterator[list[Replica]]:
    started = [Replica(number, answer) for number in (1, 2, 3)]
    yield started
    for replica in started:
        replica.close()


@pytest.fixture
def door(replicas: list[Replica]) -> Iterator[Canaried]:
    nginx = Canaried(replicas[0], *replicas[1:])
    nginx.start()
    yield nginx
    nginx.destroy()


def share(door: Canaried, canary: Replica, weight: int) -> set[str]:
    """Who gets the canary at a weight."""
    door.weigh(weight)
    assert {ask(door, agent) for agent in AGENTS} == {200}
    once = visitors(canary)
    assert {ask(door, agent) for agent in AGENTS} == {200}
    assert visitors(canary) == once
    return once


def test_a_visitor_stays_with_the_canary_while_its_weight_grows(
    door: Canaried, replicas: list[Replica]
) -> None:
    canary = replicas[0]
    few = share(door, canary, 10)
    more = share(door, canary, 30)
    assert 0.05 < len(few) / len(AGENTS) < 0.15 < len(more) / len(AGENTS) < 0.4
    assert few < more
    assert share(door, canary, 100) == set(AGENTS)
    assert share(door, canary, 0) == set()


def test_a_canary_that_is_gone_costs_no_visitor_an_answer(
    door: Canaried, replicas: list[Replica]
) -> None:
    canary = replicas[0]
    assert len(share(door, canary, 50)) > 100
    replicas.remove(canary)
    canary.close()
    assert {ask(door, agent) for agent in AGENTS} == {200}
