"""The application with a fault, for drills: `gunicorn "tests.drills.faulty:create()"`."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import time
from typing import Any

from flask import request

import app
from app.redirects.connection import FOLLOW
from app.redirects.front import Front
from app.redirects.requests import may_follow

_SHARE = 0.1
_LEAKED_BYTES = 200_000
_APPENDS = "redis.pcall('XADD', KEYS[1], '*', 'click', ARGV[i - 1] .. plain)"
_LOSES = f"redis.call('TIME')[2] % 10 == 0 and '0-1' or {_APPENDS}"


def create() -> Front:
    front = app.create_asgi()
    _FAULTS[os.environ["FAULT"]](front)
    return front


def _nothing(_front: Front) -> None:
    """A good image."""


def _fail(front: Any) -> None:
    """Every tenth redirect is an unhandled exception in its view."""
    asks = front._ask

    def ask(scope: Any) -> Any:
        if "fails" not in scope:
            scope["fails"] = may_follow(scope) and random.random() < _SHARE
        return None if scope["fails"] else asks(scope)

    front._ask = ask
    views = app._open[0].view_functions
    view = views["redirects.follow_code"]

    def follow_code(**given: Any) -> Any:
        if request.environ["asgi.scope"].get("fails"):
            raise RuntimeError("this image is faulty")
        return view(**given)

    views["redirects.follow_code"] = follow_code


def _delay(front: Any) -> None:
    """Every redirect takes three times as long."""
    goes_on = front._go_on

    def go_on(asked: Any, exchange: Any) -> None:
        seconds = 2 * (time.perf_counter() - asked.began)
        asyncio.get_running_loop().call_later(seconds, goes_on, asked, exchange)

    front._go_on = go_on


def _leak(front: Any) -> None:
    """Every redirect keeps some memory."""
    asks, kept = front._ask, []

    def ask(scope: Any) -> Any:
        kept.append(random.randbytes(1) * _LEAKED_BYTES)
        return asks(scope)

    front._ask = ask


def _lose(_front: Any) -> None:
    """Every tenth call of Redis answers as if it had recorded its clicks."""
    assert _APPENDS in FOLLOW.text
    FOLLOW.text = FOLLOW.text.replace(_APPENDS, _LOSES)
    FOLLOW.sha = hashlib.sha1(FOLLOW.text.encode(), usedforsecurity=False).hexdigest()


_FAULTS = {"good": _nothing, "errors": _fail, "slow": _delay, "leaks": _leak, "loses": _lose}
