"""The drill that stops the whole service and lets Nginx alone serve its links: `python -m
tests.drills.fail_static`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from testkit.servers import ROOT, free_port
from tests.drills.drill import Drill, Ground
from tests.drills.outcome import Outcome
from tests.drills.restoring import serving
from tests.stack import links
from tests.stack.compose import REPLICAS, Stack, docker, fetch
from tests.stack.pace import wait_for
from tests.stack.report import require

_ADDRESSES = [
    "https://example.com/",
    'https://example.com/"$uri"\\{};#',
    "https://straße.example/日本?q=ü",
    "https://example.com/" + "$" * 2000,
]
_GONE = ("nginx", *REPLICAS, "worker", "redis", "postgres")


def rehearse(stack: Stack) -> str:
    """Exports the links, stops everything, and follows each link where Nginx is alone."""
    base = stack.url()
    made = [
        links.call(base, "POST", "/urls", {"original_url": address}) for address in _ADDRESSES * 5
    ]
    inactive, deleted, *live = made
    links.call(base, "PUT", f"/urls/{inactive['id']}", {"is_active": False})
    links.call(base, "DELETE", f"/urls/{deleted['id']}")
    expected = {url["short_code"]: links.follow(base, url["short_code"]) for url in live}
    require(
        {status for status, _ in expected.values()} == {302},
        "the service does not follow its links",
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "links.conf"
        file.write_text(stack.compose("exec", "-T", "app1", "holdfast", "links", "-"))
        Path(folder).chmod(0o755)
        with _stopped(stack), _alone(stack, file) as alone:
            found = {code: links.follow(alone, code) for code in expected}
            dead = {links.follow(alone, url["short_code"]) for url in (inactive, deleted)}
    require(found == expected, "Nginx alone leads links elsewhere")
    require(dead == {(503, "")}, f"inactive and deleted links: {dead}")
    return f"{len(found)} links led where the service led them, 2 dead ones nowhere"


@contextmanager
def _stopped(stack: Stack) -> Iterator[None]:
    """The whole service, its front door included."""
    for service in _GONE:
        stack.stop(service)
    try:
        yield
    finally:
        for service in reversed(_GONE):
            stack.start(service)
        stack.wait_healthy(*_GONE)


@contextmanager
def _alone(stack: Stack, file: Path) -> Iterator[str]:
    """Nginx' own image with two files; where it is."""
    name, port = f"{stack.project}-fail-static", free_port()
    mounts = (
        f"{ROOT}/deploy/fail-static.conf:/etc/nginx/nginx.conf:ro",
        f"{file}:/etc/nginx/links.conf:ro",
    )
    docker(
        "run",
        "-d",
        "--name",
        name,
        "-p",
        f"127.0.0.1:{port}:8080",
        *(f"-v{mount}" for mount in mounts),
        "nginx:1.30-alpine",
    )
    try:
        base = f"http://127.0.0.1:{port}"
        wait_for(lambda: _answers(base), what="Nginx alone")
        yield base
    finally:
        docker("rm", "-f", name)


def _answers(base: str) -> bool:
    with suppress(OSError):
        return fetch(f"{base}/nginx-health")[0] == 200
    return False


def _fail_static(ground: Ground) -> None:
    print(rehearse(ground.stack), flush=True)
    ground.outcomes.append(Outcome("fail-static"))


DRILLS = [Drill("fail-static", _fail_static)]


def main() -> int:
    with serving() as stack:
        print(rehearse(stack))
    return 0


if __name__ == "__main__":
    sys.exit(main())
