"""The front says to other websites what Flask says: CORS_ORIGINS."""

from __future__ import annotations

from pathlib import Path

import pytest

from testkit.servers import Redis
from testkit.webserver import Reply, WebServer
from tests.routes.test_origins import CORS, HERE, THERE

pytestmark = pytest.mark.services

ONE = {"WEB_WORKERS": "1"}


@pytest.mark.parametrize("status", [302, 301])
def test_the_front_says_what_flask_says(tmp_path: Path, redis_server: Redis, status: int) -> None:
    """A browser keeps a 301 that another site, or none, asked for."""
    origins = f"{HERE}, http://localhost:3000"
    with WebServer(tmp_path, **ONE, REDIS_URL=redis_server.url, CORS_ORIGINS=origins) as server:
        code = new_code(server, status)
        for path, expected in ((f"/{code}", status), ("/nobody", 404)):
            plain = server.get(path)
            cross = server.get(path, headers={"Origin": HERE})
            foreign = server.get(path, headers={"Origin": THERE})
            assert {plain.status, cross.status, foreign.status} == {expected}
            assert cross.headers[f"{CORS}Allow-Origin"] == HERE
            for other in (plain, foreign):
                assert not any(name.startswith(CORS) for name, _ in other.headers)
            for each in (plain, cross, foreign):
                assert "Origin" in ", ".join(each.headers.getlist("Vary"))
            by_flask = server.get(f"/urls{path}/redirect", headers={"Origin": HERE})
            assert cors_of(cross) == cors_of(by_flask)
        assert server.get("/urls/1").json()["click_count"] == 4
        problem = server.get("/nobody", headers={"Accept": "application/problem+json"})
        assert problem.headers["Content-Type"] == "application/problem+json"


def test_the_front_allows_every_site_with_a_star(tmp_path: Path, redis_server: Redis) -> None:
    with WebServer(tmp_path, **ONE, REDIS_URL=redis_server.url, CORS_ORIGINS="*") as server:
        code = new_code(server, 301)
        for headers in ({}, {"Origin": THERE}):
            answer = server.get(f"/{code}", headers=headers)
            assert (answer.status, answer.headers[f"{CORS}Allow-Origin"]) == (301, "*")
            assert "Vary" not in answer.headers


def new_code(server: WebServer, status: int) -> str:
    server.get("/nobody")  # opens the front's connection; Flask answers those before
    body = {"original_url": "https://example.com/", "redirect_status": status}
    return str(server.get("/urls", "POST", body=body).json()["short_code"])


def cors_of(reply: Reply) -> set[tuple[str, str]]:
    return {each for each in reply.headers if each[0].startswith(CORS)}
