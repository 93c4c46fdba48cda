"""What Locust runs: when users start and stop, the first links, and the record of the run."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import gevent
from locust import LoadTestShape, events

from loadtests import behaviour, repeating
from loadtests import record as facts
from loadtests.asking import PLAN, names, record
from loadtests.behaviour import FIRST_LINKS, Link, links, people
from loadtests.tiers import users_at

User = repeating.Repeater if PLAN.reference else behaviour.Visitor
__all__ = ["ComeAndGo", "User"]
_PROGRESS_SECONDS = 5


class ComeAndGo(LoadTestShape):
    def tick(self) -> tuple[int, float] | None:
        users = users_at(PLAN.stages, self.get_run_time())
        return None if users is None else (users, 100)


@events.test_start.add_listener
def prepare(environment: Any, **_more: Any) -> None:
    """Counts from here on what happens."""
    if not PLAN.reference:
        _make_first_links(environment.host)
    environment.began = time.monotonic()
    events.request.add_listener(lambda **request: _remember(environment, request))
    events.user_error.add_listener(
        lambda exception, **_more: _remember(environment, _stumble(exception))
    )
    gevent.spawn(_show_progress, environment)


def _make_first_links(host: str) -> None:
    """The first user and the first links, which all others need."""
    people.append(_post(f"{host}/users", names.person())["id"])
    for _ in range(FIRST_LINKS):
        address = names.address()
        made = _post(f"{host}/urls", {"original_url": address, "user_id": people[0]})
        links.append(Link(made["id"], made["short_code"], address))
    record.first_id = links[0].id


def _post(address: str, content: dict[str, Any]) -> Any:
    with urlopen(
        HttpRequest(address, json.dumps(content).encode(), {"Content-Type": "application/json"}),
        timeout=10,
    ) as answer:
        return json.load(answer)


def _remember(environment: Any, request: dict[str, Any]) -> None:
    failure = str(request["exception"]) if request["exception"] else ""
    second = time.monotonic() - environment.began
    record.requests.append(
        facts.Request(
            second,
            request["name"],
            request["response_time"],
            environment.runner.user_count,
            failure[:200],
        )
    )


def _stumble(error: Exception) -> dict[str, Any]:
    """An answer that the behaviour could not make sense of."""
    return {"name": "unreadable answers", "response_time": 0.0, "exception": repr(error)}


def _show_progress(environment: Any) -> None:
    seen = 0
    while True:
        gevent.sleep(_PROGRESS_SECONDS)
        latest, seen = record.requests[seen:], len(record.requests)
        now = facts.figures(latest, _PROGRESS_SECONDS)
        moment, users = time.monotonic() - environment.began, environment.runner.user_count
        print(
            f"{moment:5.0f} s {users:4} users {now.per_second:8,.1f} req/s   p50 {now.p50_ms:6.0f}"
            f" ms   p95 {now.p95_ms:6.0f} ms   {now.failures} failures",
            flush=True,
        )


@events.quitting.add_listener
def keep(environment: Any, **_more: Any) -> None:
    environment.process_exit_code = 0  # loadtests/run.py judges
    record.write(PLAN.record)
