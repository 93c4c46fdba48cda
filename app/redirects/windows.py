"""What this process remembers of clients and their limits; how much is bounded."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

SLICES = 10
"""So many slices have the length of a window; a use counts for up to one more."""
MOST_CLIENTS = 10_000


class Windows:
    """Sliding windows as those of limit.lua.

    Of more than MOST_CLIENTS, the one that was counted longest ago is forgotten.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._clients: dict[str, dict[int, int]] = {}  # uses by slice

    def __len__(self) -> int:
        return len(self._clients)

    def use(self, client: str, quota: int, length: int) -> tuple[int, int]:
        """Counts a use, unless the quota is used up. `length` of a slice in seconds.

        Returns how many uses are left, -1 for a refusal, and after how many seconds one comes back.
        """
        now = self._clock()
        current = int(now // length)
        with self._lock:
            held = self._clients.pop(client, {})
            uses = {slice_: count for slice_, count in held.items() if slice_ >= current - SLICES}
            left = quota - sum(uses.values()) - 1
            if left >= 0:
                uses[current] = uses.get(current, 0) + 1
            self._clients[client] = uses  # the last one again
            if len(self._clients) > MOST_CLIENTS:
                del self._clients[next(iter(self._clients))]
        oldest = min(uses, default=current)
        return max(left, -1), math.ceil((oldest + SLICES + 1) * length - now)


class Refused:
    """Clients whose quota is used up, and until when: for them nobody needs to be asked.

    One that is forgotten is only asked for again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._until: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._until)

    def add(self, client: str, seconds: int) -> None:
        with self._lock:
            self._until.pop(client, None)
            self._until[client] = self._clock() + seconds
            if len(self._until) > MOST_CLIENTS:
                del self._until[next(iter(self._until))]

    def seconds(self, client: str) -> int:
        """For how long it is refused, rounded up; 0 for a client that is not."""
        until = self._until.get(client)
        if until is None:
            return 0
        left = until - self._clock()
        if left > 0:
            return math.ceil(left)
        with self._lock:
            if self._until.get(client) == until:
                del self._until[client]
        return 0
