"""Sends the requests of a case over kept connections, and looks at every answer."""

from __future__ import annotations

import itertools
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection

from benchmarks.cases import Case, Row

CONNECTIONS = 8
Answer = tuple[int, list[tuple[str, str]], bytes]


class Sender:
    """One case against one port; no two requests of it have the same number."""

    def __init__(self, case: Case, index: int, port: int, deletable: dict[str, int]) -> None:
        self.case, self.index, self.port, self.deletable = case, index, port, deletable
        self._numbers = itertools.count()

    def send(self, requests: int) -> Answer:
        """That many requests; returns the last answer, and ends when one is not as expected."""
        shares = [(requests + each) // CONNECTIONS for each in range(CONNECTIONS)]
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            answers = [answer for answer in pool.map(self._send, shares) if answer]
        return answers[-1]

    def _send(self, requests: int) -> Answer | None:
        answer = None
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            for _ in range(requests):
                row = Row(next(self._numbers), self.index, self.deletable)
                answer = self._ask(connection, row)
        return answer

    def _ask(self, connection: HTTPConnection, row: Row) -> Answer:
        case = self.case
        headers = {"X-Case": str(self.index), "Accept": case.accept}
        headers |= {"Content-Type": case.media} if case.body else {}
        body = row.fill(case.body).encode() if case.body else None
        connection.request(case.method, row.fill(case.path), body, headers)
        response = connection.getresponse()
        content = response.read()
        if response.status != case.status:
            sys.exit(f"{case.name}: {response.status}, not {case.status}: {content[:300]!r}")
        return response.status, response.getheaders(), content
