"""Nginx that answers every request with a constant: the limit of the load generator."""

from __future__ import annotations

import json
from contextlib import ExitStack

from testkit.floors import LOCATION
from testkit.stack import Stack

_URL = {
    "id": 1,
    "user_id": 1,
    "short_code": "abc123",
    "original_url": LOCATION,
    "title": "under load",
    "is_active": True,
    "click_count": 1,
}
_USER = {
    "id": 1,
    "username": "load",
    "email": "load@example.com",
    "created_at": "2026-01-01T00:00:00",
}
_EVENT = {
    "id": 1,
    "url_id": 1,
    "user_id": 1,
    "event_type": "shared",
    "timestamp": "2026-01-01T00:00:00",
    "details": {},
}
_PRODUCT = {
    "id": 1,
    "name": "Sticker Sheet",
    "category": "merchandise",
    "price": "4.50",
    "stock": 320,
}
_NOUNS: dict[str, object] = {"/urls": _URL, "/users": _USER, "/events": _EVENT}


def _answer(content: object, status: int = 200) -> str:
    return f"return {status} '{json.dumps(content)}';"


def _at(where: str, what: str) -> str:
    return (
        f"location {where} {{ default_type application/json; add_header X-Cache HIT always;"
        f" {what} }}"
    )


_EVERYWHERE = "\n".join(
    (
        *(
            _at(
                f"= {path}",
                f"if ($request_method = POST) {{ {_answer(one, 201)} }} {_answer([one] * 10)}",
            )
            for path, one in _NOUNS.items()
        ),
        *(_at(f"{path}/", _answer(one)) for path, one in _NOUNS.items()),
        _at("/unknown", _answer({"error": "Not Found"}, 404)),
        _at("= /health", _answer({"status": "ok"})),
        _at("= /products", _answer([_PRODUCT] * 20)),
        _at("~ ^/urls/.*/stats$", _answer({"url": _URL, "redirect_count": 1})),
        _at("~ ^/(urls|users)/.*/(urls|events)$", _answer([_EVENT] * 10)),
        _at("~ ^/urls/.*/redirect$", _answer({"error": "Gone"}, 410)),
    )
)


def answers(cleanup: ExitStack) -> Stack:
    stack = Stack(cleanup)
    stack.nginx(f"add_header X-Cache HIT always; return 302 {LOCATION};", _EVERYWHERE)
    return stack
