"""What every kind of user shares: a request, the check of its answer, and the plan it follows."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

from locust import FastHttpUser

from loadtests.names import Names
from loadtests.record import Record
from loadtests.tiers import Plan

Right = Callable[[Any], bool]
PLAN = Plan.loaded(os.environ["LOAD_PLAN"])
names = Names()
record = Record()


class Client(FastHttpUser):
    abstract = True
    network_timeout = 60.0
    connection_timeout = 10.0
    default_headers = {"User-Agent": f"holdfast-load/{names.run}"}  # noqa: RUF012  # Locust's way

    @contextmanager
    def asking(self, method: str, path: str, name: str, expected: int, **more: Any) -> Any:
        """The answer, which is a failure with any other status or when it broke off."""
        more |= {"name": name, "catch_response": True, "allow_redirects": False}
        with self.client.request(method, path, **more) as answer:
            if answer.status_code == expected:
                answer.success()
            elif answer.status_code:
                answer.failure(f"{answer.status_code}, not {expected}")
            yield answer

    def ask(self, method: str, path: str, name: str, right: Right, **more: Any) -> Any:
        """The decoded answer; None when it is not `right`."""
        expected = 201 if method == "POST" else 200
        with self.asking(method, path, f"{method} {name}", expected, **more) as answer:
            if answer.status_code != expected:
                return None
            body = json.loads(answer.content)
            if not right(body):
                answer.failure(f"wrong body: {answer.content[:100]}")
                return None
            return body
