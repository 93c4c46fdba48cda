"""Runs functions in threads beside a block, until it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self


class Beside:
    """Each function runs in a thread of its own, and returns soon after `over` is set.

    The block's end sets it, and waits for all of them.
    """

    def __init__(self, *functions: Callable[[], None]) -> None:
        self.over = threading.Event()
        self._threads = [threading.Thread(target=each, daemon=True) for each in functions]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join()
