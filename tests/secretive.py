"""Requests of every kind, with secrets wherever a client may put one."""

from __future__ import annotations

import base64
import json
import secrets
import socket

from testkit.servers import HANGS_SECONDS
from tests.front_door import Door, ask

VISITOR = "198.51.100.77"
JSON = {"Content-Type": "application/json"}


class Secrets(dict[str, str]):
    """By where each was sent. Letters and digits only, so that no escape hides one."""

    def __missing__(self, place: str) -> str:
        self[place] = f"hemlig{len(self):02}x{secrets.token_hex(8)}"
        return self[place]


def identities(key: str, secret: Secrets) -> list[dict[str, str]]:
    """How somebody may say who it is: with `key`, a wrong one or a password."""
    basic = base64.b64encode(f"ada:{secret['password']}".encode()).decode()
    return [
        {"Authorization": f"Bearer {key}"},
        {"X-API-Key": key},
        {"Authorization": f"Bearer holdfast_{secret['bearer']}", "Cookie": secret["cookie"]},
        {"X-API-Key": secret["key"], "X-Chaos-Token": secret["token"]},
        {"Authorization": f"Basic {basic}", "Proxy-Authorization": f"Basic {basic}"},
    ]


def said_by_all(secret: Secrets) -> dict[str, str]:
    return {
        "X-Request-ID": f"not sane: {secret['id']}",
        "If-Match": f'"{secret["tag"]}"',
        "Prefer": f"x={secret['preference']}",
        "X-Forwarded-For": VISITOR,
        "Referer": f"https://a.example/?x={secret['referrer']}",
        "Origin": f"https://{secret['origin']}",
        "Accept": f"text/plain;x={secret['accept']}, */*",
    }


def send_reads(door: Door, code: str, secret: Secrets, **said: str) -> set[int]:
    query = f"?token={secret['query']}&utm_medium={secret['query']}"
    paths = [
        f"/{code}",
        f"/{code}",
        "/nobody",
        f"/{code}+",
        f"/{code}.qr",
        f"/urls/{code}/redirect",
    ]
    paths += ["/users", "/users/99", "/no/such", "/chaos", "/%00", "/events", "/health/ready"]
    found = {ask(door, "GET", path + query, **said)[0] for path in paths}
    searched = f"/logs?filter={secret['filter']}&level={secret['filter']}"
    return found | {ask(door, "GET", searched, **said)[0]}


def send_writes(door: Door, secret: Secrets, **said: str) -> set[int]:
    """Bodies that are refused, and one link, twice."""
    unknown = json.dumps({"username": 1, "password": secret["body"]}).encode()
    bodies = [
        (unknown, "application/json"),
        (unknown[:-1], "application/json"),
        (f'"{secret["body"]}"'.encode(), "application/json"),
        (f"password={secret['body']}".encode(), "application/x-www-form-urlencoded"),
        (f"{secret['body']} ".encode() * 5000, "application/json"),
    ]
    found = set()
    for path in ("/users", "/urls", "/shorten", "/events", "/users/bulk"):
        for body, kind in bodies:
            headers = {**said, "Content-Type": kind}
            found.add(ask(door, "POST", f"{path}?x={secret['query']}", body, **headers)[0])
    link = json.dumps({"url": f"https://u:{secret['destination']}@a.example/"}).encode()
    headers = {**said, **JSON, "Idempotency-Key": secret["idempotency"]}
    found |= {ask(door, "POST", "/shorten", link, **headers)[0] for _ in range(2)}
    return found | {ask(door, "PUT", f"/urls/1?{secret['query']}", unknown, **said, **JSON)[0]}


def send_broken(door: Door, secret: Secrets) -> None:
    """What no client would send."""
    word = secret["broken"].encode()
    for request in (
        b"GET http://ada:%b@a.example/users?x=%b HTTP/1.1\r\nHost: a\r\n" % (word, word),
        b"GET /users?%b x HTTP/1.1\r\nHost: a\r\n" % word,
        b"GET /users?%b HTTP/1.1\r\nAuthorization Bearer %b\r\n" % (word, word),
        b"%b\xff\x00 / HTTP/1.1\r\n" % word,
        b"GET /users?%b HTTP/9.9\r\nHost: a\r\n" % word,
        b"GET /?%b HTTP/1.1\r\nHost: a\r\n" % (word * 500),
        b"GET / HTTP/1.1\r\nHost: a\r\nX-API-Key: %b\r\n" % (word * 2000),
        b"GET / HTTP/1.1\r\nHost: %b:%b\r\n" % (word, word),
        b"TRACE /?%b HTTP/1.1\r\nHost: a\r\n" % word,
    ):
        end = b"X-Forwarded-For: %b\r\nConnection: close\r\n\r\n" % VISITOR.encode()
        with socket.create_connection(door, HANGS_SECONDS) as connection:
            connection.sendall(request + end)
            while connection.recv(65_536):
                pass
