"""The load tests' judgement: who comes when, what passes, what the figures are and which clicks are
missing.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from loadtests import trouble
from loadtests.clicks import Clicks, compare
from loadtests.names import Names
from loadtests.record import Record, Request, by_name, by_second, figures, length, percentile
from loadtests.reference import PER_ROUND, go_round
from loadtests.tiers import TIERS, Outcome, Plan, broken_promises, planned, users_at
from testkit.servers import wait_for
from testkit.stack import PYTHON, Stack
from testkit.webserver import WebServer

GOOD = {"requests": 1000, "failures": 0, "p95_ms": 499.9, "clicks_lost": 0, "clicks_too_many": 0}


def test_a_run_within_all_limits_breaks_no_promise() -> None:
    assert broken_promises(Outcome(**GOOD)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"requests": 0},
        {"failures": 1},
        {"p95_ms": 500.0},
        {"clicks_lost": 1},
        {"clicks_too_many": 1},
    ],
    ids=str,
)
def test_each_thing_that_is_wrong_is_a_broken_promise(wrong: dict[str, float]) -> None:
    assert len(broken_promises(Outcome(**{**GOOD, **wrong}))) == 1


def test_all_that_is_wrong_is_reported_at_once() -> None:
    told = broken_promises(
        Outcome(requests=10, failures=3, p95_ms=612.4, clicks_lost=2, clicks_too_many=0)
    )
    assert told == [
        "3 requests failed",
        "95 % were answered within 612 ms, the limit is 500 ms",
        "2 answered clicks are not stored",
    ]


@pytest.mark.parametrize(("tier", "peak"), [("bronze", 50), ("silver", 200), ("gold", 500)])
def test_each_tier_reaches_its_users(tier: str, peak: int) -> None:
    stages = TIERS[tier].stages
    assert (
        max(users_at(stages, second) or 0 for second in range(int(stages[-1][0])))
        == peak
        == TIERS[tier].peak
    )


def test_gold_goes_over_100_to_500_users_and_back_to_none_in_90_seconds() -> None:
    stages = TIERS["gold"].stages
    assert [users_at(stages, second) for second in (0, 15, 30, 45, 74.9, 82.5)] == [
        0,
        100,
        300,
        500,
        500,
        250,
    ]
    assert users_at(stages, 89.99) == 0
    assert users_at(stages, 90) is None


def test_reference_goes_to_500_users_who_pause_for_a_tenth_of_a_second() -> None:
    tier = TIERS["reference"]
    users = [users_at(tier.stages, second) for second in (0, 7.5, 15, 59.9, 60)]
    assert users == [0, 250, 500, 500, None]
    assert (tier.pause_seconds, tier.pause_shares) == (0.1, (1, 1))
    assert planned("reference", users=30).reference


def test_in_the_reference_tier_only_failures_count_not_the_waiting_of_500_users() -> None:
    patient = {**GOOD, "p95_ms": 30_000.0, "p95_limit_ms": TIERS["reference"].p95_limit_ms}
    assert broken_promises(Outcome(**patient)) == []
    assert broken_promises(Outcome(**{**patient, "failures": 1})) == ["1 requests failed"]


Right = Callable[[Any], bool]


class Asked:
    """Sends a round's requests to a real server; but `unwanted`, which has no answer."""

    def __init__(self, server: WebServer, unwanted: str = "") -> None:
        self.server, self.unwanted = server, unwanted
        self.done: list[str] = []
        self.addresses: list[str] = []

    def ask(self, method: str, path: str, name: str, right: Right, json: Any = None) -> Any:
        self.done.append(f"{method} {name}")
        self.addresses.append(path)
        if f"{method} {name}" == self.unwanted:
            return None
        reply = self.server.get(path, method, body=json)
        assert reply.status == (201 if method == "POST" else 200), (method, path, reply)
        answer = reply.json()
        assert right(answer), (method, path, answer)
        return answer

    def pause(self) -> None:
        self.done.append("pause")


FIRST_HALF = ["GET /health", "GET /products", "POST /users", "pause"]
ON_THE_USER = ["GET /users/<id>", "GET /users?page=", "PUT /users/<id>", "POST /urls"]
ON_THE_LINK = ["GET /urls/<id>", "GET /urls?user_id=", "PUT /urls/<id>"]
END = ["GET /events?page=", "pause"]


def test_a_round_of_the_reference_script_is_served_in_its_order(tmp_path: Path) -> None:
    with WebServer(tmp_path) as server:
        asked = Asked(server)
        for _ in range(2):
            go_round(asked.ask, Names(), asked.pause)
    assert asked.done == 2 * [*FIRST_HALF, *ON_THE_USER, *ON_THE_LINK, *END]
    assert asked.addresses[4:11] == [
        "/users?page=1&per_page=10",
        "/users/1",
        "/urls",
        "/urls/1",
        "/urls?user_id=1&page=1&per_page=10",
        "/urls/1",
        "/events?page=1&per_page=10",
    ]
    assert len(asked.addresses) == 2 * PER_ROUND


@pytest.mark.parametrize(("unwanted", "still"), [("POST /users", []), ("POST /urls", ON_THE_USER)])
def test_what_could_not_be_made_is_not_asked_for(
    tmp_path: Path,
    unwanted: str,
    still: list[str],
) -> None:
    with WebServer(tmp_path) as server:
        asked = Asked(server, unwanted)
        go_round(asked.ask, Names(), asked.pause)
    assert asked.done == [*FIRST_HALF, *still, *END]


def test_all_that_it_started_beside_the_service_has_ended() -> None:
    before = children_of(os.getpid())
    with ExitStack() as cleanup, trouble.busy(Stack(cleanup)) as words:
        loops = children_of(os.getpid()) - before
        assert words() == f"{os.cpu_count()} endless loops beside it"
        assert len(loops) == os.cpu_count()
    assert not children_of(os.getpid()) & loops


def test_a_stop_stops_every_process_of_a_stack_at_once_and_all_go_on() -> None:
    with ExitStack() as cleanup:
        stack = Stack(cleanup)
        command = "import os, time; os.fork(); time.sleep(600)"
        parent = stack.run("app", [PYTHON, "-c", command]).pid
        wait_for(lambda: bool(children_of(parent)), what="its child")
        family = {parent, *children_of(parent)}
        cleanup.callback(lambda: [os.kill(pid, signal.SIGKILL) for pid in family - {parent}])
        seen = Watching(family)
        assert trouble.stop_all(stack, seen) == len(family) == 2
        assert seen.states == ["T", "T"]
        wait_for(lambda: "T" not in states(family), what="both to go on")


class Watching(threading.Event):
    """Looks at the processes instead of waiting."""

    def __init__(self, family: set[int]) -> None:
        super().__init__()
        self.family, self.states = family, [""]

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout == trouble.STOP_SECONDS
        wait_for(lambda: states(self.family) == ["T", "T"], what="all to be stopped")
        self.states = states(self.family)
        return True


def states(pids: set[int]) -> list[str]:
    return [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in pids]


def children_of(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def test_a_tier_can_be_made_higher_and_shorter() -> None:
    tier = planned("gold", users=600, seconds=45)
    assert tier.peak == 600
    assert [users_at(tier.stages, second) for second in (7.5, 30, 45)] == [120, 600, None]


def test_a_plan_survives_the_way_to_the_generator() -> None:
    plan = Plan([[0, 5], [10, 5]], 0.5, "record.json", tail=3, constant="https://example.com/")
    assert Plan.loaded(plan.dumped()) == plan


def test_no_name_is_given_twice_not_even_by_two_runs() -> None:
    first, second = Names(), Names()
    given = [names.new("user") for names in (first, second) for _ in range(1000)]
    assert len(set(given)) == 2000


def test_a_new_person_has_a_name_and_an_address_that_nobody_else_has() -> None:
    names = Names()
    people = [names.person() for _ in range(100)]
    assert (
        len({person["username"] for person in people})
        == len({person["email"] for person in people})
        == 100
    )


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.95, 95), (0.99, 99), (1, 100)])
def test_a_percentile_is_the_value_that_so_many_do_not_exceed(share: float, value: int) -> None:
    assert percentile(range(100, 0, -1), share) == value


def test_one_value_is_every_percentile_and_no_value_is_zero() -> None:
    assert [percentile([7.0], share) for share in (0.01, 0.5, 1)] == [7.0] * 3
    assert percentile([], 0.95) == 0


REQUESTS = [
    Request(0.5, "GET /a", 10.0, 1),
    Request(0.9, "GET /b", 30.0, 2, "503, not 200"),
    Request(1.5, "GET /a", 20.0, 3),
    Request(4.0, "GET /a", 40.0, 3),
]


def test_figures_count_time_and_rate_all_requests() -> None:
    assert figures(REQUESTS, length(REQUESTS)) == (4, 1, 1.0, 20.0, 40.0, 40.0, 40.0)


def test_figures_are_told_apart_by_name_and_by_second() -> None:
    assert {name: row.requests for name, row in by_name(REQUESTS).items()} == {
        "GET /a": 3,
        "GET /b": 1,
    }
    assert {
        second: (users, row.failures) for second, (users, row) in by_second(REQUESTS).items()
    } == {0: (2, 1), 1: (3, 0), 4: (3, 0)}


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = Record(list(REQUESTS))
    record.clicks["abc"] += 2
    record.unknown["xyz"] += 1
    record.write(str(tmp_path / "record"))
    assert Record.read(str(tmp_path / "record")) == record
    assert record.failures() == {"GET /b: 503, not 200": 1}


def answered(unknown: dict[str, int] | None = None, **clicks: int) -> Record:
    record = Record()
    record.clicks.update(clicks)
    record.unknown.update(unknown or {})
    return record


def test_clicks_that_are_stored_as_they_were_answered_are_right() -> None:
    assert compare(answered(a=3, b=1), {"a": 3, "b": 1}) == Clicks(
        answered=4, stored=4, lost=0, too_many=0, unknown=0
    )


def test_a_lost_click_is_not_made_up_for_by_one_too_many_elsewhere() -> None:
    assert compare(answered(a=3, b=1, c=1), {"a": 2, "b": 3}) == Clicks(
        answered=5, stored=5, lost=2, too_many=2, unknown=0
    )


def test_a_request_that_broke_may_be_a_click_or_not() -> None:
    broken = answered({"a": 1, "b": 1}, a=1)
    for stored in ({"a": 1}, {"a": 2}, {"a": 1, "b": 1}):
        assert compare(broken, stored)[2:] == (0, 0, 2), stored
    assert compare(broken, {"a": 3}).too_many == 1
