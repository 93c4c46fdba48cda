"""Makes links and follows one, until told to stop, and remembers when each was answered."""

from __future__ import annotations

import secrets
import time

import redis

from testkit.beside import Beside
from testkit.load import Client

_PAUSE_SECONDS = 0.02
_CLICKS_PER_LINK = 5


class Load(Beside):
    """`links` and `clicks`: when each was answered, by original URL and by User-Agent; `begun`:
    when a link's request began; `drained`: moments before which every click was stored. It runs
    within its `with`.
    """

    def __init__(self, port: int, redis_url: str) -> None:
        self._port, self._name = port, secrets.token_hex(4)
        self._redis = redis.Redis.from_url(redis_url)
        self.drained: list[float] = []
        self.links: dict[str, float] = {}
        self.begun: dict[str, float] = {}
        self.clicks: dict[str, float] = {}
        followed = Client(port).json("POST", "/urls", {"original_url": "https://example.com/"})
        self._path = f"/{followed['short_code']}"
        super().__init__(self._make, self._follow, self._watch)

    def go_on(self, seconds: float) -> None:
        time.sleep(seconds)

    def _make(self) -> None:
        client, number = Client(self._port), 0
        while not self.over.wait(_PAUSE_SECONDS * _CLICKS_PER_LINK):
            number += 1
            url = f"https://example.com/{self._name}/{number}"
            self.begun[url] = time.time()
            if client.request("POST", "/urls", {"original_url": url})[0] == 201:
                self.links[url] = time.time()

    def _watch(self) -> None:
        while not self.over.wait(_PAUSE_SECONDS):
            now = time.time()
            if not self._redis.xlen("clicks"):
                self.drained.append(now)

    def _follow(self) -> None:
        client, number = Client(self._port), 0
        while not self.over.wait(_PAUSE_SECONDS):
            number += 1
            name = f"{self._name}-{number}"
            if client.request("GET", self._path, **{"User-Agent": name})[0] == 302:
                self.clicks[name] = time.time()
