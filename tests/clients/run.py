"""Lints the OpenAPI document of a running service, makes clients from it, and uses them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from testkit.webserver import ROOT, WebServer

HERE = Path(__file__).parent
BUILD = ROOT / "var" / "clients"  # where `make clients` has installed the programs
PROGRAMS = BUILD / "node_modules" / ".bin"
OLDEST_NODE = (18, 18)
PYTHON = Path(sys.executable)


def main() -> None:
    _check_node()
    for source in [*HERE.glob("*.ts"), HERE / "tsconfig.json"]:
        shutil.copy(source, BUILD)
    with (
        tempfile.TemporaryDirectory(prefix="holdfast-clients-") as folder,
        WebServer(Path(folder)) as server,
    ):
        _work(f"http://127.0.0.1:{server.port}", server.get("/openapi.json").text)
    print("clients: the document is clean, three clients were made of it and used")


def _check_node() -> None:
    found = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True).stdout
    version = tuple(int(part) for part in re.findall(r"\d+", found)[:2])
    if version < OLDEST_NODE:
        sys.exit(f"The clients need Node 18.18 or newer, this is {found}")


def _work(base_url: str, document: str) -> None:
    path = BUILD / "openapi.json"
    path.write_text(document)
    _clean("node", HERE / "lint.mjs", path)
    ruleset = HERE / "spectral.yaml"
    _clean(PROGRAMS / "spectral", "lint", path, "--ruleset", ruleset, "--fail-severity=hint")
    _make(path)
    _run(PYTHON, HERE / "use_python.py", base_url, PYTHONPATH=str(BUILD / "python"))
    _run("node", BUILD / "built" / "use_fetch.js", base_url)
    _run("node", BUILD / "built" / "use_hey.js", base_url)


def _make(document: Path) -> None:
    for old in ("python", "hey", "built"):
        shutil.rmtree(BUILD / old, ignore_errors=True)
    python = (PYTHON.parent / "openapi-python-client", "generate", "--fail-on-warning")
    config = ("--config", HERE / "python.yaml")
    _clean(*python, *config, "--path", document, "--output-path", BUILD / "python")
    _clean(PROGRAMS / "openapi-typescript", document, "--output", BUILD / "schema.d.ts")
    _clean(PROGRAMS / "openapi-ts", "--input", document, "--output", BUILD / "hey")
    _clean(PROGRAMS / "tsc", "--project", BUILD)


def _clean(*command: object) -> None:
    """A linter or a generator: a warning, too, ends everything."""
    if re.search(r"\bwarn|⚠", _run(*command), re.IGNORECASE):
        sys.exit(f"{command[0]}: a warning")


def _run(*command: object, **environment: str) -> str:
    """Prints what it says, and returns it; a failure ends everything."""
    path = f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}"
    said = subprocess.run(
        [str(part) for part in command],
        check=False,
        cwd=BUILD,
        env={**os.environ, "PATH": path, "NO_COLOR": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    print(said.stdout.strip(), flush=True)
    if said.returncode:
        sys.exit(f"{command[0]}: exit code {said.returncode}")
    return said.stdout


if __name__ == "__main__":
    main()
