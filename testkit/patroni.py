"""Three PostgreSQL under Patroni, with three etcd: the leader can be lost in any way."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import sysconfig
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import yaml

from testkit.machine import HANGS_SECONDS, free_port, wait_for
from testkit.relay import Relay
from testkit.servers import Missing, Server, as_nobody, give_to_nobody, postgres_programs
from testkit.stack import need

NODES = 3
TTL, LOOP_WAIT, RETRY = 20, 5, 5
"""Seconds: a leader that does not renew its key for TTL is no leader any more."""

_DCS = {
    "ttl": TTL,
    "loop_wait": LOOP_WAIT,
    "retry_timeout": RETRY,
    "synchronous_mode": True,
    "maximum_lag_on_failover": 1_048_576,
    "postgresql": {
        "use_pg_rewind": True,
        "parameters": {
            "max_connections": 100,
            "wal_keep_size": "256MB",
            "shared_buffers": "64MB",
            "fsync": "off",  # processes are lost here, not the power
        },
    },
}
_LEADS = ("primary", "master")


class Etcd(Server):
    """One of three; `peers` are the ports on which they speak to each other."""

    def __init__(self, number: int, peers: list[int]) -> None:
        super().__init__()
        self.program, self.number, self.peers = need("etcd", "etcd-server"), number, peers
        give_to_nobody(self.folder)

    def command(self) -> list[str]:
        client, peer = (
            f"http://127.0.0.1:{self.port}",
            f"http://127.0.0.1:{self.peers[self.number]}",
        )
        every = ",".join(f"e{n}=http://127.0.0.1:{port}" for n, port in enumerate(self.peers))
        options = {
            "name": f"e{self.number}",
            "data-dir": str(self.folder / "data"),
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": every,
            "heartbeat-interval": "200",  # a busy machine is no lost one
            "election-timeout": "2000",
            "unsafe-no-fsync": "true",
        }
        return [self.program, *(f"--{name}={value}" for name, value in options.items())]

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


class Node(Server):
    """A machine: Patroni with its PostgreSQL, and the network between it and all others.

    `port` is PostgreSQL's as the others see it, `rest_port` Patroni's.
    """

    def __init__(self, name: str, scope: str, etcds: list[Etcd]) -> None:
        super().__init__()
        self.name, self.scope = name, scope
        self.programs, self.python = postgres_programs(), need_patroni()
        self._postgres, self.rest = self.port, free_port()
        inbound, told = Relay(self._postgres), Relay(self.rest)
        outbound = [Relay(etcd.port) for etcd in etcds]
        self.network = [inbound, told, *outbound]
        self.port, self.rest_port = inbound.port, told.port
        (self.folder / "patroni.yml").write_text(yaml.safe_dump(self._settings(outbound)))
        (self.folder / "home").mkdir()
        for path in (self.folder, self.folder / "home"):
            give_to_nobody(path)

    def _settings(self, outbound: list[Relay]) -> dict[str, Any]:
        access = ["local all all trust", "host all all 127.0.0.1/32 trust"]
        access.append("host replication all 127.0.0.1/32 trust")
        roles = ("superuser", "replication", "rewind")
        return {
            "name": self.name,
            "scope": self.scope,
            "restapi": {
                "listen": f"127.0.0.1:{self.rest}",
                "connect_address": f"127.0.0.1:{self.rest_port}",
            },
            "etcd3": {
                "hosts": [f"127.0.0.1:{relay.port}" for relay in outbound],
                "use_proxies": True,  # else it asks etcd where its members are, past the relays
            },
            "bootstrap": {"dcs": _DCS, "initdb": [{"encoding": "UTF8"}, "no-sync"]},
            "postgresql": {
                "listen": f"127.0.0.1:{self._postgres}",
                "connect_address": f"127.0.0.1:{self.port}",
                "data_dir": str(self.folder / "data"),
                "bin_dir": self.programs,
                "pgpass": str(self.folder / "home" / "pgpass"),
                "pg_hba": access,
                "authentication": {role: {"username": "holdfast"} for role in roles},
                "parameters": {"unix_socket_directories": str(self.folder / "home")},
            },
        }

    def command(self) -> list[str]:
        return [self.python, "-m", "patroni", str(self.folder / "patroni.yml")]

    def options(self) -> dict[str, Any]:
        home = str(self.folder / "home")
        environ = {**_PATHS, "HOME": home, "LC_ALL": "C.UTF-8"}
        return {"cwd": home, "env": environ, **as_nobody()}

    def answers(self) -> bool:
        return bool(self.state())

    def state(self) -> dict[str, Any]:
        """What Patroni says of itself; nothing when it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.rest}/patroni", timeout=2) as page:
                return dict(json.load(page))
        except urllib.error.HTTPError as error:
            return dict(json.load(error))
        except (OSError, ValueError):
            return {}

    def pids(self) -> list[int]:
        """Patroni, its PostgreSQL, which is a daemon, and that one's processes."""
        assert self.process is not None
        found, file = [self.process.pid], self.folder / "data" / "postmaster.pid"
        with suppress(OSError, ValueError):
            postmaster = int(file.read_text().split()[0])
            found += [postmaster, *_children(postmaster)]
        return found

    def send_all(self, name: signal.Signals) -> None:
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, name)

    def kill(self) -> None:
        self.send_all(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def cut(self) -> None:
        for relay in self.network:
            relay.cut()

    def mend(self) -> None:
        for relay in self.network:
            relay.mend()

    def destroy(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for relay in self.network:
            relay.destroy()
        super().destroy()


def _children(pid: int) -> list[int]:
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except OSError:
        return []


class Cluster:
    """All of it, with the empty database `holdfast`."""

    def __init__(self, cleanup: ExitStack) -> None:
        peers = [free_port() for _ in range(NODES)]
        self.etcds = [Etcd(number, peers) for number in range(NODES)]
        for etcd in self.etcds:
            cleanup.callback(etcd.destroy)
            etcd.start()
        scope = f"holdfast-{secrets.token_hex(3)}"
        self.nodes = [Node(f"n{number}", scope, self.etcds) for number in range(NODES)]
        for node in self.nodes:
            cleanup.callback(node.destroy)
            node.start()
            wait_for(lambda: self._leader() is not None, what=f"a leader (logs in {node.folder})")
        self.wait_whole()
        createdb = [f"{postgres_programs()}/createdb", "-h", "127.0.0.1", "-U", "holdfast"]
        subprocess.run([*createdb, "-p", str(self.leader.port), "holdfast"], check=True, cwd="/")

    @property
    def url(self) -> str:
        """libpq's form, the leader last."""
        ports = sorted(
            (node.port for node in self.nodes), key=lambda port: port == self.leader.port
        )
        return f"postgresql://holdfast@{','.join(f'127.0.0.1:{port}' for port in ports)}/holdfast"

    @property
    def leader(self) -> Node:
        found = self._leader()
        assert found is not None
        return found

    def _leader(self) -> Node | None:
        roles = {node: node.state() for node in self.nodes if node.process is not None}
        leaders = [
            node
            for node, state in roles.items()
            if state.get("role") in _LEADS and state.get("state") == "running"
        ]
        return leaders[0] if len(leaders) == 1 else None

    def has_leader_beside(self, lost: Node) -> bool:
        """Whether another node leads; the lost one may not know it yet."""
        others = [node.state() for node in self.nodes if node is not lost]
        return any(s.get("role") in _LEADS and s.get("state") == "running" for s in others)

    def is_whole(self) -> bool:
        """One leader, all others follow it on its timeline, one of them synchronously."""
        states = [node.state() for node in self.nodes]
        following = [s for s in states if s.get("replication_state") == "streaming"]
        return (
            self._leader() is not None
            and len(following) == NODES - 1
            and len({state.get("timeline") for state in states}) == 1
            and any(state.get("sync_standby") for state in following)
        )

    def wait_whole(self) -> None:
        wait_for(self.is_whole, 3 * HANGS_SECONDS, "three PostgreSQL, of which two follow")

    def switch_over(self) -> None:
        """Patroni's planned change of the leader, to the synchronous standby."""
        leader = self.leader
        wanted = next(node for node in self.nodes if node.state().get("sync_standby"))
        body = json.dumps({"leader": leader.name, "candidate": wanted.name}).encode()
        url = f"http://127.0.0.1:{leader.rest}/switchover"
        with urllib.request.urlopen(urllib.request.Request(url, body), timeout=60) as answer:
            answer.read()


def _python() -> str:
    """This Python, or Debian's where the user that PostgreSQL runs as may not run this one."""
    try:
        subprocess.run([sys.executable, "-V"], check=True, capture_output=True, **as_nobody())
        return sys.executable
    except PermissionError:
        return "/usr/bin/python3"


def need_patroni() -> str:
    """The Python that can run Patroni; raises Missing, with what to install."""
    python = _python()
    command = [python, "-m", "patroni", "--version"]
    if subprocess.run(command, env=_PATHS, check=False, capture_output=True).returncode:
        raise Missing("Patroni is not installed: make drill-ha does it")
    return python


_PATHS = {"PATH": os.environ["PATH"], "PYTHONPATH": sysconfig.get_path("purelib")}
