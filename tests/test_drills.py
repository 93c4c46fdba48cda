"""How a drill's answers and clicks are judged: each broken promise makes a line of the table a
failed one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import pytest

from tests.drills import run
from tests.drills.drill import Drill
from tests.drills.outcome import Outcome, Rules, judge_answers, judge_clicks, judge_recovery, table
from tests.stack.load import AGAIN, BROKEN, Answer
from tests.stack.pace import Stretch, fair

TARGETS = {"/abc123": "https://example.com/1"}
GOOD = Answer("a-1", "/abc123", 100.0, 0.01, 302, location="https://example.com/1")
PAGE = Answer("a-2", "/users?per_page=5", 100.0, 0.01, 200)
REFUSED = Answer("a-3", "/users?per_page=5", 100.0, 0.01, 503, retry_after="1")
BROKE_OFF = Answer("a-4", "/abc123", 100.0, 0.01, BROKEN, "ConnectionResetError()")
DURING = {"began": 90.0, "ended": 110.0}


def judged(*answers: Answer, rules: Rules | None = None) -> Outcome:
    outcome = Outcome("a drill")
    judge_answers(outcome, answers, TARGETS, rules or Rules())
    return outcome


def counted(
    *answers: Answer,
    stored: dict[str, int],
    resent: set[str] | None = None,
    destroyed: set[str] | None = None,
) -> Outcome:
    outcome = Outcome("a drill")
    judge_clicks(outcome, answers, Counter(stored), resent or set(), destroyed or set())
    return outcome


def test_answers_as_asked_are_right() -> None:
    assert judged(GOOD, PAGE).wrong == []


@pytest.mark.parametrize(
    "answer",
    [
        replace(GOOD, location="https://example.com/2"),
        replace(GOOD, status=200),
        replace(GOOD, status=404),
        BROKE_OFF,
        REFUSED,
    ],
)
def test_anything_else_is_wrong(answer: Answer) -> None:
    assert judged(GOOD, answer).wrong


def test_a_refusal_that_is_allowed_is_right_while_the_fault_lasts() -> None:
    outcome = judged(GOOD, REFUSED, rules=Rules({503}, **DURING))
    assert (outcome.wrong, outcome.refused, outcome.failed) == ([], 1, 0)


@pytest.mark.parametrize(
    "answer",
    [
        replace(REFUSED, at=80.0),
        replace(REFUSED, at=130.0),
        replace(REFUSED, retry_after=""),
        replace(REFUSED, seconds=1.5),
        replace(REFUSED, path="/abc123"),
    ],
    ids=["before", "long after", "without Retry-After", "late", "for a redirect"],
)
def test_a_refusal_has_its_conditions(answer: Answer) -> None:
    assert judged(answer, rules=Rules({503}, **DURING)).wrong


def test_a_redirect_may_fail_where_that_is_allowed() -> None:
    outcome = judged(BROKE_OFF, rules=Rules({BROKEN}, redirects_too=True, **DURING))
    assert (outcome.wrong, outcome.failed) == ([], 1)


def test_a_redirect_to_a_wrong_place_is_never_allowed() -> None:
    assert judged(
        replace(GOOD, location="https://example.com/2"),
        rules=Rules({302}, redirects_too=True, **DURING),
    ).wrong


def test_a_click_for_each_redirect_is_right() -> None:
    outcome = counted(GOOD, PAGE, stored={"a-1": 1})
    assert (outcome.wrong, outcome.answered, outcome.stored, outcome.double) == ([], 1, 1, 0)


@pytest.mark.parametrize(
    "stored",
    [{}, {"a-1": 2}, {"a-1": 1, "a-3": 1}, {"a-1": 1, "a-9": 1}],
    ids=["lost", "double", "of a refused request", "of nobody"],
)
def test_any_other_number_of_clicks_is_wrong(stored: dict[str, int]) -> None:
    assert counted(GOOD, REFUSED, stored=stored).wrong


def test_a_request_that_was_sent_to_two_replicas_may_be_two_clicks() -> None:
    outcome = counted(GOOD, stored={"a-1": 2}, resent={"a-1"})
    assert (outcome.wrong, outcome.double, outcome.repeated) == ([], 0, 1)
    assert counted(replace(GOOD, note=AGAIN), stored={"a-1": 2}).wrong == []


def test_of_a_request_that_broke_off_nobody_knows_whether_it_is_a_click() -> None:
    assert counted(GOOD, BROKE_OFF, stored={"a-1": 1}).wrong == []
    assert counted(GOOD, BROKE_OFF, stored={"a-1": 1, "a-4": 1}).wrong == []


def test_clicks_that_the_fault_deleted_are_named_and_not_counted_as_stored() -> None:
    outcome = counted(GOOD, replace(GOOD, name="a-5"), stored={"a-1": 1}, destroyed={"a-5"})
    assert (outcome.wrong, outcome.row()[5]) == ([], "1+1")


def test_a_drill_without_an_answered_redirect_shows_nothing() -> None:
    assert counted(PAGE, stored={}).wrong


@pytest.mark.parametrize("seconds", [None, 15.1])
def test_recovery_has_a_limit(seconds: float | None) -> None:
    outcome = Outcome("a drill")
    judge_recovery(outcome, seconds)
    assert outcome.wrong


def test_recovery_may_take_longer_where_the_machine_was_slower() -> None:
    outcome = Outcome("a drill")
    judge_recovery(outcome, 29.9, slower=2)
    assert not outcome.wrong
    judge_recovery(outcome, 30.1, slower=2)
    assert outcome.wrong


def test_the_table_says_what_was_wrong() -> None:
    text = table([Outcome("one"), Outcome("two", wrong=["3 x 500"])])
    assert "FAIL: 3 x 500" in text.splitlines()[2]
    assert text.splitlines()[1].endswith("yes")


def test_drills_are_chosen_by_name_and_by_length() -> None:
    drills = [Drill("a", print), Drill("b", print, short=True)]
    assert run.chosen(drills, [], short=False) == drills
    assert run.chosen(drills, [], short=True) == [drills[1]]
    assert (
        run.chosen(drills, ["a"], short=False)
        == run.chosen(drills, ["a"], short=True)
        == [drills[0]]
    )
    with pytest.raises(SystemExit, match="no drill c"):
        run.chosen(drills, ["c"], short=False)


def test_every_drill_has_a_name_of_its_own() -> None:
    names = [drill.name for drill in run.all_drills()]
    assert len(names) == len(set(names)) > 10


def test_the_fair_clock_goes_slower_while_others_want_the_processors() -> None:
    command = [sys.executable, "-c", "while True: pass"]
    with ExitStack() as stack:
        for _ in range(4 * (os.cpu_count() or 1)):
            burner = stack.enter_context(subprocess.Popen(command))
            stack.callback(burner.kill)
        began, counted, slower = time.monotonic(), fair(), Stretch()
        wait_until(began + 60, lambda: slower() > 1.2)
        assert fair() - counted < (time.monotonic() - began) / 1.1


def wait_until(deadline: float, condition: Callable[[], bool]) -> None:
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
