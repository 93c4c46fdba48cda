"""Claims: rows with clicks' ids. Whoever inserts a click's first claim decides what becomes of it.

The drain claims what it stores, and skips each id that is claimed. A request whose click has an
unknown outcome claims it to store or to cancel it. So each click is stored once at most.
"""

from __future__ import annotations

import json
import operator
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import reduce

from app import database
from app.database import now
from app.models import ClickClaim

# For how long a claim is kept: until nobody can try to store the same click again.
KEEP_FOR_REQUEST = timedelta(minutes=10)  # a request that takes a minute is killed
KEEP_FOR_STREAM = timedelta(days=30)  # Redis may be unavailable, and come back with what it held
_PROCESS_LENGTH = 12  # of a click's id; the rest is the process' number for it


def claim_alone(click_id: str) -> bool:
    """Claims one id in the running transaction; False when it is claimed. Waits for a drain."""
    database.lock_briefly("drain")
    if click_id in claimed([click_id]):
        return False
    claim([click_id], KEEP_FOR_STREAM)
    return True


def note_cancelled(click_id: str) -> bool:
    """Notes in the running transaction, which holds the lock `drain`; False when noted before."""
    name = f"cancelled {click_id}"  # in place of a process: none has such a name
    if ClickClaim.select().where(ClickClaim.process == name).exists():
        return False
    _insert([(name, 0, 0, "[]", now() + KEEP_FOR_STREAM)])
    return True


def claim(ids: Iterable[str], keep: timedelta) -> None:
    """One row for each process: its numbers, so that claims cost next to nothing."""
    forget_at = now() + keep
    _insert(
        [
            (process, numbers[0], numbers[-1], json.dumps(numbers), forget_at)
            for process, numbers in _by_process(ids).items()
        ]
    )


def _insert(rows: Sequence[tuple[str, int, int, str, datetime]]) -> None:
    if rows:
        ClickClaim.insert_many(rows, ClickClaim._meta.sorted_fields[1:]).execute()


def claimed(ids: Iterable[str]) -> set[str]:
    """Those of `ids` that are claimed already."""
    overlapping = [
        (ClickClaim.process == process)
        & (ClickClaim.highest >= numbers[0])
        & (ClickClaim.lowest <= numbers[-1])
        for process, numbers in _by_process(ids).items()
    ]
    if not overlapping:
        return set()
    claims = ClickClaim.select(ClickClaim.process, ClickClaim.numbers).where(
        reduce(operator.or_, overlapping)
    )
    return {f"{each.process}{number:x}" for each in claims for number in json.loads(each.numbers)}


def _by_process(ids: Iterable[str]) -> dict[str, list[int]]:
    numbers = defaultdict(list)
    for click_id in ids:
        numbers[click_id[:_PROCESS_LENGTH]].append(int(click_id[_PROCESS_LENGTH:], 16))
    return {process: sorted(of_process) for process, of_process in numbers.items()}


def forget_claims() -> int:
    """Drops the claims that can no longer matter."""
    return int(ClickClaim.delete().where(ClickClaim.forget_at < now()).execute())
