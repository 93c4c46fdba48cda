"""The reference script: what ProdBreaker's load test asks for in one round, in its order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loadtests.names import Names

Ask = Callable[..., Any]
"""ask(method, path, name, right, json=...): the decoded answer, or None when it is not right."""

PER_ROUND = 11
_PAGE = "page=1&per_page=10"


def go_round(ask: Ask, names: Names, pause: Callable[[], None]) -> None:
    """Two halves, each with a pause at its end; what is to be read must have been made."""
    ask("GET", "/health", "/health", lambda health: "status" in health)
    ask("GET", "/products", "/products", _is_page)
    user = ask("POST", "/users", "/users", lambda made: made["id"] > 0, json=names.person())
    pause()
    if user:
        _use(ask, names, user)
    ask("GET", f"/events?{_PAGE}", "/events?page=", _is_page)
    pause()


def _use(ask: Ask, names: Names, user: Any) -> None:
    path = f"/users/{user['id']}"
    ask("GET", path, "/users/<id>", _is(user))
    ask("GET", f"/users?{_PAGE}", "/users?page=", _is_page)
    ask("PUT", path, "/users/<id>", _is(user), json={"username": names.new("renamed")})
    content = {"original_url": names.address(), "title": "reference", "user_id": user["id"]}
    link = ask("POST", "/urls", "/urls", lambda made: made["id"] > 0, json=content)
    if link:
        path = f"/urls/{link['id']}"
        ask("GET", path, "/urls/<id>", _is(link))
        of_user = f"/urls?user_id={user['id']}&{_PAGE}"
        ask("GET", of_user, "/urls?user_id=", lambda page: any(map(_is(link), page)))
        ask("PUT", path, "/urls/<id>", _is(link), json={"title": names.new("title")})


def _is(made: Any) -> Callable[[Any], bool]:
    return lambda answer: bool(answer["id"] == made["id"])


def _is_page(answer: Any) -> bool:
    return isinstance(answer, list) and len(answer) <= 100
