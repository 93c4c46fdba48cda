"""The circuit breaker by itself: what opens it, what keeps it closed, and how it closes again."""

from __future__ import annotations

import threading
import time
from typing import Any

from app.breaker import Breaker
from testkit.machine import Stopwatch, wait_for

LONG = 60.0


def begun(breaker: Breaker) -> float:
    began = breaker.begin()
    assert began is not None
    return began


def elsewhere(work: Any) -> Any:
    """What `work` returns on another thread."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def test_a_call_that_nobody_answered_opens_it() -> None:
    breaker = Breaker(LONG, LONG)
    assert breaker.failed(begun(breaker))
    assert breaker.begin() is None


def test_an_answer_before_the_call_began_proves_nothing() -> None:
    breaker = Breaker(LONG, LONG)
    breaker.answered()
    time.sleep(0.001)
    assert breaker.failed(begun(breaker))


def test_any_answer_since_the_call_began_keeps_it_closed() -> None:
    breaker = Breaker(LONG, LONG)
    began = begun(breaker)
    elsewhere(breaker.answered)
    assert not breaker.failed(began)
    assert breaker.begin() is not None


def test_an_answer_closes_it() -> None:
    breaker = Breaker(LONG, LONG)
    breaker.failed(begun(breaker))
    breaker.answered()
    assert breaker.begin() is not None
    assert breaker.failed(begun(breaker))


def test_after_the_pause_one_thread_is_let_through_and_may_ask_more_than_once() -> None:
    breaker = Breaker(0.0, LONG)
    breaker.failed(begun(breaker))
    assert begun(breaker)
    assert begun(breaker)
    assert elsewhere(breaker.begin) is None
    breaker.answered()
    assert elsewhere(breaker.begin) is not None


def test_who_was_let_through_and_failed_leaves_the_next_trial_to_anybody() -> None:
    breaker = Breaker(0.0, LONG)
    breaker.failed(begun(breaker))
    assert breaker.failed(begun(breaker))
    assert elsewhere(breaker.begin) is not None


def test_who_was_let_through_and_never_came_back_is_not_waited_for() -> None:
    breaker = Breaker(0.0, 0.3)
    breaker.failed(begun(breaker))
    watch = Stopwatch()
    assert elsewhere(breaker.begin) is not None
    wait_for(lambda: breaker.begin() is not None)
    assert watch.wall >= 0.3


def test_time_in_which_this_process_did_not_run_is_excused_once() -> None:
    breaker = Breaker(LONG, 1.0)
    stopped = time.monotonic() - 1.5
    assert not breaker.failed(stopped)
    assert breaker.begin() is not None
    assert breaker.failed(stopped)
    assert breaker.begin() is None


def test_after_an_answer_it_is_excused_again() -> None:
    breaker = Breaker(LONG, 1.0)
    assert not breaker.failed(time.monotonic() - 1.5)
    breaker.answered()
    time.sleep(0.001)
    long_ago = time.monotonic() - 1.5
    breaker._answered_at = long_ago - 1  # as if it had been answered before that
    assert not breaker.failed(long_ago)
