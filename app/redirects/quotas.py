"""How often a client may do what: quotas, counted in Redis, or without it in this process."""

from __future__ import annotations

import hashlib
import socket
from collections import defaultdict
from functools import lru_cache
from typing import Any, NamedTuple

from app import metrics
from app.addresses import password_of
from app.config import Settings
from app.redirects.connection import RedisUnavailable, Script, redis_connection
from app.redirects.windows import SLICES, Refused, Windows

_LIMIT = Script("limit")
_MINUTE, _HOUR = 60, 3600
_MAPPED = bytes(10) + b"\xff\xff"


class Policy(NamedTuple):
    """At most `quota` uses within any `window` seconds."""

    name: str
    quota: int
    window: int


class Standing(NamedTuple):
    """What a client has left of a policy, -1: it is refused; in `seconds` a use comes back."""

    policy: Policy
    left: int
    seconds: int

    @property
    def refused(self) -> bool:
        return self.left < 0

    def fields(self) -> dict[str, str]:
        """The headers of draft-ietf-httpapi-ratelimit-headers-11, and of a refusal Retry-After."""
        name, quota, window = self.policy
        shown = {
            "RateLimit-Policy": f'"{name}";q={quota};w={window}',
            "RateLimit": f'"{name}";r={max(0, self.left)};t={self.seconds}',
        }
        return {**shown, "Retry-After": str(self.seconds)} if self.refused else shown

    def reason(self) -> str:
        """Why a request is refused."""
        name, quota, window = self.policy
        what = name.replace("-", " ")
        return f"Too many {what}: {quota} in {window} s are allowed; wait {self.seconds} s"


@lru_cache(maxsize=2000)
def network(address: str) -> str:
    """Whom an address belongs to: of IPv6 its /64, for a site has at least that; else itself."""
    if ":" not in address:
        return address
    try:
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except (OSError, ValueError):  # ValueError: NUL
        return address
    if packed.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed[:8] + bytes(8))


class Quotas:
    """The policies of this process, None for those without a limit; all are where LIMITS=off."""

    on = False
    writes: Policy | None = None
    imports: Policy | None = None
    wrong_keys: Policy | None = None
    wrong_codes: Policy | None = None

    def __init__(self) -> None:
        self._windows: dict[str, Windows] = defaultdict(Windows)
        self._secret = b""

    def bind(self, settings: Settings) -> None:
        self.on = settings.has_limits

        def policy(name: str, quota: int, window: int = _MINUTE) -> Policy | None:
            return Policy(name, quota, window) if self.on and quota else None

        self.writes = policy("writes", settings.limit_writes)
        self.imports = policy("imports", settings.limit_imports, _HOUR)
        self.wrong_keys = policy("wrong-keys", settings.limit_wrong_keys)
        self.wrong_codes = policy("wrong-codes", settings.limit_wrong_codes)
        self._windows.clear()
        urls = settings.database_url, settings.redis_url
        passwords = "\n".join(map(password_of, urls))
        self._secret = hashlib.sha256(passwords.encode()).digest()
        for each in (wrong_keys, wrong_codes):
            each.forget()

    def use(self, policy: Policy, client: str) -> Standing | None:
        """Counts one use, unless the client is refused; None when Redis does not answer."""
        length = policy.window // SLICES
        if not redis_connection.url:
            windows = self._windows[policy.name]
            return Standing(policy, *windows.use(client, policy.quota, length))
        try:
            counted: Any = redis_connection.run(
                _LIMIT, [self._key(policy, client)], policy.quota, length, SLICES
            )
        except RedisUnavailable:
            metrics.limits_unchecked.inc()
            return None
        return Standing(policy, *counted)

    def _key(self, policy: Policy, client: str) -> str:
        """No address is in Redis. Without a password in either URL its digest can be guessed."""
        digest = hashlib.blake2b(client.encode(), key=self._secret, digest_size=12)
        return f"limit:{policy.name}:{digest.hexdigest()}"


class Guesses:
    """Wrong guesses of addresses under the policy `kind`. Refused ones are known in this process.

    So a guess too many costs nothing but the look at a dictionary.
    """

    def __init__(self, kind: str) -> None:
        self._kind, self._refused = kind, Refused()

    def forget(self) -> None:
        self._refused = Refused()

    def refusal(self, address: str) -> Standing | None:
        """Why this address may not guess now; None when it may."""
        policy: Policy | None = getattr(quotas, self._kind)
        seconds = self._refused.seconds(network(address)) if policy else 0
        return Standing(policy, -1, seconds) if policy and seconds else None

    def count(self, address: str) -> Standing | None:
        """Counts a wrong guess; why it was one too many, else None."""
        policy: Policy | None = getattr(quotas, self._kind)
        standing = quotas.use(policy, network(address)) if policy else None
        if standing is None:
            return None
        if standing.left < 1:
            self._refused.add(network(address), standing.seconds)
        return standing if standing.refused else None


quotas = Quotas()
wrong_keys, wrong_codes = Guesses("wrong_keys"), Guesses("wrong_codes")
