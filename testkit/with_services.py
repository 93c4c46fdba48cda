"""Runs a command with TEST_DATABASE_URL and TEST_REDIS_URL naming servers that live as long as it:
`python -m testkit.with_services COMMAND`.

With POOLER=1 PgBouncer is before PostgreSQL. For `pytest -n 2` there are two of each: those of its
second process have _GW1 behind their names,
for each test empties its servers.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from testkit.poolers import PgBouncer
from testkit.servers import Missing, Postgres, Redis


def main(command: list[str]) -> int:
    with ExitStack() as stack:
        environment = dict(os.environ)
        processes = ("", "_GW1") if "-n" in command else ("",)
        try:
            postgres = _pooled if environment.get("POOLER") else _direct
            for name, kind in (("TEST_DATABASE_URL", postgres), ("TEST_REDIS_URL", _redis)):
                if not environment.get(name):
                    environment |= {
                        name + process: _started(kind, stack).url for process in processes
                    }
        except Missing as missing:
            print(missing, file=sys.stderr)
            return 1
        return subprocess.run(command, check=False, env=environment).returncode


def _started(kind: Callable[[ExitStack], Any], stack: ExitStack) -> Any:
    server = kind(stack)
    stack.callback(server.destroy)
    server.start()
    return server


def _direct(_stack: ExitStack) -> Postgres:
    return Postgres()


def _redis(_stack: ExitStack) -> Redis:
    return Redis()


def _pooled(stack: ExitStack) -> PgBouncer:
    return PgBouncer(_started(_direct, stack))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
