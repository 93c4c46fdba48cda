"""Sliding windows: their exact promise, in this process and in Redis, and the memory they take."""

from __future__ import annotations

import re
import time
import tracemalloc

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from app.config import Settings
from app.redirects import windows
from app.redirects.connection import Script
from app.redirects.quotas import Quotas, network
from app.redirects.windows import MOST_CLIENTS, SLICES, Refused, Windows
from testkit.servers import Redis

_GAPS = st.lists(st.integers(min_value=0, max_value=150), min_size=1, max_size=80)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_clients_of_one_limit_push_none_out_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "MOST_CLIENTS", 3)
    quotas = Quotas()
    quotas.bind(Settings(limits="on", limit_writes=1))
    assert quotas.writes
    assert quotas.wrong_codes
    quotas.use(quotas.writes, "mine")
    for number in range(5):
        quotas.use(quotas.wrong_codes, str(number))
    standing = quotas.use(quotas.writes, "mine")
    assert standing
    assert standing.refused


@given(_GAPS, st.integers(min_value=1, max_value=6), st.sampled_from([1, 6]))
def test_no_window_has_more_uses_than_the_quota_and_each_comes_back_a_slice_later_at_most(
    gaps: list[int], quota: int, length: int
) -> None:
    clock = Clock()
    counted, allowed = Windows(clock), list[float]()
    for gap in gaps:
        clock.now += gap / 10
        left, seconds = counted.use("one", quota, length)
        recent = [at for at in allowed if at > clock.now - SLICES * length]
        late = [at for at in allowed if at > clock.now - (SLICES + 1) * length]
        if left >= 0:
            assert len(recent) < quota
            allowed.append(clock.now)
        else:
            assert len(late) >= quota
        assert 0 < seconds <= (SLICES + 1) * length


@given(_GAPS, st.integers(min_value=1, max_value=6))
def test_a_refused_client_that_waits_as_told_is_not_refused(gaps: list[int], quota: int) -> None:
    clock = Clock()
    counted = Windows(clock)
    for gap in gaps:
        clock.now += gap / 10
        left, seconds = counted.use("one", quota, 6)
        if left < 0:
            clock.now += seconds
            assert counted.use("one", quota, 6)[0] >= 0


def test_a_refused_use_does_not_count() -> None:
    clock = Clock()
    counted = Windows(clock)
    for _ in range(1000):
        counted.use("one", 3, 6)
    clock.now = 66
    assert [counted.use("one", 3, 6)[0] for _ in range(4)] == [2, 1, 0, -1]


def test_of_too_many_clients_the_one_that_was_counted_longest_ago_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(windows, "MOST_CLIENTS", 3)
    counted = Windows()
    for name in ("a", "b", "c", "a", "d"):
        counted.use(name, 1, 6)
    assert len(counted) == 3
    assert [counted.use(name, 1, 6)[0] for name in "acd"] == [-1, -1, -1]
    assert counted.use("b", 1, 6)[0] == 0


def test_very_many_clients_take_a_few_megabytes() -> None:
    clock = Clock()
    counted, refused = Windows(clock), Refused(clock)
    tracemalloc.start()
    try:
        for number in range(5 * MOST_CLIENTS):
            clock.now += 0.001
            counted.use(f"writes 198.51.{number}", 60, 6)
            refused.add(f"198.51.{number}", 60)
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(counted) == len(refused) == MOST_CLIENTS
    assert taken < 10_000_000


def test_a_client_is_refused_until_its_time_is_over() -> None:
    clock = Clock()
    refused = Refused(clock)
    refused.add("one", 12)
    assert (refused.seconds("one"), refused.seconds("other")) == (12, 0)
    clock.now = 11.5
    assert refused.seconds("one") == 1
    clock.now = 12.0
    assert refused.seconds("one") == 0
    assert len(refused) == 0


@pytest.mark.parametrize(
    ("address", "its"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::1%eth0", "2001:db8:1:2::"),
        ("2001:DB8:1:2:ffff::", "2001:db8:1:2::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
        ("no:address\0", "no:address\0"),
    ],
)
def test_an_ipv6_address_stands_for_its_64(address: str, its: str) -> None:
    assert network(address) == its


def test_what_is_counted_by_redis_has_no_address_in_its_key() -> None:
    quotas = Quotas()
    quotas.bind(Settings(auth="on", redis_url="redis://:secret@h/0"))
    other = Quotas()
    other.bind(Settings(auth="on", redis_url="redis://:another@h/0"))
    policy = quotas.writes
    assert policy is not None
    key = quotas._key(policy, "192.0.2.7")
    assert re.fullmatch("limit:writes:[0-9a-f]{24}", key)
    assert key != other._key(policy, "192.0.2.7")
    assert key != quotas._key(policy, "192.0.2.8")


@pytest.mark.services
@pytest.mark.parametrize("quota", [1, 20, 40])
def test_redis_counts_the_slices_that_a_window_may_reach_into_and_no_others(
    redis_server: Redis, held: redis.Redis, quota: int
) -> None:
    script = held.register_script(Script("limit").text)
    length = 6
    while int(held.time()[0]) % length > 3:  # no slice ends during the test
        time.sleep(0.1)
    current = int(held.time()[0]) // length
    slices = {current + offset: 2 for offset in range(-13, 3)}
    held.hset("uses", mapping={str(at): count for at, count in slices.items()})
    left, seconds = script(keys=["uses"], args=[quota, length, SLICES])
    counting = [at for at in slices if current - SLICES <= at <= current]
    used = 2 * len(counting)
    assert left == (quota - used - 1 if quota > used else -1)
    assert 0 < seconds <= length
    kept = {int(at): int(count) for at, count in held.hgetall("uses").items()}
    assert sorted(kept) == counting
    assert kept[current] == (3 if quota > used else 2)
    assert held.ttl("uses") == (length * (SLICES + 1) if quota > used else -1)
