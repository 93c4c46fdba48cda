"""The database handle, whose savepoints also take back what was to be done after the commit."""

from __future__ import annotations

from typing import Any

from peewee import DatabaseProxy, _savepoint


class Handle(DatabaseProxy):
    """peewee would call what `after_commit` was given in a block that was undone."""

    def savepoint(self) -> Savepoint:
        return Savepoint(self)


class Savepoint(_savepoint):
    def __enter__(self) -> Any:
        self._before = len(self.db._state.commit_callbacks)
        return super().__enter__()

    def rollback(self, begin: bool = True) -> None:
        super().rollback(begin)
        del self.db._state.commit_callbacks[self._before :]
