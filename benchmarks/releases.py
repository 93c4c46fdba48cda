"""Which commit is the last release: its tag, or what deploy/last-release says where no tag is."""

from __future__ import annotations

import subprocess

from testkit.servers import ROOT

FILE = ROOT / "deploy" / "last-release"


def last_release() -> tuple[str, str]:
    """Its name and its commit; no commit where this clone does not have it."""
    name, commit = FILE.read_text(encoding="ascii").split()
    tag = _git("describe", "--tags", "--match", "v0.*", "--abbrev=0")
    name, commit = (tag, f"{tag}^{{commit}}") if tag else (name, commit)
    return name, _git("rev-parse", "--quiet", "--verify", f"{commit}^{{commit}}")


def _git(*arguments: str) -> str:
    """What it says; nothing when it fails."""
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
