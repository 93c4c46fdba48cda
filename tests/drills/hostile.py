"""Drills on hostile clients: 500 slow ones, many bodies of 10 MB at once, invalid files."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.drills.drill import Drill, Ground
from tests.stack.compose import REPLICAS, Stack, docker, fetch
from tests.stack.pace import wait_for
from tests.stack.report import require

_SLOW_CLIENTS = 500
_SLOW_SECONDS = 25
_MOST_HEADER_SECONDS = 15  # nginx.conf, client_header_timeout
_HEADERS = (
    b"POST /shorten HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length:"
    b" 1000\r\n\r\n"
)

_AT_ONCE = 20
_LARGEST_JSON = 64 * 2**10
_LARGEST_FILE = 10 * 2**20


# ---- one byte per second ----


class SlowClients:
    """Half of them are slow to send their headers, the others to send the body.

    One thread is enough for all.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.open = self.most = 0
        self.cut_off: list[float] = []
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()))

    def __enter__(self) -> SlowClients:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._thread.join()

    async def _all(self) -> None:
        await asyncio.gather(*(self._one(number) for number in range(_SLOW_CLIENTS)))

    async def _one(self, number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.open += 1
        self.most = max(self.most, self.open)
        began = asyncio.get_running_loop().time()
        slow_body = number % 2
        try:
            writer.write(_HEADERS if slow_body else b"")
            for byte in b"{" * _SLOW_SECONDS if slow_body else _HEADERS[:_SLOW_SECONDS]:
                writer.write(bytes((byte,)))
                if await self._ended(reader):
                    self.cut_off.append(asyncio.get_running_loop().time() - began)
                    break
        finally:
            self.open -= 1
            writer.close()

    async def _ended(self, reader: asyncio.StreamReader) -> bool:
        """Whether the server hangs up within the second until the next byte."""
        try:
            return await asyncio.wait_for(reader.read(1000), 1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True


def _slow_clients(ground: Ground) -> None:
    with (
        ground.strike("slow-clients") as hit,
        hit.fault(),
        SlowClients(ground.stack.ports["APP_PORT"]) as slow,
    ):
        wait_for(lambda: slow.most == _SLOW_CLIENTS, what=f"{_SLOW_CLIENTS} open connections")
        wait_for(lambda: slow.open == 0, _SLOW_SECONDS + 15, "the end of the slow clients")
    require(
        len(slow.cut_off) >= _SLOW_CLIENTS / 2,
        f"{len(slow.cut_off)} of those that never end their headers were cut off",
    )
    require(
        min(slow.cut_off) > _MOST_HEADER_SECONDS - 2,
        f"a slow client was cut off after {min(slow.cut_off):.1f} s",
    )


# ---- large bodies ----


def _large_bodies(ground: Ground) -> None:
    """Nginx refuses those that are too large.

    The others reach the replicas, and nothing good is in them.
    """
    before = oom_kills(ground.stack)
    with ground.strike("large-bodies") as hit, ThreadPoolExecutor(_AT_ONCE) as senders, hit.fault():
        for size, status in ((_LARGEST_FILE, 413), (_LARGEST_JSON + 1, 413), (_LARGEST_JSON, 400)):
            for answer in senders.map(lambda size: _send(ground.stack, size), [size] * _AT_ONCE):
                _require_refused(answer, status)
        file = b"x" * (_LARGEST_FILE - 1000)
        for answer in senders.map(lambda _: upload(ground.stack, file), range(_AT_ONCE)):
            _require_refused(answer, 400)
    killed = {
        service: now - before[service]
        for service, now in oom_kills(ground.stack).items()
        if now > before[service]
    }
    require(not killed, f"processes that were out of memory: {killed}")


def _require_refused(answer: tuple[int, bytes, Any], status: int) -> None:
    """As the contract has it."""
    found, body, headers = answer
    require(found == status, f"{found}, not {status}: {body[:300]!r}")
    require(headers["Content-Type"] == "application/json", headers["Content-Type"])
    error = json.loads(body)
    require(
        error.keys() >= {"error", "message", "status", "request_id"} and error["status"] == status,
        error,
    )


def _send(stack: Stack, size: int) -> tuple[int, bytes, Any]:
    start, end = b'{"original_url": "https://example.com/', b'"}'
    body = start + b"x" * (size - len(start) - len(end)) + end
    return fetch(f"{stack.url()}/urls", "POST", body, Content_Type="application/json")


def oom_kills(stack: Stack) -> dict[str, int]:
    """How many processes the kernel has ended in each container because it was over its memory
    limit.
    """
    return {service: _oom_kills(stack, service) for service in (*REPLICAS, "nginx")}


def _oom_kills(stack: Stack, service: str) -> int:
    """Both generations of control groups have a line for it, each in a file of its own."""
    files = (
        "cat /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null ||"
        " true"
    )
    words = docker("exec", f"{stack.project}-{service}-1", "sh", "-c", files).split()
    return int(words[words.index("oom_kill") + 1])


# ---- garbage for a CSV file ----

_HEAD = b"username,email\n"
_GOOD = b"".join(
    b"drill-garbage-%d,drill-garbage-%d@example.com\n" % (number, number) for number in range(2000)
)


def _garbage() -> dict[str, bytes]:
    noise = random.Random(5).randbytes(1_000_000)
    return {
        "nothing": b"",
        "noise": noise,
        "noise after good rows": _HEAD + _GOOD + noise,
        "Latin-1 after good rows": _HEAD + _GOOD + "jörg,joerg@example.com\n".encode("latin-1"),
        "UTF-16": (_HEAD + _GOOD).decode().encode("utf-16"),
        "an image": b"\x89PNG\r\n\x1a\n" + noise[:5000],
        "a line without end": b"x" * 9_000_000,
        "another table": b"a,b\n1,2\n",
        "a page": b"<!doctype html>\n<title>404</title>\n",
    }


def _garbage_csv(ground: Ground) -> None:
    stack = ground.stack
    before = stack.sql("SELECT count(*) FROM users")
    with ground.strike("garbage-csv") as hit, hit.fault():
        for content in _garbage().values():
            _require_refused(upload(stack, content), 400)
            _refused_by_load_csv(stack, content)
        report = json.loads(upload(stack, _HEAD + b'"' * 99_999 + b"\n" + b"\x00,,,\n" * 50_000)[1])
    require(
        report["imported"] == 0
        and report["failed"] == report["total"] > 0
        and len(report["errors"]) <= 100,
        str(report)[:300],
    )
    require(
        stack.sql("SELECT count(*) FROM users") == before,
        "a file that was refused has left users behind",
    )


def upload(stack: Stack, content: bytes) -> tuple[int, bytes, Any]:
    """POST /users/bulk."""
    edge = "drill-7c1f"
    start = (
        f'--{edge}\r\nContent-Disposition: form-data; name="file";'
        ' filename="users.csv"\r\nContent-Type: text/csv\r\n\r\n'
    )
    body = start.encode() + content + f"\r\n--{edge}--\r\n".encode()
    return fetch(
        f"{stack.url()}/users/bulk",
        "POST",
        body,
        Content_Type=f"multipart/form-data; boundary={edge}",
    )


def _refused_by_load_csv(stack: Stack, content: bytes) -> None:
    """One sentence and exit code 1.

    A file whose first rows are good may be loaded, its bad ones being named.
    """
    if content.startswith(_HEAD):
        return
    command = ["docker", "exec", "-i", f"{stack.project}-app1-1", "python", "load_csv.py", "-"]
    done = subprocess.run(command, input=content, capture_output=True, check=False, timeout=60)
    said = done.stderr.decode(errors="replace").strip()
    require(
        done.returncode == 1 and said.startswith("load_csv.py: ") and "\n" not in said,
        f"load_csv.py, exit code {done.returncode}: {said[-500:]}",
    )


DRILLS = [
    Drill("slow-clients", _slow_clients),
    Drill("large-bodies", _large_bodies, short=True),
    Drill("garbage-csv", _garbage_csv, short=True),
]
