"""Drives schemathesis, all its checks and at least 5,000 generated requests, against a real server:
`python -m tests.run_schemathesis`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from testkit.webserver import ROOT, WebServer

_LEAST = 5000
_GENERATED = re.compile(r"([0-9]+) generated")

# Every check runs. What it must be told of this service:
# - a deactivated link answers 410 to a request in which nothing is wrong;
# - GET /logs refuses nothing: what is no number counts as the default;
# - statistics are of a bounded span, in days that the calendar has, in a zone that exists;
# - POST /urls/bulk is 400 when not one link could be made, also for a code that is taken; PATCH
#   /urls is when a link would have more than 20 tags;
# - an invented If-Match is 412, and a key that came with another request 422;
# - links between operations are found by their fields, not by the addresses in answers as well: it
# would take
#   the index' /openapi.json for an address of /{short_code}.
CONFIG = """
hooks = "tests.schemathesis_hooks"

[checks]
enabled = true

[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", "401", "404", "409", "410", "412", "422"]

[[operations]]
include-path = "/logs"
checks.negative_data_rejection.enabled = false

[[operations]]
include-path = "/stats"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-path = "/urls/{url_id}/stats"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-path = "/urls/bulk"
checks.positive_data_acceptance.enabled = false

[[operations]]
include-name = "PATCH /urls"
checks.positive_data_acceptance.enabled = false

[phases.stateful.inference]
algorithms = ["dependency-analysis"]
"""


def main() -> int:
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-schemathesis-") as folder,
        WebServer(Path(folder), **_backends()) as server,
    ):
        return _run(Path(folder), server.port)


def _backends() -> dict[str, str]:
    """The servers that the caller names, else SQLite alone.

    No CHAOS_TOKEN: a lucky guess would stop the server.
    """
    named = {
        "DATABASE_URL": os.environ.get("TEST_DATABASE_URL", ""),
        "REDIS_URL": os.environ.get("TEST_REDIS_URL", ""),
    }
    return {name: url for name, url in named.items() if url}


def _run(folder: Path, port: int) -> int:
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG, encoding="utf-8")
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "--config-file",
        str(config),
        "run",
        f"http://127.0.0.1:{port}/openapi.json",
    ]
    options = [
        "--max-examples=85",
        "--generation-deterministic",
        "--continue-on-failure",
        "--no-color",
    ]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*command, *options], cwd=folder, env=environ, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        generated = _shown(process.stdout)
    if generated < _LEAST:
        print(f"only {generated:,} requests were generated, not {_LEAST:,}")
    return process.returncode or int(generated < _LEAST)


def _shown(lines: Iterable[str]) -> int:
    """Prints the output line by line; how many requests it says were generated."""
    generated = 0
    for line in lines:
        print(line, end="", flush=True)
        if found := _GENERATED.search(line):
            generated = int(found[1])
    return generated


if __name__ == "__main__":
    sys.exit(main())
