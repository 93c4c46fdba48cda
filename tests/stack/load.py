"""A steady load over keep-alive connections, which remembers every request, when it was made, and
what became of it.
"""

from __future__ import annotations

import http.client
import itertools
import secrets
import select
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

BROKEN = 0
"""The status of a request whose connection broke before its answer came."""

AGAIN = "sent again"


@dataclass(frozen=True)
class Reply:
    """What came back, and what there is to say about it."""

    status: int
    note: str = ""
    location: str = ""
    retry_after: str = ""


class Connection:
    """As careful clients do, it looks before each request whether the server has closed the kept
    connection. When that happens at the very moment
    of sending, it does what HTTP asks for (RFC 9112, 9.3.1): the GET goes out once more, on a new
    one. A server that had begun it counts two clicks."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)

    def get(self, path: str, **headers: str) -> Reply:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            return self._answer(path, given)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return Reply(BROKEN, repr(error))

    def _answer(self, path: str, headers: dict[str, str]) -> Reply:
        if self._connection.sock and select.select([self._connection.sock], [], [], 0)[0]:
            self._connection.close()
        kept = self._connection.sock is not None
        try:
            return self._exchange(path, headers)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            self._connection.close()
            if not kept:
                raise
        return replace(self._exchange(path, headers), note=AGAIN)

    def _exchange(self, path: str, headers: dict[str, str]) -> Reply:
        self._connection.request("GET", path, headers=headers)
        response = self._connection.getresponse()
        response.read()
        return Reply(
            response.status,
            location=response.headers.get("Location", ""),
            retry_after=response.headers.get("Retry-After", ""),
        )


@dataclass(frozen=True)
class Answer:
    """`name` is the request's id and its User-Agent, so that its click can be found.

    `at` is when it was answered, on the monotonic clock.
    """

    name: str
    path: str
    at: float
    seconds: float
    status: int
    note: str = ""
    location: str = ""
    retry_after: str = ""


@dataclass
class Steady:
    """`rate` requests a second by `clients` threads, one path after the other, each with a name of
    its own.
    """

    url: str
    paths: Sequence[str]
    rate: float = 100
    clients: int = 20
    label: str = "load"  # what the names of its requests begin with
    answers: list[Answer] = field(default_factory=list)
    _numbers: Any = field(default_factory=itertools.count)
    _threads: list[threading.Thread] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.label += f"-{secrets.token_hex(4)}"

    def __enter__(self) -> Steady:
        self.began = time.monotonic()
        self._threads = [
            threading.Thread(target=self._work, daemon=True) for _ in range(self.clients)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        connection = Connection(self.url)
        while not self._stop.is_set():
            number = next(self._numbers)
            if self._stop.wait(self.began + number / self.rate - time.monotonic()):
                break
            name, path = f"{self.label}-{number}", self.paths[number % len(self.paths)]
            sent_at = time.monotonic()
            reply = connection.get(path, User_Agent=name, X_Request_ID=name)
            at = time.monotonic()
            self.answers.append(
                Answer(
                    name,
                    path,
                    at,
                    at - sent_at,
                    reply.status,
                    reply.note,
                    reply.location,
                    reply.retry_after,
                )
            )

    def failed(self, *, only_redirects: bool = False) -> list[str]:
        """What was not answered as it must be, in words, the same words once."""
        bad = [
            each
            for each in self.answers
            if each.status not in (200, 302) and not (only_redirects and _is_read(each))
        ]
        return [
            f"{count} x {words}"
            for words, count in Counter(
                f"{each.status} {each.note}".strip() for each in bad
            ).items()
        ]

    def clicks(self) -> set[str]:
        return {each.name for each in self.answers if each.status == 302}

    def summary(self) -> str:
        answers = self.answers
        slowest = max((each.seconds for each in answers), default=0.0)
        again = sum(each.note == AGAIN for each in answers)
        rate = len(answers) / (time.monotonic() - self.began)
        return (
            f"{len(answers)} requests, {rate:.0f}/s, slowest {slowest * 1000:.0f} ms, {again}"
            f" {AGAIN}"
        )


def _is_read(answer: Answer) -> bool:
    return "?" in answer.path
