"""Walks every route with keys of every kind, and says what each answer must be.

What is expected comes from the scope that the endpoint declares. `ask` sends a request to the
application, in process or through servers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from flask import Flask

from app.database import now
from app.models import ApiKey, Audit
from app.services import audit
from app.services.keysecrets import new_secret
from tests.conftest import Api

SCOPES_OF_KEYS = ("create", "read", "write", "admin")
MAY = {
    "public": SCOPES_OF_KEYS,
    "create": ("create", "write", "admin"),
    "see": SCOPES_OF_KEYS,
    "read": ("read", "write", "admin"),
    "write": ("write", "admin"),
    "admin": ("admin",),
}
UNKNOWN = 999_999_999
KEYLESS = ("POST /urls", "POST /shorten", "POST /urls/new")
"""What AUTH=create lets anyone do."""


class Reply(NamedTuple):
    status: int
    headers: Any
    text: str


Ask = Callable[[str, str, dict[str, str]], Reply]
"""Sends a request of this method, to this target, with these headers; a body of `{}` if any."""


class Endpoint(NamedTuple):
    method: str
    rule: str
    scope: str
    is_page: bool

    def target(self, names: dict[str, Any]) -> str:
        """Its path, by the names of its parameters, and what its query must have."""
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(names[found[1]]), self.rule)
        return f"{path}?version=1" if path.endswith("/restore") else path

    @property
    def has_id(self) -> bool:
        return "<" in self.rule

    @property
    def name(self) -> str:
        return f"{self.method} {self.rule}"


def endpoints(app: Flask) -> Iterator[Endpoint]:
    """Every rule of the URL map with each of its methods."""
    for rule in app.url_map.iter_rules():
        declared = app.view_functions[rule.endpoint].declaration
        for method in sorted(rule.methods or ()):
            yield Endpoint(method, rule.rule, declared.scope, declared.hidden)


def secret_of(scope: str, **columns: Any) -> str:
    """The secret of a new API key."""
    secret = new_secret()
    ApiKey.create(name=f"{scope} {secret.text[-9:]}", scope=scope, hash=secret.hash, **columns)
    return secret.text


def old_secret(until: datetime) -> str:
    """The secret that a key had before its rotation, and that worked until then."""
    old = new_secret()
    secret_of("admin", old_hash=old.hash, old_until=until)
    return old.text


class Keys(NamedTuple):
    """Secrets: of each scope, of none that is valid, and of keys bound to another user."""

    good: dict[str, str]
    bad: dict[str, str]
    foreign: dict[str, str]


def make_keys(other_user: int) -> Keys:
    past = now() - timedelta(seconds=1)
    return Keys(
        good={scope: secret_of(scope) for scope in SCOPES_OF_KEYS},
        bad={
            "wrong": new_secret().text,
            "a wrong checksum": "holdfast_" + "0" * 49,
            "no key at all": "Zm9vOmJhcg==",
            "revoked": secret_of("admin", revoked_at=past),
            "expired": secret_of("admin", expires_at=past),
            "rotated long ago": old_secret(past),
        },
        foreign={scope: secret_of(scope, user_id=other_user) for scope in SCOPES_OF_KEYS},
    )


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def is_refused(reply: Reply) -> bool:
    """By the gate: an endpoint's own 401, for a wrong token, has no challenge."""
    return reply.status in (401, 403) and "WWW-Authenticate" in reply.headers


def must_refuse_strangers(ask: Ask, endpoint: Endpoint, target: str, keys: Keys, auth: str) -> None:
    """Without a key and with each bad one."""
    reply = ask(endpoint.method, target, {})
    free = endpoint.scope == "public" or endpoint.method == "OPTIONS"
    if free or (auth == "create" and endpoint.name in KEYLESS):
        assert not is_refused(reply), (endpoint, target, reply)
    else:
        _must_be_unauthorized(reply, endpoint, 'Bearer realm="Holdfast"')
    shown = [bearer(secret) for secret in keys.bad.values()]
    for headers in (*shown, {"X-API-Key": keys.bad["revoked"]}):
        reply = ask(endpoint.method, target, headers)
        if free:
            assert not is_refused(reply), (endpoint, target, headers, reply)
        else:
            wanted = 'Bearer realm="Holdfast", error="invalid_token"'
            _must_be_unauthorized(reply, endpoint, wanted)


def _must_be_unauthorized(reply: Reply, endpoint: Endpoint, challenge: str) -> None:
    assert (reply.status, reply.headers.get("WWW-Authenticate")) == (401, challenge), (
        endpoint,
        reply,
    )
    said = 'action="/keys/session"' if endpoint.is_page else '"status": 401'
    assert said in reply.text or endpoint.method == "HEAD"


def must_refuse_small_keys(ask: Ask, endpoint: Endpoint, target: str, keys: Keys) -> None:
    free = endpoint.method == "OPTIONS"
    for scope in SCOPES_OF_KEYS:
        if not free and scope not in MAY[endpoint.scope]:
            for headers in (bearer(keys.foreign[scope]), {"X-API-Key": keys.good[scope]}):
                reply = ask(endpoint.method, target, headers)
                assert reply.status == 403, (endpoint, target, scope, reply)
                assert "insufficient_scope" in reply.headers["WWW-Authenticate"]


def must_hide(
    ask: Ask, endpoint: Endpoint, names: dict[str, Any], keys: Keys, signs: tuple[str, ...]
) -> None:
    """Keys that are bound to another user: a hit must look like a miss, and a list tell nothing."""
    if endpoint.scope == "public" or endpoint.method == "OPTIONS":
        return
    misses = _misses(names)
    for scope in MAY[endpoint.scope]:
        hit = ask(endpoint.method, endpoint.target(names), bearer(keys.foreign[scope]))
        assert not any(sign in hit.text for sign in signs), (endpoint, scope, hit)
        if endpoint.has_id:
            miss = ask(endpoint.method, endpoint.target(misses), bearer(keys.foreign[scope]))
            assert _shape(hit) == _shape(miss), (endpoint, scope, hit, miss)
            assert hit.status in (403, 404), (endpoint, scope, hit)


def _misses(names: dict[str, Any]) -> dict[str, Any]:
    return {name: UNKNOWN if isinstance(names[name], int) else "no-such-code" for name in names}


def _shape(reply: Reply) -> tuple[int, str]:
    """What is alike in the answers about two ids."""
    text = re.sub(r'"request_id": "[^"]*"|request [\w.:-]+', "", reply.text)
    return reply.status, re.sub(r"\d{1,9}", "0", text)


def must_admit(ask: Ask, endpoint: Endpoint, target: str, keys: Keys) -> None:
    for scope in MAY[endpoint.scope]:
        reply = ask(endpoint.method, target, bearer(keys.good[scope]))
        assert not is_refused(reply), (endpoint, target, scope, reply)
        assert reply.status != 500, (endpoint, target, scope, reply)


def walk(app: Flask, ask: Ask, names: dict[str, Any], keys: Keys, auth: str) -> int:
    """Every route with every key, on a hit and on a miss; returns how many routes there are.

    `names` are of rows that belong to a user of whom the foreign keys must learn nothing.
    """
    misses = _misses(names)
    all_of_them = list(endpoints(app))
    assert ask("GET", f"/{names['short_code']}", bearer(keys.bad["wrong"])).status == 302
    for endpoint in all_of_them:
        for target in {endpoint.target(names), endpoint.target(misses)}:
            must_refuse_strangers(ask, endpoint, target, keys, auth)
            must_refuse_small_keys(ask, endpoint, target, keys)
    for endpoint in all_of_them:
        must_hide(ask, endpoint, names, keys, ("example.org/secret", "owner@example.com"))
    for endpoint in sorted(all_of_them, key=lambda each: each.method == "DELETE"):
        for target in (endpoint.target(misses), endpoint.target(names)):
            must_admit(ask, endpoint, target, keys)
    return len(all_of_them)


def one_of_everything(api: Api) -> dict[str, Any]:
    """By the names of parameters: rows of a user of whom no other may learn."""
    owner = api.user("owner")["id"]
    url = api.url("https://example.org/secret", user_id=owner)
    event = api.event(url_id=url["id"], details={"to": "https://example.org/secret"})["id"]
    api.follow(url)
    key = ApiKey.create(name="owner@example.com", scope="read", hash=new_secret().hash).id
    audit.note("import", "import", None, None, {"urls": 1, "url_ids": [[url["id"], url["id"]]]})
    imported = Audit.select().order_by(Audit.id.desc()).get().id
    ids = {"user_id": owner, "url_id": url["id"], "event_id": event, "key_id": key}
    ids["import_id"] = imported
    return {**ids, "short_code": url["short_code"], "name": "style.css", "noun": "urls"}
