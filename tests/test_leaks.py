"""Secrets are sent everywhere, to real servers; then nothing that is kept or shown has them."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2 import sql

from app.services.keysecrets import new_secret
from testkit.servers import ClickWorker, Postgres, Redis, wait_for
from tests.conftest import pause_over
from tests.front_door import FrontDoor, ReplicaApp, ask
from tests.secretive import (
    JSON,
    VISITOR,
    Secrets,
    identities,
    said_by_all,
    send_broken,
    send_reads,
    send_writes,
)

pytestmark = pytest.mark.services

NETWORK = "198.51.100.0"
CHAOS_TOKEN = "hemlig-token-of-chaos"


class Stack:
    """Nginx, a replica, a worker, PostgreSQL and Redis; `key` is a real one for admins."""

    def __init__(self, cleanup: ExitStack, auth: str) -> None:
        self.postgres, self.redis = Postgres(), Redis()
        _start(cleanup, self.postgres, self.redis)
        stores = {"DATABASE_URL": self.postgres.url, "REDIS_URL": self.redis.url}
        told = {**stores, "LOG_LEVEL": "DEBUG", "CHAOS_TOKEN": CHAOS_TOKEN, "AUTH": auth}
        told |= dict.fromkeys(_LIMITS, "0")
        self.app, self.worker = ReplicaApp(**told, TRUSTED_PROXIES="1"), ClickWorker(**told)
        _start(cleanup, self.app, self.worker)
        trusted = {"TRUSTED_PROXY_CIDR": "127.0.0.0/8", "AUTH": auth}
        self.nginx = FrontDoor(APP_SERVERS=self.app.host, **trusted)
        _start(cleanup, self.nginx)
        self.replica = self.app.host, self.app.port
        self.doors = [("127.0.0.1", self.nginx.port), self.replica]
        self.key = self._make_key()

    def _make_key(self) -> str:
        secret = new_secret()
        self.query(
            "INSERT INTO api_keys (name, scope, hash, created_at) VALUES ('a', 'admin', %s, now())",
            secret.hash,
        )
        return secret.text

    def query(self, statement: Any, *values: str) -> list[str]:
        """The first column of what is found."""
        url = self.postgres.url.replace("+pool", "")
        with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as on:
            on.execute(statement, values)
            return [row[0] for row in on.fetchall()] if on.description else []

    def kept(self) -> dict[str, str]:
        """All that is stored, written or shown, by where."""
        files = [each.folder / name for each in (self.app, self.worker) for name in _LOGS]
        opened = {"Authorization": f"Bearer {self.key}"}
        return {
            "log": "".join(file.read_text() for file in files),
            "GET /logs": ask(self.replica, "GET", "/logs?lines=1000", **opened)[1],
            "metrics": ask(self.replica, "GET", "/metrics", **opened)[1],
            "nginx": (self.nginx.folder / "nginx.log").read_text(),
            "redis": self._redis_has(),
            "database": self._database_has(),
        }

    def _redis_has(self) -> str:
        """Every write that it ever got is in its append-only file."""
        files = sorted(Path(self.redis.folder).glob("appendonlydir/*"))
        assert files
        return "".join(file.read_bytes().decode("latin-1") for file in files)

    def _database_has(self) -> str:
        tables = self.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        assert {"urls", "events", "api_keys", "idempotency_keys"} <= set(tables)
        all_of = sql.SQL("SELECT to_jsonb(t)::text FROM {} AS t")
        return "\n".join(
            row for table in tables for row in self.query(all_of.format(sql.Identifier(table)))
        )


_LOGS = ("log", "holdfast.log")
_LIMITS = ("LIMIT_WRITES", "LIMIT_IMPORTS", "LIMIT_WRONG_KEYS", "LIMIT_WRONG_CODES")


def _start(cleanup: ExitStack, *servers: Any) -> None:
    for server in servers:
        cleanup.callback(server.destroy)
        server.start()


@pytest.fixture(params=["off", "on"])
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    with ExitStack() as cleanup:
        yield Stack(cleanup, request.param)


# The destination is the link. A key of idempotency names an answer that is stored for a day. A
# referrer belongs to its click.
MAY_BE = {
    "destination": {"database", "redis"},
    "idempotency": {"database"},
    "referrer": {"database", "redis"},
}


def leaks(stack: Stack, secret: Secrets) -> list[tuple[str, str]]:
    """What is kept although it may not be, and where."""
    secret.update(visitor=VISITOR, chaos=CHAOS_TOKEN, admin=stack.key)
    coded = base64.b64encode(f"ada:{secret['password']}".encode()).decode()
    values = [*secret.items(), ("password", coded)]
    return [
        (place, where)
        for where, text in stack.kept().items()
        for place, value in values
        if value in text and where not in MAY_BE.get(place, ())
    ]


def test_no_secret_is_kept_where_it_does_not_belong(stack: Stack) -> None:
    secret = Secrets()
    link = json.dumps({"url": "https://example.com/"}).encode()
    opened = {**JSON, "Authorization": f"Bearer {stack.key}"}
    code = json.loads(ask(stack.replica, "POST", "/shorten", link, **opened)[1])["short_code"]
    said, found = said_by_all(secret), set()
    for door in stack.doors:
        for who in identities(stack.key, secret):
            found |= send_reads(door, code, secret, **said, **who)
            found |= send_writes(door, secret, **said, **who)
        send_broken(door, secret)
    make_keys(stack, secret)
    assert {200, 201, 302, 400, 401, 404, 413} <= found
    assert not {429, 500} & found
    send_during_outages(stack, secret, said)
    kept = stack.kept()
    for where in ("destination", "referrer"):
        assert [secret[where] in kept[place] for place in MAY_BE[where]] == [True, True], "not sent"
    assert NETWORK in kept["database"]
    assert NETWORK in kept["nginx"]
    assert leaks(stack, secret) == []


def make_keys(stack: Stack, secret: Secrets) -> None:
    """Over HTTP and by a command. An answer with a secret is not kept for repetition."""
    opened = {**JSON, "Authorization": f"Bearer {stack.key}"}
    nginx, replica = stack.doors
    body = json.dumps({"name": "b", "scope": "read"}).encode()
    assert ask(nginx, "POST", "/keys", body, **opened, **{"Idempotency-Key": "k"})[0] == 400
    made = json.loads(ask(nginx, "POST", "/keys", body, **opened)[1])
    rotated = json.loads(ask(replica, "POST", f"/keys/{made['id']}/rotate", **opened)[1])
    secret.update(made=made["key"], rotated=rotated["key"])
    command = [
        *stack.app.command()[:2],
        *["app", "keys", "create", "by-command", "--scope", "read"],
    ]
    options = stack.app.options()
    done = subprocess.run(command, check=True, capture_output=True, text=True, **options)
    (secret["by command"],) = re.findall(r"holdfast_\w{49}", done.stdout)


def send_during_outages(stack: Stack, secret: Secrets, said: dict[str, str]) -> None:
    path, opened = f"/users?x={secret['outage']}", {"Authorization": f"Bearer {stack.key}"}
    stack.postgres.stop()
    assert {ask(door, "GET", path, **said, **opened)[0] for door in stack.doors} == {503}
    stack.postgres.start()
    stack.redis.kill()
    pause_over()
    assert ask(stack.doors[0], "GET", f"/nobody?x={secret['outage']}", **said)[0] == 404
    stack.redis.start()
    wait_for(lambda: ask(stack.replica, "GET", "/health/ready")[0] == 200, what="readiness")


def test_nginx_keeps_no_secret_where_it_fails_itself(stack: Stack) -> None:
    secret, log = Secrets(), stack.nginx.folder / "nginx.log"
    stack.app.kill()
    said = said_by_all(secret)
    for who in identities(stack.key, secret):
        path = f"/users?x={secret['query']}"
        assert ask(stack.doors[0], "POST", path, b"x" * 20_000, **said, **who)[0] in (502, 504)
    wait_for(lambda: '"uri":"/users","status":50' in log.read_text(), what="the log")
    text = log.read_text()
    values = {*secret.values(), VISITOR, stack.key}
    assert [value for value in values if value in text] == []
