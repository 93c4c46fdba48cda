"""Limits of a whole installation: three replicas with one Redis, and the front before Flask."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from testkit.load import Client
from testkit.servers import HANGS_SECONDS, App, Postgres, Redis, wait_for

pytestmark = pytest.mark.services

Ask = Callable[[Client, str, dict[str, str]], int]
VISITOR = {"X-Forwarded-For": "192.0.2.1"}
QUOTA = 12


@dataclass
class Replicas:
    postgres: Postgres
    apps: list[App]

    def unchecked(self) -> float:
        """Requests that Redis has not counted."""
        texts = (self.get(number, "/metrics")[2].decode() for number in range(len(self.apps)))
        return sum(
            float(re.findall(r"(?m)^limits_unchecked_total (.*)$", text)[0]) for text in texts
        )

    def refuse(self) -> None:
        """Guesses until every replica refuses the visitor."""
        for number in range(len(self.apps)):
            refused = partial(self.has, number, "/guess", 429)
            wait_for(refused, what="a refusal")

    def has(self, number: int, path: str, status: int, method: str = "GET") -> bool:
        return bool(self.get(number, path, method)[0] == status)

    def get(self, number: int, path: str, method: str = "GET", **headers: str) -> Any:
        """Status, headers and body of one request to one of them."""
        client = Client(self.apps[number % len(self.apps)].port)
        answer = client.request(method, path, **{**VISITOR, **headers})
        client.close()
        return answer


@pytest.fixture
def replicas(postgres_server: Postgres) -> Iterator[Replicas]:
    with ExitStack() as stack:
        redis = Redis()
        environ = {
            "DATABASE_URL": postgres_server.another_database(),
            "REDIS_URL": redis.url,
            "TRUSTED_PROXIES": "1",
            "LIMITS": "on",
            "LIMIT_WRITES": str(QUOTA),
            "LIMIT_WRONG_CODES": str(QUOTA),
        }
        apps = [App(**environ) for _ in range(3)]
        for server in (redis, *apps):
            stack.callback(server.destroy)
            server.start()
        yield Replicas(postgres_server, apps)


def together(replicas: Replicas, each: Ask, times: int) -> Counter[int]:
    """How many of `times` requests at each replica, all at once, had each status.

    Others of another address are sent as long as a Redis that is slow today lets some through.
    """
    for number in range(1, 20):
        before = replicas.unchecked()
        found = _together(replicas, each, times, {"X-Forwarded-For": f"192.0.2.{number}"})
        if replicas.unchecked() == before:
            return found
    raise TimeoutError("Redis does not answer in time")


def _together(replicas: Replicas, each: Ask, times: int, visitor: dict[str, str]) -> Counter[int]:
    statuses: list[int] = []

    def ask(number: int) -> None:
        client = Client(replicas.apps[number].port)
        statuses.extend(each(client, f"{number}x{turn}", visitor) for turn in range(times))
        client.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(statuses)


def test_three_replicas_share_one_limit_of_writes(replicas: Replicas) -> None:
    def write(client: Client, _name: str, visitor: dict[str, str]) -> int:
        body = {"original_url": "https://example.com/"}
        return client.request("POST", "/urls", body, **visitor)[0]

    assert together(replicas, write, QUOTA) == {201: QUOTA, 429: 2 * QUOTA}


def test_three_replicas_tell_no_more_wrong_codes_than_one(replicas: Replicas) -> None:
    def guess(client: Client, name: str, visitor: dict[str, str]) -> int:
        return client.request("GET", f"/guess{name}", **visitor)[0]

    assert together(replicas, guess, 2 * QUOTA) == {404: QUOTA, 429: 5 * QUOTA}


def test_a_refused_address_costs_the_database_nothing_and_follows_what_the_cache_has(
    replicas: Replicas,
) -> None:
    client = Client(replicas.apps[0].port)
    body = {"original_url": "https://example.com/"}
    code = json.loads(client.request("POST", "/urls", body)[2])["short_code"]
    client.close()
    replicas.refuse()
    replicas.postgres.kill()
    try:
        for number in range(3):
            assert replicas.get(number, f"/{code}")[0] == 302
            for path in ("/{}", "/{}+", "/{}.qr", "/urls/{}/redirect"):
                for method in ("GET", "HEAD"):  # 503 while Redis is slow
                    refused = partial(replicas.has, number, path.format("new"), 429, method)
                    wait_for(refused, what=f"429 for {method} {path}")
            assert replicas.get(number, "/guess", **{"X-Forwarded-For": "192.0.2.2"})[0] == 503
    finally:
        replicas.postgres.start()


def test_the_front_refuses_as_flask_does(replicas: Replicas) -> None:
    replicas.refuse()
    # Flask alone knows this form of the address; the front leaves pages to it.
    by_front, by_flask = exchange(replicas, "/guess"), exchange(replicas, "/urls/guess/redirect")
    assert by_front == by_flask
    assert by_front["ratelimit-policy"] == f'"wrong-codes";q={QUOTA};w=60'
    problem = exchange(replicas, "/guess", "application/problem+json")
    assert problem["content-type"] == "application/problem+json"
    page = exchange(replicas, "/guess", "text/html,*/*;q=0.8")
    assert page["content-type"] == "text/html; charset=utf-8"


def exchange(replicas: Replicas, path: str, accept: str = "*/*") -> dict[str, str]:
    """The status line and headers of an answer, without what is different a second later."""
    address = "127.0.0.1", replicas.apps[0].port
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept: {accept}\r\n"
    with socket.create_connection(address, HANGS_SECONDS) as connection:
        connection.sendall(f"{head}X-Forwarded-For: 192.0.2.1\r\n\r\n".encode())
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    status, *lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    found = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert found["retry-after"] == found["ratelimit"].rpartition("=")[2]
    volatile = {"date", "x-request-id", "content-length", "ratelimit", "retry-after"}
    return {"status": status} | {name: found[name] for name in found.keys() - volatile}
