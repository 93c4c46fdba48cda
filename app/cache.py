"""What Redis remembers: links, each with its row's version, and answers for a minute; and how to do without Redis."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app import metrics, scripts
from app.breaker import Breaker

log = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 0.25
_PAUSE_SECONDS = 1.0
_MOST_ANSWERS = 500
_GREETING = 500

ACTIVE, INACTIVE, DELETED = "a", "i", "d"


class Link(NamedTuple):
    """What a redirect needs to know of a link. Its entry is `state version url_id original_url`."""

    state: str
    version: int
    url_id: int
    original_url: str

    def entry(self) -> str:
        return f"{self.state} {self.version} {self.url_id} {self.original_url}"

    @classmethod
    def parse(cls, entry: bytes | str | None) -> Link | None:
        """The link that an entry describes; None for none, and for one that nobody can have written."""
        try:
            text = entry.decode() if isinstance(entry, bytes) else entry or ""
            state, version, url_id, original_url = text.split(" ", 3)
            return (
                cls(state, int(version), int(url_id), original_url)
                if state in (ACTIVE, INACTIVE, DELETED) and 0 < int(url_id) < 2**63
                else None
            )
        except ValueError:
            return None


class Away(Exception):
    """Redis did not do it. `unsure`: it may have, or may still, because the command had been sent."""

    def __init__(self, unsure: bool = False) -> None:
        super().__init__("Redis is away")
        self.unsure = unsure


Due = Callable[[], Iterable[tuple[str, str]]]
"""Returns (short_code, entry) for every change that Redis has yet to be told."""


def new_breaker() -> Breaker:
    """For one Redis and all connections to it: a call may wait for a connection, and then for its answer."""
    return Breaker(_PAUSE_SECONDS, 2 * _TIMEOUT_SECONDS)


class Store(Protocol):
    """What there is to remember with."""

    shared: bool
    breaker: Breaker

    def run(
        self, script: str, keys: Sequence[str], *values: str | int, insist: bool = False
    ) -> Any: ...
    def run_all(
        self,
        script: str,
        calls: Iterable[tuple[Sequence[str], Sequence[str | int]]],
        insist: bool = False,
    ) -> None: ...
    def state(self) -> str: ...


class NoStore:
    """Without Redis: every call finds it away, so that everything takes the way it takes when Redis is down."""

    shared = False

    def __init__(self) -> None:
        self.breaker = new_breaker()

    def run(
        self, script: str, keys: Sequence[str], *values: str | int, insist: bool = False
    ) -> Any:
        raise Away

    def run_all(
        self,
        script: str,
        calls: Iterable[tuple[Sequence[str], Sequence[str | int]]],
        insist: bool = False,
    ) -> None:
        raise Away

    def state(self) -> str:
        return "disabled"


class RedisStore:
    """Redis, asked with short timeouts and no retries, and not at all for a second after nothing answered."""

    shared = True

    def __init__(self, url: str, due: Due, ttl_seconds: int) -> None:
        self._url, self._due, self._ttl_seconds = url, due, ttl_seconds
        self.breaker = new_breaker()
        self._client = self._new_client()

    def _new_client(self) -> redis.Redis:
        return redis.Redis.from_url(
            self._url,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,  # saves two round trips for each new connection
            redis_connect_func=self._greet,
        )

    def _greet(self, connection: Any) -> None:
        """A new connection may reach a Redis that has missed changes of links: they are told before anything is asked."""
        connection.on_connect()
        missed = list(self._due())
        for start in range(0, len(missed), _GREETING):
            told = [
                ("EVAL", PUT, 1, link_key(code), entry, self._ttl_seconds)
                for code, entry in missed[start : start + _GREETING]
            ]
            connection.send_packed_command(connection.pack_commands(told))
            for _ in told:
                connection.read_response()

    def run(
        self, script: str, keys: Sequence[str], *values: str | int, insist: bool = False
    ) -> Any:
        """Runs a Lua script; raises Away when Redis cannot, or may not have. `insist`: also while Redis is being left alone."""
        return self._guarded(
            lambda client: scripts.run(client, script, (len(keys), *keys, *values)), insist
        )

    def run_all(
        self,
        script: str,
        calls: Iterable[tuple[Sequence[str], Sequence[str | int]]],
        insist: bool = False,
    ) -> None:
        """Runs a script for many keys in one write; `insist` as above."""
        self._guarded(lambda client: scripts.run_all(client, script, calls), insist)

    def state(self) -> str:
        try:
            self._guarded(lambda client: client.ping())
            return "connected"
        except Away:
            return "disconnected"

    def _guarded(self, call: Callable[[redis.Redis], Any], insist: bool = False) -> Any:
        began = self.breaker.begin()
        if began is None:
            if not insist:
                raise Away
            began = time.monotonic()
        client = self._client
        try:
            answer = call(client)
        except (
            redis.ResponseError
        ) as error:  # it is there, and refused: full, read only, a key of another type
            self.breaker.answered()
            metrics.cache_failures.inc()
            log.warning("Redis refused: %s", error)
            raise Away from error
        except (
            redis.RedisError,
            ValueError,
        ) as error:  # gone, silent, or something else than Redis
            metrics.cache_failures.inc()
            opened = self.breaker.failed(began)
            log.warning(
                "Redis failed%s: %s", " and is not asked for a second" if opened else "", error
            )
            self._begin_anew(client)
            raise Away(unsure=True) from error
        self.breaker.answered()
        return answer

    def _begin_anew(self, client: redis.Redis) -> None:
        """None of the connections is used again: who comes back must greet, for changes may have been made meanwhile."""
        if client is self._client:
            self._client = self._new_client()
            client.connection_pool.disconnect(inuse_connections=False)


def link_key(short_code: str) -> str:
    return f"link:{short_code}"


# A slow reader must not put an old link back over a newer one; a poisoned entry counts as older than any.
# When Redis is full, what it holds is at least forgotten.
PUT = """
local held = redis.pcall('GET', KEYS[1])
local version, id = string.match(type(held) == 'string' and held or '', '^[aid] (%d+) (%d+) ')
if version and tonumber(id) > 0 and tonumber(id) < 2^63 and tonumber(version) >= tonumber(string.match(ARGV[1], '^%a (%d+) ')) then return 0 end
if redis.pcall('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]).err then return redis.call('DEL', KEYS[1]) end
return 1
"""

_GET = "return redis.call('GET', KEYS[1])"
_SET = "return redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])"


class Cache:
    """The handle that create_app binds. Every method fails open: without Redis the answer is a miss."""

    def __init__(self) -> None:
        self.bind(NoStore(), 1)

    def bind(self, store: Store, ttl_seconds: int) -> None:
        self.store = store
        self.ttl_seconds = ttl_seconds
        self._answers: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()

    def put_links(self, entries: Sequence[tuple[str, str]], insist: bool = False) -> bool:
        """Tells Redis what (short_code, entry) pairs are now, unless it knows newer; whether it heard them."""
        try:
            self.store.run_all(
                PUT,
                [((link_key(code),), (entry, self.ttl_seconds)) for code, entry in entries],
                insist,
            )
            return True
        except Away:
            return False

    def get_link(self, short_code: str) -> Link | None:
        """What Redis holds for a code; None when it holds nothing that makes sense."""
        try:
            return Link.parse(self.store.run(_GET, (link_key(short_code),)))
        except Away:
            return None

    def get_answer(self, name: str) -> str | None:
        """A remembered answer; without Redis each process remembers its own."""
        try:
            held = self.store.run(_GET, (f"answer:{name}",))
            return held.decode(errors="replace") if held else None
        except Away:
            until, answer = self._answers.get(name, (0.0, ""))
            return answer if time.monotonic() < until else None

    def put_answer(self, name: str, answer: str, seconds: int) -> None:
        try:
            self.store.run(_SET, (f"answer:{name}",), answer, seconds)
        except Away:
            if len(self._answers) >= _MOST_ANSWERS:
                self._answers.clear()  # there is no end of pages to ask for
            self._answers[name] = (time.monotonic() + seconds, answer)


def connect(url: str, due: Due, ttl_seconds: int) -> Store:
    """The store that `url` names; without one, none."""
    return RedisStore(url, due, ttl_seconds) if url else NoStore()


cache = Cache()
