"""The messages that Discord has yet to get, each a file, in order; they outlive the process."""

from __future__ import annotations

import fcntl
import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

from monitoring.alert_relay import files

log = logging.getLogger(__name__)

Entry = dict[str, Any]
"""`body` is what Discord gets; `group` and `told` are what it will have been told by it."""


class Spool:
    """A folder of messages; only one process has it at a time, who comes second waits for the first
    to end.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.refused = folder, folder / "refused"
        self.refused.mkdir(parents=True, exist_ok=True)
        self._lock = (folder / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        for draft in folder.glob("*.tmp"):
            draft.unlink()
        self.ticks = files.Ticks(
            max((int(path.stem) for path in self.paths() if path.stem.isdigit()), default=0)
        )

    def close(self) -> None:
        self._lock.close()

    def paths(self) -> list[Path]:
        """Oldest first."""
        return sorted(path for path in self.folder.glob("[0-9]*.json"))

    def add(self, entry: Entry) -> None:
        files.write(self.folder / f"{self.ticks.next():020d}.json", entry, durable=True)

    def entries(self) -> list[Entry]:
        return [entry for path in self.paths() if (entry := self._read(path))]

    def oldest(self) -> tuple[Path, Entry] | None:
        for path in self.paths():
            entry = self._read(path)
            if entry:
                return path, entry
            log.error("%s is no message, it goes to %s", path, self.refused)
            path.rename(self.refused / path.name)
        return None

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        files.sync(self.folder)

    def refuse(self, path: Path, entry: Entry, reason: str) -> None:
        """Puts it where it bothers nobody and can be looked at, and put back."""
        with suppress(
            OSError
        ):  # on a full disk it goes there without the reason, which is in the process' log, too
            files.write(path, {**entry, "reason": reason}, durable=True)
        path.rename(self.refused / path.name)
        files.sync(self.folder)

    def _read(self, path: Path) -> Entry | None:
        try:
            entry = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        return entry if isinstance(entry, dict) and isinstance(entry.get("body"), dict) else None
