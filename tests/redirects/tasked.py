"""The application that Gunicorn serves; each answer that had a task of its own says so."""

from __future__ import annotations

from typing import Any

from app import create_asgi
from app.asgi import Message, Receive, Scope, Send
from app.redirects.front import Front

HEADER = b"x-task"


class Tasked:
    """The front; what it answers by `begin` has no such header."""

    def __init__(self, front: Front) -> None:
        self._front, self.begin = front, front.begin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (HEADER, b"1")]
            await send(message)

        await self._front(scope, receive, tell)


def create() -> Any:
    return Tasked(create_asgi())
