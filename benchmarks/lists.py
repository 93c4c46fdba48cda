"""CPU time of the lists, 20 rows each, beside plain Flask answering the same bytes: `make
bench-lists`.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import urllib.request
from contextlib import ExitStack
from typing import NamedTuple

from benchmarks.redirects import Holdfast
from testkit.servers import Missing
from testkit.stack import SERVING, Stack, need

ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS = int(os.environ.get("SECONDS", "4"))
CONNECTIONS = 8
_CONSTANT = [*SERVING, "testkit.floors:constant_bytes()"]


class Contender(NamedTuple):
    name: str
    stack: Stack
    address: str
    costs: list[float]

    def run(self) -> None:
        """Adds the CPU microseconds of all server processes for one request."""
        before = sum(self.stack.cpu_seconds().values())
        answered = _answered(self.address) or sys.exit(
            f"{self.name}: nothing was answered for {SECONDS} s (logs in {self.stack.folder})"
        )
        self.costs.append((sum(self.stack.cpu_seconds().values()) - before) / answered * 1e6)


def _answered(address: str) -> int:
    command = [need("wrk", "wrk"), "-t", "2", "-c", str(CONNECTIONS), "-d", f"{SECONDS}s", address]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        sys.exit(output)
    return int(re.findall(r"(\d+) requests in", output)[0])


def _holdfast(cleanup: ExitStack) -> tuple[Stack, str]:
    service = Holdfast(cleanup, front=True)
    address = f"http://127.0.0.1:{service.stack.replica_ports[0]}"
    for number in range(100):
        subprocess.run(
            [need("curl", "curl"), "-sf", "-o", os.devnull, f"{address}/c{number:05d}"], check=True
        )
    return service.stack, address


def _plain_flask(cleanup: ExitStack, body: bytes) -> tuple[Stack, str]:
    stack = Stack(cleanup)
    (stack.folder / "body").write_bytes(body)
    stack.replicas(_CONSTANT, [{"BODY": str(stack.folder / "body")}])
    return stack, f"http://127.0.0.1:{stack.replica_ports[0]}/"


def _pairs(cleanup: ExitStack) -> list[tuple[Contender, Contender]]:
    stack, address = _holdfast(cleanup)
    pairs = []
    for path in ("/urls", "/events"):
        with urllib.request.urlopen(address + path) as answer:
            body = answer.read()
        plain = _plain_flask(cleanup, body)
        pairs.append(
            (
                Contender(f"GET {path}", stack, address + path, []),
                Contender("plain Flask, the same bytes", *plain, []),
            )
        )
    return pairs


def main() -> int:
    with ExitStack() as cleanup:
        try:
            pairs = _pairs(cleanup)
        except Missing as missing:
            print(missing, file=sys.stderr)
            return 1
        for _ in range(ROUNDS):
            for pair in pairs:
                for contender in pair:
                    contender.run()
        print(
            f"20 rows over {CONNECTIONS} connections, median of {ROUNDS} rounds in turn; CPU"
            " microseconds per request of all processes"
        )
        for ours, plain in pairs:
            cost, floor = statistics.median(ours.costs), statistics.median(plain.costs)
            print(
                f"{ours.name:14}{cost:8,.0f}   {plain.name}{floor:8,.0f}   ratio {cost / floor:.2f}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
