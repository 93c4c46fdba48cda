"""A stretch of network on loopback that can be cut: what is sent over it waits, unanswered."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from testkit.machine import free_port

_CHUNK = 65_536


class Relay:
    """Carries the connections to its `port` on to `target`, also on loopback, unless it is cut."""

    def __init__(self, target: int) -> None:
        self.port, self.target = free_port(), target
        self._tasks: set[asyncio.Task[None]] = set()
        _run(self._open())

    def cut(self) -> None:
        """Carries nothing; connections stay open, and new ones are accepted."""
        _loop.call_soon_threadsafe(self._whole.clear)

    def mend(self) -> None:
        """What waited goes on, as after a network came back."""
        _loop.call_soon_threadsafe(self._whole.set)

    def destroy(self) -> None:
        _run(self._close())

    async def _open(self) -> None:
        self._whole = asyncio.Event()
        self._whole.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _close(self) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            await self._whole.wait()
            there, here = await asyncio.open_connection("127.0.0.1", self.target)
            try:
                ways = [self._copy(reader, here), self._copy(there, writer)]
                done, others = await asyncio.wait(
                    map(asyncio.ensure_future, ways), return_when=asyncio.FIRST_COMPLETED
                )
                for other in others:
                    other.cancel()
                await asyncio.gather(*done, *others, return_exceptions=True)
            finally:
                here.close()
        writer.close()

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(_CHUNK):
            await self._whole.wait()
            sink.write(data)
            await sink.drain()
        await self._whole.wait()  # nor does the end of a connection arrive


def _run(work: Any) -> None:
    future: Future[None] = asyncio.run_coroutine_threadsafe(work, _loop)
    future.result(10)


_loop = asyncio.new_event_loop()
threading.Thread(target=_loop.run_forever, name="relays", daemon=True).start()
