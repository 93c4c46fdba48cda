"""CPU time of every endpoint beside an old commit: `make bench-compare OLD=<commit>`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from benchmarks.cases import CASES
from benchmarks.endpoints import Ground
from benchmarks.senders import Sender

ROUNDS = int(os.environ.get("ROUNDS", "5"))
REQUESTS = int(os.environ.get("REQUESTS", "400"))
ONLY = os.environ.get("ONLY", "")
_WARM_UP = 100  # the first requests of a process cost more
_ROOT = Path(__file__).resolve().parents[1]
_HEADING = f"{'CPU us per request':28}{'old':>8}{'new':>8}{'ratio':>7}   lowest-highest"
Costs = dict[str, float]
"""CPU microseconds per request of all server processes, by the name of the case."""


def measure() -> Costs:
    """One round with the code that PYTHONPATH names: new servers, and every case once."""
    cases = [case for case in CASES if ONLY in case.name]
    with ExitStack() as cleanup:
        ground = Ground(cleanup)
        senders = [
            Sender(case, number, ground.stack.port, ground.deletable)
            for number, case in enumerate(cases)
        ]
        for sender in senders:
            sender.send(_WARM_UP)
        return {sender.case.name: _cost(ground, sender) for sender in senders}


def _cost(ground: Ground, sender: Sender) -> float:
    before = sum(ground.cpu_seconds().values())
    sender.send(REQUESTS)
    return (sum(ground.cpu_seconds().values()) - before) / REQUESTS * 1e6


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """A tree of the commit, in a folder of its own."""
    git = ["git", "-C", str(_ROOT), "worktree"]
    with tempfile.TemporaryDirectory(prefix="holdfast-old-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as a user of its own
        tree = Path(folder) / "tree"
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def _round(tree: Path) -> Costs:
    """`measure` in a process whose packages are those of `tree`; this file serves both trees."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "ROUNDS": "1"}
    command = [sys.executable, "-P", str(Path(__file__).resolve()), "--measure"]
    done = subprocess.run(command, check=True, cwd=tree, env=environment, stdout=subprocess.PIPE)
    costs: Costs = json.loads(done.stdout.splitlines()[-1])
    return costs


def _line(name: str, old: list[float], new: list[float]) -> str:
    ratios = [now / max(then, 1.0) for then, now in zip(old, new, strict=True)]
    before, after, ratio = median(old), median(new), median(ratios)
    spread = f"   {min(ratios):.2f}-{max(ratios):.2f}"
    return f"{name:28}{before:8,.0f}{after:8,.0f}{ratio:7.2f}{spread}"


def compare(commit: str) -> list[str]:
    """The table's lines, after ROUNDS rounds of the old commit and this tree in turn."""
    rounds: list[tuple[Costs, Costs]] = []
    with checkout(commit) as tree:
        for number in range(ROUNDS):
            rounds.append((_round(tree), _round(_ROOT)))
            print(f"round {number + 1} of {ROUNDS}", file=sys.stderr, flush=True)
    names = [name for name in rounds[0][1] if name in rounds[0][0]]
    return [
        _line(name, [old[name] for old, _ in rounds], [new[name] for _, new in rounds])
        for name in names
    ]


def main() -> int:
    if sys.argv[1:] == ["--measure"]:
        print(json.dumps(measure()))
        return 0
    if len(sys.argv) != 2:
        print("make bench-compare OLD=<commit>", file=sys.stderr)
        return 1
    lines = compare(sys.argv[1])
    print(f"{REQUESTS} requests to Nginx and three replicas, medians of {ROUNDS} rounds in turn")
    print(_HEADING, *lines, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
