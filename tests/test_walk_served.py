"""Every route, for each AUTH, through a real server with its front, and through Nginx before it."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from flask import Flask

from testkit.servers import HANGS_SECONDS, Redis
from testkit.webserver import WebServer
from tests.conftest import Api
from tests.front_door import FrontDoor, Replica
from tests.walking import Ask, Reply, make_keys, one_of_everything, walk

pytestmark = pytest.mark.services


@contextmanager
def asking(host: str, port: int) -> Iterator[Ask]:
    """Requests on one connection."""
    with closing(http.client.HTTPConnection(host, port, timeout=HANGS_SECONDS)) as connection:

        def ask(method: str, target: str, headers: dict[str, str]) -> Reply:
            has_body = method in ("POST", "PUT", "PATCH")
            more = {"Content-Type": "application/json"} if has_body else {}
            connection.request(method, target, "{}" if has_body else None, {**headers, **more})
            response = connection.getresponse()
            text = response.read().decode(errors="replace")  # the icon is none
            return Reply(response.status, response.headers, text)

        yield ask


class Replicated(WebServer):
    """Where Nginx expects a replica."""

    def __init__(self, folder: Path, host: str, **settings: str) -> None:
        super().__init__(folder, APP_HOST=host, APP_PORT="8000", **settings)
        self.host, self.port = host, 8000


@pytest.mark.parametrize("auth", ["on", "create"])
@pytest.mark.parametrize("way", ["the server", "Nginx"])
def test_no_route_answers_whom_it_should_not(
    app: Flask,
    bound: Callable[..., Api],
    redis_server: Redis,
    tmp_path: Path,
    auth: str,
    way: str,
) -> None:
    api = bound(database_url=f"sqlite:///{tmp_path}/holdfast.db", redis_url=redis_server.url)
    names = one_of_everything(api)
    keys = make_keys(api.user("stranger")["id"])
    settings = {"AUTH": auth, "REDIS_URL": redis_server.url, "LIMITS": "off"}
    place = Replica(1, None)
    if way == "the server":
        with WebServer(tmp_path, **settings) as server, asking(server.host, server.port) as ask:
            assert walk(app, ask, names, keys, auth) > 60
        return
    with Replicated(tmp_path, place.address, TRUSTED_PROXIES="1", **settings):
        nginx = FrontDoor(place)
        try:
            nginx.start()
            with asking("127.0.0.1", nginx.port) as ask:
                assert walk(app, ask, names, keys, auth) > 60
        finally:
            nginx.destroy()
