"""Savepoints whose rollback also forgets what was to be done after the commit."""

from __future__ import annotations

from typing import Any

from peewee import _savepoint


class Savepoint(_savepoint):
    """peewee would call a function that `after_commit` got in a block that was undone."""

    def __enter__(self) -> Any:
        self._before = len(self.db._state.commit_callbacks)
        return super().__enter__()

    def rollback(self, begin: bool = True) -> None:
        super().rollback(begin)
        del self.db._state.commit_callbacks[self._before :]
