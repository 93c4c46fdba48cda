"""Runs a command with TEST_DATABASE_URL and TEST_REDIS_URL naming servers that live as long as it:
`python -m testkit.with_services COMMAND`.

For `pytest -n 2` there are two of each: those of its second process have _GW1 behind their names,
for each test empties its servers.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack

from testkit.servers import Missing, Postgres, Redis, Server


def main(command: list[str]) -> int:
    with ExitStack() as stack:
        environment = dict(os.environ)
        processes = ("", "_GW1") if "-n" in command else ("",)
        try:
            for name, kind in (("TEST_DATABASE_URL", Postgres), ("TEST_REDIS_URL", Redis)):
                if not environment.get(name):
                    environment |= {
                        name + process: _started(kind, stack).url for process in processes
                    }  # type: ignore[attr-defined]
        except Missing as missing:
            print(missing, file=sys.stderr)
            return 1
        return subprocess.run(command, check=False, env=environment).returncode


def _started(kind: type[Server], stack: ExitStack) -> Server:
    server = kind()
    stack.callback(server.destroy)
    server.start()
    return server


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
